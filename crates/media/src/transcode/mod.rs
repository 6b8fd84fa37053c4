//! Segments that are encoded: what media asks of the worker processes.
//!
//! [`Transcoder`] is the pool; each title that needs one takes a [`TitleTranscoder`] and with it one worker, which is
//! let go when the handle is dropped. What a request is made of is `worker-protocol`'s; which samples belong to a
//! segment and what is made of them is decided by who calls.

mod error;
mod launch;
mod limits;
mod order;
mod pool;
mod segments;
mod worker;

use std::{fmt, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use container::Sample;
use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};
use worker_protocol::ToWorker;
pub use worker_protocol::{
    Attempt, AudioCodec, AudioSpec, Fault, H264Profile, InputTrack, Level, OutputTrack, Preset, Sandbox,
    VideoSpec,
};

pub use error::TranscodeError;
pub use pool::TranscodeStatus;
pub(crate) use segments::TitleEncoding;
pub use segments::{Encoders, Encoding, TitleEncoder};

use crate::MediaError;
use limits::SAMPLES_AHEAD;
use order::{Input, Output};
use pool::{Pool, Seat};

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

/// How long is waited before somebody is given up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A worker that has everything it needs and neither reads nor writes.
    pub silence: Duration,
    /// A worker that works on one request.
    pub request: Duration,
    /// Whoever takes what was made.
    pub reader: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: limits::SILENCE_PATIENCE,
            request: limits::REQUEST_PATIENCE,
            reader: limits::READER_PATIENCE,
        }
    }
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
    /// When is enough.
    pub patience: Patience,
}

/// The pool of workers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Transcoder {
    pool: Arc<Pool>,
}

impl Transcoder {
    /// A pool that starts one worker at once, to learn what the kernel grants, and keeps it for the first title.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn new(config: TranscodeConfig) -> Self {
        let pool = Pool::new(config);
        Pool::warm(&pool);
        Self { pool }
    }

    /// A title's place in the pool. Nothing is started before it asks for something.
    #[must_use]
    pub fn title(&self, video_id: &str) -> TitleTranscoder {
        TitleTranscoder { video_id: video_id.into(), pool: Arc::clone(&self.pool), seat: self.pool.seat() }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> TranscodeStatus {
        self.pool.status()
    }
}

/// One title's worker: requests are carried out one after the other; dropped, the worker ends.
#[derive(Debug)]
pub struct TitleTranscoder {
    video_id: Arc<str>,
    pool: Arc<Pool>,
    seat: Arc<Seat>,
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
        self.request(ToWorker::Video(spec), Some(samples)).await
    }

    /// Encodes a stretch of sound. `samples` begin as long before it as decoder and encoder need to warm up.
    ///
    /// # Errors
    /// As [`video`](Self::video).
    ///
    /// # Cancel safety
    /// As [`video`](Self::video).
    pub async fn audio(&self, spec: AudioSpec, samples: SampleStream) -> Result<Transcoded, TranscodeError> {
        self.request(ToWorker::Audio(spec), Some(samples)).await
    }

    /// Sends samples to the worker and back: what the path costs without a codec.
    ///
    /// # Errors
    /// As [`video`](Self::video).
    ///
    /// # Cancel safety
    /// As [`video`](Self::video).
    pub async fn echo(&self, samples: SampleStream) -> Result<Transcoded, TranscodeError> {
        self.request(ToWorker::Echo, Some(samples)).await
    }

    /// Has the worker try what it must not be able to do: for tests of the sandbox.
    ///
    /// # Errors
    /// [`TranscodeError::Failed`] with the system's words if it was refused, which is as it should be.
    pub async fn attempt(&self, attempt: Attempt) -> Result<(), TranscodeError> {
        let mut answer = self.request(ToWorker::Try(attempt), None).await?;
        answer.next().await.map_or(Ok(()), |last| last.map(drop))
    }

    async fn request(
        &self,
        request: ToWorker,
        samples: Option<SampleStream>,
    ) -> Result<Transcoded, TranscodeError> {
        let (tell, started) = oneshot::channel();
        let (give, samples_out) = mpsc::channel(SAMPLES_AHEAD);
        let (title, pool, seat) =
            (Arc::clone(&self.video_id), Arc::clone(&self.pool), Arc::clone(&self.seat));
        let (input, output) = (Input::new(samples), Output::new(give, tell));
        tokio::spawn(async move { pool.carry_out(&title, &seat, &request, input, output).await });
        match started.await {
            Ok(track) => Ok(Transcoded { track: track?, samples: samples_out }),
            // It was carried out and nothing came of it.
            Err(_) => Err(TranscodeError::Failed {
                title: self.video_id.to_string(),
                fault: Fault::Internal,
                text: "an answer without a track".to_owned(),
            }),
        }
    }
}

impl Drop for TitleTranscoder {
    fn drop(&mut self) {
        self.pool.leave(&self.seat);
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
