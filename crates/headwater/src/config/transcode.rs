//! `[transcode]`: whether films are transcoded, how many at once, and how safely.

use media::transcode::{Patience, SandboxPolicy, TranscodeConfig};

use super::{ConfigError, settings::Reader};

/// The first argument of a worker process: this program, started by itself.
pub(crate) const WORKER: &str = "media-worker";
/// A worker takes a core or more.
const TRANSCODES_MAX: usize = 64;

/// Everything of `[transcode]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TranscodeSettings {
    pub(crate) enabled: bool,
    pub(crate) max_transcodes: usize,
    pub(crate) sandbox: SandboxPolicy,
}

impl TranscodeSettings {
    pub(super) fn new(read: &Reader<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: read.switch("transcode.enabled")?.unwrap_or(true),
            max_transcodes: read
                .parsed("transcode.max_transcodes", "a number from 1 to 64", |text| {
                    text.parse().ok().filter(|most| (1..=TRANSCODES_MAX).contains(most))
                })?
                .unwrap_or(2),
            sandbox: read
                .parsed("transcode.sandbox", "prefer or require", |text| match text {
                    "prefer" => Some(SandboxPolicy::Prefer),
                    "require" => Some(SandboxPolicy::Require),
                    _ => None,
                })?
                .unwrap_or_default(),
        })
    }

    /// A key's value as text, for `config show`; `None` if it is no key of this table.
    pub(super) fn shown(&self, key: &str) -> Option<serde_json::Value> {
        Some(match key {
            "transcode.enabled" => self.enabled.into(),
            "transcode.max_transcodes" => self.max_transcodes.into(),
            "transcode.sandbox" => match self.sandbox {
                SandboxPolicy::Prefer => "prefer".into(),
                SandboxPolicy::Require => "require".into(),
            },
            _ => return None,
        })
    }

    /// What the pool of workers is told; `None` if there is to be none.
    pub(crate) fn pool(&self) -> Option<TranscodeConfig> {
        if !self.enabled {
            return None;
        }
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => {
                tracing::warn!(%error, "nothing is transcoded: this program does not know where it is");
                return None;
            }
        };
        Some(TranscodeConfig {
            program,
            args: vec![WORKER.to_owned()],
            sandbox: self.sandbox,
            titles_max: self.max_transcodes,
            patience: Patience::default(),
        })
    }
}
