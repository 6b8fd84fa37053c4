//! What went wrong, and whose fault it is.

use crate::{log, sys};

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The media's: this packet is damaged, or says more than a limit allows. The stage can be used further.
    Input,
    /// The caller's: a setting that makes no sense, calls out of order.
    Caller,
    /// This machine's: no such codec here, FFmpeg not installed, no memory, or a header that asks for more than one
    /// allocation may have, which looks the same.
    Local,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The libraries are not there, or not those that this program was built for.
    #[error("FFmpeg's libraries cannot be loaded: {0}")]
    Unavailable(String),
    /// This FFmpeg was built without it.
    #[error("this FFmpeg has no {0}")]
    Missing(String),
    /// More than is allowed.
    #[error("{what} {value}: more than {limit}")]
    Limit {
        /// What is too much, with its unit.
        what: &'static str,
        /// How much.
        value: u64,
        /// How much would be allowed.
        limit: u64,
    },
    /// A setting that cannot be.
    #[error("{what} {value}: cannot be")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// Calls in an order that does not work: sent while results wait, or after the end.
    #[error("{stage}: {why}")]
    Order {
        /// The decoder, filter or encoder.
        stage: String,
        /// What should have been done.
        why: &'static str,
    },
    /// FFmpeg said no.
    #[error("{stage}: {doing}: {message}{}", said(.log))]
    Failed {
        /// The decoder, filter or encoder.
        stage: String,
        /// The step that failed.
        doing: &'static str,
        /// FFmpeg's error code: negative, a POSIX error or a tag.
        code: i32,
        /// The code in words.
        message: String,
        /// The last lines that FFmpeg logged, eight at most; of other threads as well.
        log: Vec<String>,
    },
    /// No memory.
    #[error("{0}: out of memory")]
    OutOfMemory(&'static str),
}

fn said(log: &[String]) -> String {
    if log.is_empty() { String::new() } else { format!(" ({})", log.join("; ")) }
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Limit { .. } => Fault::Input,
            Self::Failed { code, .. } if *code == sys::ENOMEM => Fault::Local,
            Self::Failed { .. } => Fault::Input,
            Self::Setting { .. } | Self::Order { .. } => Fault::Caller,
            Self::Unavailable(_) | Self::Missing(_) | Self::OutOfMemory(_) => Fault::Local,
        }
    }

    /// FFmpeg's `code` as an error, with what it logged.
    pub(crate) fn failed(f: &sys::Functions, stage: &str, doing: &'static str, code: i32) -> Self {
        let mut text = [0u8; 128];
        // SAFETY: the buffer is writable for the length given; av_strerror always ends it with a zero.
        unsafe { f.av_strerror(code, text.as_mut_ptr().cast(), text.len()) };
        let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
        let message = String::from_utf8_lossy(&text[..end]).into_owned();
        Self::Failed { stage: stage.to_owned(), doing, code, message, log: log::take() }
    }
}

/// A negative `code` as an error; anything else as it is.
pub(crate) fn check(f: &sys::Functions, stage: &str, doing: &'static str, code: i32) -> Result<i32, Error> {
    if code < 0 { Err(Error::failed(f, stage, doing, code)) } else { Ok(code) }
}
