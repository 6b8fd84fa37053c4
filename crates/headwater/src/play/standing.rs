//! Where things stand, in facts: metadata, peers, rate against need, what is buffered.

use std::sync::Arc;

use anyhow::anyhow;
use engine::{FileInfo, Snapshot, State, Torrent};

use crate::{
    failure::Failure,
    torrent::{clock, human, printable, progress::Watched},
};

/// Seconds in the buffer below which too low a rate is worth a word.
const COMFORT_S: f64 = 20.0;

/// A torrent and the film of it at one moment.
pub(super) struct Standing {
    snapshot: Arc<Snapshot>,
    name: String,
    /// Bytes of the film, and how many are here.
    size: u64,
    have: u64,
    /// Bytes a second that the film takes.
    need: Option<f64>,
    /// Bytes that play without waiting.
    ahead: u64,
}

impl Standing {
    pub(super) fn of(torrent: &Torrent, file: Option<&FileInfo>, duration: Option<f64>) -> Self {
        let snapshot = torrent.snapshot();
        let now = file.and_then(|file| torrent.file(file.index).ok());
        let size = file.map_or(0, |file| file.size);
        let name = file.map(|file| file.path.rsplit('/').next().unwrap_or(&file.path).to_owned());
        Self {
            name: name.or_else(|| snapshot.name.clone()).unwrap_or_else(|| snapshot.info_hash.to_string()),
            snapshot,
            size,
            have: now.map_or(0, |file| file.have),
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            need: duration.map(|seconds| size as f64 / seconds),
            ahead: torrent.ahead().unwrap_or(0),
        }
    }

    pub(super) fn show(&self, watched: &mut Watched) {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let part = if self.size > 0 { self.have as f64 / self.size as f64 } else { 0.0 };
        let (phase, words) = self.words();
        watched.show(&printable(&self.name), part, phase, &words);
    }

    /// What ended it.
    pub(super) fn failure(&self) -> Result<(), Failure> {
        if self.snapshot.state != State::Failed {
            return Ok(());
        }
        let why = self.snapshot.reason.as_deref().unwrap_or("for no reason given");
        Err(anyhow!("{}: stopped: {why}", printable(&self.name)).into())
    }

    fn words(&self) -> (&'static str, String) {
        let now = &self.snapshot;
        let peers = format!("{} peers ({} seeds)", now.peers, now.seeds);
        let why = now.reason.as_deref().map(|why| format!(": {}", printable(why))).unwrap_or_default();
        match now.state {
            State::Metadata => ("metadata", format!("looking for the metadata, {peers}{why}")),
            State::Checking => ("checking", format!("checking what is here, {:.0} %", now.progress * 100.0)),
            State::Failed => ("failed", format!("stopped{why}")),
            _ if self.size > 0 && self.have >= self.size => (
                "here",
                format!("all of {} is here, up {}/s, {peers}", human(self.size), human(now.upload_rate)),
            ),
            _ => ("streaming", format!("{}, {peers}{why}", self.flow())),
        }
    }

    /// Rate against need, and what is buffered.
    fn flow(&self) -> String {
        let rate = format!("{}/s", human(self.snapshot.download_rate));
        let Some(need) = self.need.filter(|need| *need > 0.0) else {
            return format!("{rate}, {} buffered", human(self.ahead));
        };
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (buffered, rate_now) = (self.ahead as f64 / need, self.snapshot.download_rate as f64);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        let needed = human(need as u64);
        let slow = if rate_now < need && buffered < COMFORT_S { ", slower than it plays" } else { "" };
        format!("{rate} of {needed}/s needed{slow}, {} buffered", clock(buffered))
    }
}
