//! How a command ends when it does not end well: one line on stderr, and an exit status that scripts can trust.

use std::{fmt, process::ExitCode};

use crate::config::ConfigError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit 1.
    Failed(anyhow::Error),
    /// Exit 2: wrong usage or configuration.
    Usage(String),
    /// Exit 130.
    Interrupted,
    /// Exit 130; what was done is kept.
    Kept,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted | Self::Kept => 130,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match self {
            // The whole chain, outermost first.
            Self::Failed(error) => format!("{error:#}"),
            Self::Usage(what) => what.clone(),
            Self::Interrupted => "interrupted".to_owned(),
            Self::Kept => "interrupted; what is here is kept, the same command resumes".to_owned(),
        };
        f.write_str(&line.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}
