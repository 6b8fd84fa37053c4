//! Why something was not encoded, and whose fault that is.

use worker_protocol::{Fault, Level};

use crate::{MediaError, NotPlayableReason};

/// Why a request to a worker failed. Cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscodeError {
    /// This server does not transcode.
    #[error("{title}: this server does not transcode")]
    Off {
        /// The video id.
        title: String,
    },
    /// As many titles as may be are being transcoded.
    #[error(
        "{title}: {max} other titles are being transcoded, which is the limit (transcode.max_transcodes)"
    )]
    Busy {
        /// The video id.
        title: String,
        /// The limit.
        max: usize,
    },
    /// The sandbox is required and is not whole.
    #[error(
        "{title}: the sandbox of workers is required (transcode.sandbox) and reaches level {level} only: {detail}"
    )]
    Sandbox {
        /// The video id.
        title: String,
        /// What was reached.
        level: Level,
        /// What is missing.
        detail: String,
    },
    /// A worker cannot be started.
    #[error("{title}: no worker: {detail}")]
    NoWorker {
        /// The video id.
        title: String,
        /// The system's words, or both versions.
        detail: String,
    },
    /// The worker says why not.
    #[error("{title}: the worker: {text}")]
    Failed {
        /// The video id.
        title: String,
        /// Whose fault.
        fault: Fault,
        /// Which step, and what it said.
        text: String,
    },
    /// The worker died or was killed, twice.
    #[error("{title}: the worker {how}")]
    Died {
        /// The video id.
        title: String,
        /// How: by which signal, or after which deadline.
        how: String,
    },
    /// Its workers died so often that it gets no more of them.
    #[error("{title}: refused, because its workers died {times} times; the last one {how}")]
    Refused {
        /// The video id.
        title: String,
        /// How often.
        times: u32,
        /// How the last one died.
        how: String,
    },
    /// Whoever asked took nothing for too long.
    #[error("{title}: nobody took what was encoded for {seconds} s")]
    Stalled {
        /// The video id.
        title: String,
        /// How long.
        seconds: u64,
    },
    /// The samples could not be read.
    #[error(transparent)]
    Source(#[from] MediaError),
}

impl From<TranscodeError> for MediaError {
    fn from(error: TranscodeError) -> Self {
        let detail = match &error {
            TranscodeError::Source(source) => return source.clone(),
            error => error.to_string(),
        };
        match error {
            TranscodeError::Busy { title, .. } | TranscodeError::Stalled { title, .. } => {
                Self::Unavailable { title, detail }
            }
            TranscodeError::Failed { title, fault: Fault::Request | Fault::Internal, .. }
            | TranscodeError::NoWorker { title, .. }
            | TranscodeError::Died { title, .. } => Self::Internal { title, detail },
            TranscodeError::Failed { title, fault: Fault::Input, .. }
            | TranscodeError::Refused { title, .. } => {
                Self::NotPlayable { title, reason: NotPlayableReason::Malformed, detail }
            }
            TranscodeError::Off { title }
            | TranscodeError::Sandbox { title, .. }
            | TranscodeError::Failed { title, .. } => {
                Self::NotPlayable { title, reason: NotPlayableReason::Unsupported, detail }
            }
            TranscodeError::Source(source) => source,
        }
    }
}
