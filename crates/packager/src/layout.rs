//! CMAF segments as virtual files: our header bytes and ranges of the source, in order.
//!
//! The length and the header are known before any payload is read, so a response can state its length and stream.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    ContainerError, Track,
    write::cmaf::{self, FragmentSample, InitTrack},
};

use crate::{CutSegment, PackagerError, Planned, RenditionId};

/// A piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Inline(Bytes),
    /// These bytes of the source file, untouched.
    Source(ByteRange),
}

/// A segment as pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In order.
    pub parts: Vec<Part>,
    /// Bytes of all parts together.
    pub len: u64,
}

/// Our CMAF files have one track each; this is its number.
const TRACK_ID: u32 = 1;

/// Lays a cut segment out as CMAF (`styp`, `moof`, `mdat`). Works without payload: what is not in hand becomes a
/// [`Part::Source`].
///
/// # Errors
/// [`PackagerError::Incomplete`] if it is not a segment of one track.
pub fn cmaf_layout(segment: &CutSegment) -> Result<Layout, PackagerError> {
    let [track] = segment.tracks.as_slice() else {
        return Err(PackagerError::Incomplete {
            rendition: segment.rendition,
            index: segment.index,
            what: format!("a CMAF segment has one track, this was cut with {}", segment.tracks.len()),
        });
    };
    let prefix = track.prefix.len() as u64;
    let samples: Vec<FragmentSample> = track
        .samples
        .iter()
        .map(|s| FragmentSample {
            size: u32::try_from(s.bytes.len().saturating_add(prefix)).unwrap_or(u32::MAX),
            duration: s.duration,
            composition_offset: i32::try_from(s.pts.saturating_sub(s.dts)).unwrap_or(0),
            sync: s.sync,
        })
        .collect();
    let sequence = segment.index.get().saturating_add(1);
    let mut parts = Parts::default();
    parts.inline(cmaf::media_header(sequence, TRACK_ID, track.base_time, &samples));
    for sample in &track.samples {
        parts.inline(track.prefix.clone());
        match &sample.data {
            Some(data) => parts.inline(data.clone()),
            None => parts.source(sample.bytes),
        }
    }
    Ok(Layout { len: parts.len, parts: parts.list })
}

/// Parts on the way, neighbours in the file merged.
#[derive(Default)]
struct Parts {
    list: Vec<Part>,
    len: u64,
}

impl Parts {
    fn inline(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len() as u64;
            self.list.push(Part::Inline(bytes));
        }
    }

    fn source(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        self.len += range.len();
        match self.list.last_mut() {
            Some(Part::Source(last)) if last.end() == range.start() => *last = last.hull(range),
            _ => self.list.push(Part::Source(range)),
        }
    }
}

/// The init segment of a rendition (`ftyp`, `moov`): the same bytes every time.
///
/// # Errors
/// [`PackagerError::NoSuchRendition`]; [`PackagerError::NotPlayable`] if the codec does not go into CMAF.
pub fn init_segment(planned: &Planned, rendition: RenditionId) -> Result<Bytes, PackagerError> {
    let n = planned.rendition_track(rendition)?;
    let track = planned.movie.tracks.get(n).ok_or(PackagerError::NoSuchRendition(rendition))?;
    init_of(track).map_err(|e| PackagerError::NotPlayable(e.to_string()))
}

/// The init segment of this track alone.
pub(crate) fn init_of(track: &Track) -> Result<Bytes, ContainerError> {
    cmaf::init_segment(&[InitTrack { track, track_id: TRACK_ID, timescale: track.timescale }])
}
