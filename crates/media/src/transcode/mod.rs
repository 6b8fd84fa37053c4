//! Segments that are encoded: what media asks of the worker processes.
//!
//! [`Transcoder`] is the pool; each title that needs one takes a [`TitleTranscoder`] and with it one worker, which is
//! let go when the handle is dropped. What a request is made of is `worker-protocol`'s; which samples belong to a
//! segment and what is made of them is decided by who calls.

mod error;

use std::{fmt, path::PathBuf, pin::Pin, sync::Arc};

use container::Sample;
use futures_core::Stream;
use tokio::sync::mpsc;
pub use worker_protocol::{
    AudioCodec, AudioSpec, Fault, H264Profile, InputTrack, Level, OutputTrack, Preset, Sandbox, VideoSpec,
};

pub use error::TranscodeError;

use crate::MediaError;

/// The compressed samples of a request, in decode order, as they come from the file.
pub type SampleStream = Pin<Box<dyn Stream<Item = Result<Sample, MediaError>> + Send>>;

/// Whether there is transcoding without the whole sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxPolicy {
    /// Only with a sandbox of [`Level::Full`].
    Require,
    /// With what the kernel grants.
    #[default]
    Prefer,
}

/// Settings of a [`Transcoder`].
#[derive(Clone, Debug)]
pub struct TranscodeConfig {
    /// The program of a worker, which speaks over its standard input.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// What is done where the kernel grants less than the whole sandbox.
    pub sandbox: SandboxPolicy,
    /// Titles that are transcoded at once.
    pub titles_max: usize,
}

/// The pool of workers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Transcoder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: TranscodeConfig,
}

impl Transcoder {
    /// A pool that has started nothing yet. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(config: TranscodeConfig) -> Self {
        Self { shared: Arc::new(Shared { config }) }
    }

    /// A title's place in the pool. Nothing is started before it asks for something.
    #[must_use]
    pub fn title(&self, video_id: &str) -> TitleTranscoder {
        TitleTranscoder { video_id: video_id.into(), shared: Arc::clone(&self.shared) }
    }
}

/// One title's worker: requests are carried out one after the other; dropped, the worker ends.
#[derive(Debug)]
pub struct TitleTranscoder {
    video_id: Arc<str>,
    shared: Arc<Shared>,
}

impl TitleTranscoder {
    /// Encodes a stretch of video. `samples` begin at the keyframe that it needs.
    ///
    /// # Errors
    /// [`TranscodeError`] until the first sample is on its way; later ones come through the stream.
    ///
    /// # Cancel safety
    /// Safe: the request is given up, also when what is answered is dropped.
    pub async fn video(&self, spec: VideoSpec, samples: SampleStream) -> Result<Transcoded, TranscodeError> {
        let _ = (spec, samples, &self.shared.config);
        Err(TranscodeError::Off { title: self.video_id.to_string() })
    }

    /// Encodes a stretch of sound. `samples` begin as long before it as decoder and encoder need to warm up.
    ///
    /// # Errors
    /// As [`video`](Self::video).
    ///
    /// # Cancel safety
    /// As [`video`](Self::video).
    pub async fn audio(&self, spec: AudioSpec, samples: SampleStream) -> Result<Transcoded, TranscodeError> {
        let _ = (spec, samples, &self.shared.config);
        Err(TranscodeError::Off { title: self.video_id.to_string() })
    }
}

/// What an encoder makes, while it makes it.
pub struct Transcoded {
    /// What the samples are; the same for every stretch encoded with the same settings.
    pub track: OutputTrack,
    samples: mpsc::Receiver<Result<Sample, TranscodeError>>,
}

impl Transcoded {
    /// The next sample, in decode order; `None` after the last one. After an error comes nothing more.
    ///
    /// # Errors
    /// [`TranscodeError`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> Option<Result<Sample, TranscodeError>> {
        self.samples.recv().await
    }
}

impl fmt::Debug for Transcoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcoded").field("timescale", &self.track.timescale).finish_non_exhaustive()
    }
}
