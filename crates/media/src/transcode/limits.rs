//! How long and how much, and why.

use std::time::Duration;

/// How long a worker may take to start: loading the codecs takes a tenth of a second, on a machine that is busy more.
pub(super) const HELLO_PATIENCE: Duration = Duration::from_secs(15);
/// How long a worker with everything it needs may neither read nor write: a second of 4K takes about two.
pub(super) const SILENCE_PATIENCE: Duration = Duration::from_secs(20);
/// How long a worker may work on one request. Whoever asked has given up by then.
pub(super) const REQUEST_PATIENCE: Duration = Duration::from_secs(180);
/// How long a worker waits for whoever takes what it made, and everyone else with this title meanwhile.
pub(super) const READER_PATIENCE: Duration = Duration::from_secs(30);
/// How often deadlines are looked at.
pub(super) const WATCH_EVERY: Duration = Duration::from_millis(250);
/// Encoded samples between the worker and whoever takes them: a second or two.
pub(super) const SAMPLES_AHEAD: usize = 64;
/// Bytes of a request's samples that are kept so that it can be asked again: more than ten seconds of a 4K disc. A
/// request that is larger is not asked again.
pub(super) const KEPT_INPUT_BYTES_MAX: usize = 192 << 20;
/// So often the worker of a title may die before the title is refused.
pub(super) const STRIKES_MAX: u32 = 3;
/// After so long without another death a title may try again: files are replaced, libraries mended.
pub(super) const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// Titles whose deaths are remembered; the one that died longest ago is forgotten first.
pub(super) const STRUCK_TITLES_MAX: usize = 1_024;
/// A worker that has taken this much CPU time is replaced between two requests, long before its own limit.
pub(super) const RETIRE_CPU: Duration = Duration::from_secs(3_600);
