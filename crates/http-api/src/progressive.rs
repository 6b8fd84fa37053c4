//! One fragmented MP4 from a second on (`stream.mp4?t=`), for players that know neither HLS nor DASH: an init segment of
//! picture and sound together, then the same segments that HLS players get, in the order of time.
//!
//! Segments are files of one track each; here their fragments get the track's number in this file and a running
//! sequence number. Nothing else is touched, and nothing is held but the head of a segment.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use container::{
    Track, TrackKind,
    write::cmaf::{self, InitTrack},
};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use media::{RenditionId, SegmentFormat, SegmentIndex, Title};
use packager::TrackPlan;

use crate::{body::BodyError, problem::Problem};

/// Bytes of a fragment's head that are looked through for its numbers: `styp`, `moof`, `mfhd`, `traf`, `tfhd`.
const HEAD_BYTES: usize = 128;

/// A segment to come.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Next {
    rendition: RenditionId,
    index: SegmentIndex,
    track_id: u32,
    start_seconds: f64,
}

/// What will be sent.
pub(crate) struct Progressive {
    title: Arc<Title>,
    init: Bytes,
    segments: VecDeque<Next>,
}

impl Progressive {
    /// From the segment that holds second `from`. Of the sounds, the default one, if it goes into MP4.
    pub(crate) fn new(title: Arc<Title>, from: f64) -> Result<Self, Problem> {
        let chosen = chosen_tracks(&title);
        let Some((first, ..)) = chosen.first() else {
            return Err(Problem::new(
                axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                "nothing_to_play",
                format!("{}: has no track that can be cut", title.video_id()),
            ));
        };
        let keyed = start_interval(first, from);
        let (mut tracks, mut segments) = (Vec::new(), Vec::new());
        for (plan, track, rendition) in chosen {
            let track_id = u32::try_from(tracks.len() + 1).unwrap_or(u32::MAX);
            tracks.push(InitTrack { track, track_id, timescale: plan.timescale });
            for (n, segment) in (0_u32..).zip(&plan.segments).filter(|(_, s)| s.intervals.1 > keyed) {
                let start = i64::try_from(segment.start).unwrap_or(i64::MAX);
                segments.push(Next {
                    rendition,
                    index: SegmentIndex::new(n),
                    track_id,
                    start_seconds: plan.timescale.seconds(start),
                });
            }
        }
        let init = cmaf::init_segment(&tracks).map_err(|error| {
            Problem::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "unsupported", error.to_string())
        })?;
        segments
            .sort_by(|a, b| a.start_seconds.total_cmp(&b.start_seconds).then(a.track_id.cmp(&b.track_id)));
        Ok(Self { title, init, segments: segments.into() })
    }

    /// The bytes; segments are made one at a time as they are taken.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
        let init = stream::iter([Ok(self.init)]);
        let title = self.title;
        let segments = stream::iter((1_u32..).zip(self.segments)).then(move |(sequence, next)| {
            let title = Arc::clone(&title);
            async move {
                match title.segment(next.rendition, next.index, SegmentFormat::Fmp4).await {
                    Ok(segment) => Renumbered::new(segment.body, next.track_id, sequence).left_stream(),
                    Err(error) => stream::iter([Err(error.into())]).right_stream(),
                }
            }
        });
        init.chain(segments.flatten())
    }
}

/// The picture, and the sound that goes with it; in a file of sound alone, that.
fn chosen_tracks(title: &Title) -> Vec<(&TrackPlan, &Track, RenditionId)> {
    let (movie, plan) = (title.movie(), title.plan());
    let carried = |n: usize| {
        let track = movie.tracks.get(n)?;
        let plan = plan.track(n)?;
        let alone = InitTrack { track, track_id: 1, timescale: plan.timescale };
        cmaf::init_segment(&[alone]).is_ok().then_some((plan, track))
    };
    let of_kind = |kind| movie.tracks.iter().enumerate().filter(move |(_, t)| t.kind == kind).map(|(n, _)| n);
    let mut chosen = Vec::new();
    if movie.tracks.get(plan.reference).is_some_and(|t| t.kind == TrackKind::Video) {
        chosen.extend(carried(plan.reference).map(|(plan, track)| (plan, track, RenditionId::Source)));
    }
    let mut sounds: Vec<_> = of_kind(TrackKind::Audio)
        .enumerate()
        .filter_map(|(nth, n)| carried(n).map(|(plan, track)| (plan, track, RenditionId::Audio(nth))))
        .collect();
    sounds.sort_by_key(|(_, track, _)| !track.flags.default);
    chosen.extend(sounds.into_iter().next());
    chosen
}

