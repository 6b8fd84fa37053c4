//! What can go wrong between a request and its bytes, and whose fault it is.

use std::path::PathBuf;

use byte_source::SourceError;
use container::ContainerError;

/// Why a request could not be answered. Cheap to clone: everyone who waited for one opening gets the same.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// No such rendition, segment, track or attachment. HTTP 404.
    #[error("{title}: there is no {what}")]
    NotFound {
        /// The video id.
        title: String,
        /// What was asked for.
        what: String,
    },
    /// The request itself makes no sense for this title. HTTP 400.
    #[error("{title}: {what}")]
    BadRequest {
        /// The video id.
        title: String,
        /// What was wrong, with the value.
        what: String,
    },
    /// The file cannot be played, and asking again will not help. HTTP 422.
    #[error("{title}: cannot be played: {detail}")]
    NotPlayable {
        /// The video id.
        title: String,
        /// For machines.
        reason: NotPlayableReason,
        /// For people: what was found, and where in the file.
        detail: String,
    },
    /// The bytes are not here and nobody has them at present; asking again later may help. HTTP 503, `Retry-After`.
    #[error("{title}: {detail}")]
    Unavailable {
        /// The video id.
        title: String,
        /// Why, in facts.
        detail: String,
    },
    /// The file is gone or was replaced while it was open; asking again opens what is there now. HTTP 503.
    #[error("{title}: the file changed while it was open: {detail}")]
    Changed {
        /// The video id.
        title: String,
        /// What was found.
        detail: String,
    },
    /// The disk refused to be read. HTTP 500.
    #[error("{title}: {detail}")]
    Io {
        /// The video id, or the path.
        title: String,
        /// The system's words.
        detail: String,
    },
    /// The cache directory cannot be used. At start only.
    #[error("cache directory {dir}: {detail}")]
    Cache {
        /// The directory.
        dir: PathBuf,
        /// The system's words, and what would help.
        detail: String,
    },
    /// A fault of ours. HTTP 500.
    #[error("{title}: internal error: {detail}")]
    Internal {
        /// The video id.
        title: String,
        /// What happened.
        detail: String,
    },
}

/// Why a file cannot be played, for machines (the problem detail's `reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotPlayableReason {
    /// Not a container that is read here.
    UnknownContainer,
    /// The file breaks its format.
    Malformed,
    /// The file ends too early.
    Truncated,
    /// A size or count is past its limit.
    Limit,
    /// A valid file of a kind that is not read here.
    Unsupported,
    /// It has no video and no audio that could be sent.
    NothingToPlay,
    /// It has no index, and not all of it is here: once it is, it can be played.
    NoIndex,
}

impl NotPlayableReason {
    /// As it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownContainer => "unknown_container",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::Limit => "limit",
            Self::Unsupported => "unsupported",
            Self::NothingToPlay => "nothing_to_play",
            Self::NoIndex => "no_index",
        }
    }
}

impl MediaError {
    /// Puts the title's name on what a parser said.
    #[must_use]
    pub fn from_container(title: &str, error: ContainerError) -> Self {
        let reason = match &error {
            ContainerError::Source(source) => return Self::from_source(title, source.clone()),
            ContainerError::Stuck { .. } => {
                return Self::Internal { title: title.to_owned(), detail: error.to_string() };
            }
            ContainerError::Malformed { .. } => NotPlayableReason::Malformed,
            ContainerError::Limit { .. } => NotPlayableReason::Limit,
            ContainerError::Truncated { .. } => NotPlayableReason::Truncated,
            ContainerError::Unsupported { .. } | ContainerError::CannotCarry { .. } => {
                NotPlayableReason::Unsupported
            }
            ContainerError::NoIndex { .. } => NotPlayableReason::NoIndex,
            ContainerError::UnknownContainer(_) => NotPlayableReason::UnknownContainer,
        };
        Self::NotPlayable { title: title.to_owned(), reason, detail: error.to_string() }
    }

    /// Puts the title's name on what a byte source said.
    #[must_use]
    pub fn from_source(title: &str, error: SourceError) -> Self {
        let (title, detail) = (title.to_owned(), error.to_string());
        match error {
            SourceError::OutOfBounds { .. } => Self::Internal { title, detail },
            SourceError::Changed { .. } => Self::Changed { title, detail },
            SourceError::Io { .. } => Self::Io { title, detail },
            SourceError::Unavailable { .. } => Self::Unavailable { title, detail },
        }
    }
}
