//! What can be wrong with a file, and where.

use std::{borrow::Cow, fmt};

use byte_source::{ByteRange, SourceError};

/// The kinds of file and record this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Matroska or WebM (RFC 9559).
    Matroska,
    /// ISO base media (ISO/IEC 14496-12), fragmented or not.
    Mp4,
    /// A codec's configuration record or bitstream header.
    Codec,
    /// A text subtitle.
    Subtitle,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matroska => "matroska",
            Self::Mp4 => "mp4",
            Self::Codec => "codec configuration",
            Self::Subtitle => "subtitle",
        })
    }
}

/// Why a file was refused. Always the file's fault, except [`Source`](Self::Source).
#[derive(Clone, Debug, thiserror::Error)]
pub enum ContainerError {
    /// The bytes break the format.
    #[error("{format} at byte {offset}: {what}")]
    Malformed {
        /// Which format.
        format: Format,
        /// Absolute offset in the file (in the record, for [`Format::Codec`]).
        offset: u64,
        /// What is wrong, with the value.
        what: Cow<'static, str>,
    },
    /// A size, count or depth is past its limit.
    #[error("{format} at byte {offset}: {what} is {value}, the limit is {limit}")]
    Limit {
        /// Which format.
        format: Format,
        /// Absolute offset in the file.
        offset: u64,
        /// What was counted.
        what: &'static str,
        /// What the file says.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The file ends in the middle of something needed.
    #[error("{format} at byte {offset}: the file ends inside {what}")]
    Truncated {
        /// Which format.
        format: Format,
        /// Where the thing begins.
        offset: u64,
        /// What is cut short.
        what: &'static str,
    },
    /// Valid, but nothing this crate reads.
    #[error("{format} at byte {offset}: {what} is not supported")]
    Unsupported {
        /// Which format.
        format: Format,
        /// Absolute offset in the file.
        offset: u64,
        /// What it is.
        what: Cow<'static, str>,
    },
    /// Understood, but the form to be written has no place for it.
    #[error("{what} cannot be carried in {form}")]
    CannotCarry {
        /// The codec or record, with the value.
        what: Cow<'static, str>,
        /// `CMAF` or `MPEG-TS`.
        form: &'static str,
    },
    /// Where its keyframes are is told nowhere, and not all of it may be read to find out.
    #[error("{format}: it has no index that can be used; it can be played once all of it is here")]
    NoIndex {
        /// Which format.
        format: Format,
    },
    /// Neither Matroska nor MP4.
    #[error("not a container that is read here: begins with {0}")]
    UnknownContainer(String),
    /// A parser asked for the same bytes twice running: our bug, ended before it goes on for ever.
    #[error("the parser is stuck: it asks for bytes {range} again")]
    Stuck {
        /// What it was fed and asks for again.
        range: ByteRange,
    },
    /// The bytes could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl ContainerError {
    /// Shorthand for [`Self::Malformed`].
    pub fn malformed(format: Format, offset: u64, what: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed { format, offset, what: what.into() }
    }

    /// Shorthand for [`Self::Limit`].
    #[must_use]
    pub fn limit(format: Format, offset: u64, what: &'static str, value: u64, limit: u64) -> Self {
        Self::Limit { format, offset, what, value, limit }
    }
}