/// Number of the plan's interval that holds second `from`; the last one past the end.
fn start_interval(plan: &TrackPlan, from: f64) -> u32 {
    let starts = |ticks: u64| plan.timescale.seconds(i64::try_from(ticks).unwrap_or(i64::MAX));
    let holding = plan.segments.iter().rev().find(|segment| starts(segment.start) <= from);
    holding.or(plan.segments.first()).map_or(0, |segment| segment.intervals.0)
}

/// A segment's bytes with the numbers in its head changed.
struct Renumbered<S> {
    body: S,
    /// What has come of the head; `None` once it is sent.
    head: Option<BytesMut>,
    /// What came in one chunk with the head's end.
    rest: Bytes,
    track_id: u32,
    sequence: u32,
}

impl<S> Renumbered<S> {
    fn new(body: S, track_id: u32, sequence: u32) -> Self {
        Self { body, head: Some(BytesMut::with_capacity(HEAD_BYTES)), rest: Bytes::new(), track_id, sequence }
    }

    fn finish_head(&self, mut head: BytesMut) -> Bytes {
        renumber(&mut head, self.track_id, self.sequence);
        head.freeze()
    }
}

impl<S, E> Stream for Renumbered<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<BodyError>,
{
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if !this.rest.is_empty() {
                return Poll::Ready(Some(Ok(std::mem::take(&mut this.rest))));
            }
            let Some(chunk) = ready!(Pin::new(&mut this.body).poll_next(cx)) else {
                let head = this.head.take().filter(|head| !head.is_empty());
                return Poll::Ready(head.map(|head| Ok(this.finish_head(head))));
            };
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
            let Some(mut head) = this.head.take() else { return Poll::Ready(Some(Ok(chunk))) };
            let missing = HEAD_BYTES.saturating_sub(head.len()).min(chunk.len());
            head.extend_from_slice(&chunk.split_to(missing));
            if head.len() < HEAD_BYTES {
                this.head = Some(head);
                continue;
            }
            this.rest = chunk;
            return Poll::Ready(Some(Ok(this.finish_head(head))));
        }
    }
}

/// Writes the numbers where ISO/IEC 14496-12 has them: `mfhd` (8.8.5) and `tfhd` (8.8.7) of the first `moof`.
fn renumber(head: &mut [u8], track_id: u32, sequence: u32) {
    let mut at = 0;
    while let Some(kind) = head.get(at + 4..at + 8) {
        let number = match kind {
            b"moof" | b"traf" => {
                at += 8;
                continue;
            }
            b"mfhd" => Some(sequence),
            b"tfhd" => Some(track_id),
            _ => None,
        };
        let last = kind == b"tfhd";
        if let (Some(number), Some(place)) = (number, head.get_mut(at + 12..at + 16)) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        let size = head.get(at..).and_then(|b| b.first_chunk()).map_or(0, |size| u32::from_be_bytes(*size));
        match usize::try_from(size) {
            Ok(size) if size >= 8 && !last => at += size,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use container::write::cmaf::{FragmentSample, media_header};

    use super::*;

    fn header(sequence: u32, track_id: u32) -> Bytes {
        let sample = FragmentSample { size: 9, duration: 10, composition_offset: 0, sync: true };
        media_header(sequence, track_id, 77, &[sample, sample])
    }

    #[test]
    fn a_fragment_gets_its_numbers_however_it_is_cut_into_chunks() {
        for cut in [1, 50, 127, 128, 129, 140] {
            let mut bytes = header(3, 1).to_vec();
            bytes.extend_from_slice(b"payload-one");
            let expected = [header(9, 2).as_ref(), b"payload-one"].concat();
            let rest = Bytes::from(bytes.split_off(cut));
            let chunks: [Result<Bytes, BodyError>; 2] = [Ok(Bytes::from(bytes)), Ok(rest)];
            let out = Renumbered::new(stream::iter(chunks), 2, 9);
            let out: Vec<u8> =
                futures_util::FutureExt::now_or_never(out.map(|c| c.unwrap()).collect::<Vec<_>>())
                    .unwrap()
                    .concat();
            assert_eq!(out, expected, "{cut}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_head_is_it_does_not_panic(mut head: Vec<u8>) {
            renumber(&mut head, 1, 2);
        }
    }
}
