//! Text subtitles: WebVTT by segment, and whole tracks as WebVTT or ASS.
//!
//! A cue that is shown over a boundary is in both segments. Turning a format's text into WebVTT is `container`'s.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{ContainerError, Pull, PullParser};

use crate::{PackagerError, Planned, SegmentFormat, SegmentIndex, script::Script};

/// What to make of a subtitle track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubtitleForm {
    /// One segment's WebVTT; in the TS form it carries `X-TIMESTAMP-MAP`.
    Segment(SegmentIndex, SegmentFormat),
    /// The whole track as WebVTT. Without an index of its cues this reads through the whole file.
    WholeVtt,
    /// The whole track as ASS, with its styles; only for tracks that are ASS.
    WholeAss,
}

/// Makes a subtitle file. Gives one text.
#[derive(Debug)]
pub struct SubtitleMaker {
    script: Script<String>,
}

impl SubtitleMaker {
    /// For `subtitles-{n}`.
    ///
    /// # Errors
    /// [`PackagerError::NoSuchRendition`], [`PackagerError::NoSuchSegment`]; [`PackagerError::NotPlayable`] if ASS is
    /// asked of another format.
    pub fn new(planned: &Planned, n: usize, form: SubtitleForm) -> Result<Self, PackagerError> {
        let _ = planned.rendition_track(crate::RenditionId::Subtitles(n))?;
        let _ = form;
        Ok(Self {
            script: Script::new(|_ask| async move {
                Err(ContainerError::UnknownContainer("not made yet".to_owned()))
            }),
        })
    }
}

impl PullParser for SubtitleMaker {
    type Item = String;

    fn poll(&mut self) -> Result<Pull<String>, ContainerError> {
        self.script.poll()
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.script.feed(range, bytes);
    }
}
