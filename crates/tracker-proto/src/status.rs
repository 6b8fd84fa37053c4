//! What a user sees of a tracker.

use core::time::Duration;

/// How a tracker fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackerState {
    /// Not asked: another of its tier answers, or it is not its turn yet.
    Idle,
    /// An announce is on its way.
    Announcing,
    /// The last announce was answered.
    Working,
    /// The last announce was not.
    Failing,
    /// It says that it is no tracker (BEP 31), and is left alone.
    Off,
    /// Told that we left.
    Stopped,
}

/// One tracker as it stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TrackerStatus {
    /// Its address, secrets hidden.
    pub url: String,
    /// Its tier, from 0 (BEP 12).
    pub tier: u32,
    /// How it fares.
    pub state: TrackerState,
    /// Its warning, or why the last announce failed.
    pub message: Option<String>,
    /// Announces that failed since the last that did not.
    pub failures: u32,
    /// Peers in its last answer.
    pub peers: Option<u32>,
    /// Peers that have all, as it last said.
    pub seeders: Option<u32>,
    /// Peers that do not, as it last said.
    pub leechers: Option<u32>,
    /// How often it was downloaded whole, as it last said.
    pub downloaded: Option<u32>,
    /// When it last answered, since the engine's start.
    pub last_announce: Option<Duration>,
    /// When it is asked next, since the engine's start.
    pub next_announce: Option<Duration>,
}
