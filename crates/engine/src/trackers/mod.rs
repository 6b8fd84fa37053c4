//! One torrent's trackers: what its announcer says is due is carried over HTTP or UDP; answers come home to its task.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{TrackerInfo, peer::PeerContext};

/// What an announce needs to know of the torrent.
#[derive(Clone, Copy, Debug, Default)]
#[expect(dead_code, reason = "announced next")]
pub(crate) struct Counters {
    /// Payload given since the torrent was added.
    pub(crate) uploaded: u64,
    /// Payload taken since the torrent was added.
    pub(crate) downloaded: u64,
    /// Bytes missing; `None` while the metadata is not here.
    pub(crate) left: Option<u64>,
    /// Peers that are of use.
    pub(crate) peers_wanted: u32,
}

/// An answer or a failure on its way home.
#[derive(Debug)]
pub(crate) struct Reply {}

/// The trackers of one torrent. Costs no task while nothing is due.
pub(crate) struct Trackers {}

impl Trackers {
    /// `tiers` as BEP 12 has them. Nothing is announced before [`resume`](Self::resume).
    pub(crate) fn new(context: Arc<PeerContext>, tiers: &[Vec<String>]) -> Self {
        let _ = (context, tiers);
        Self {}
    }

    /// More trackers, each a tier of its own.
    pub(crate) fn add(&mut self, now: Duration, urls: &[String]) {
        let _ = (now, urls);
    }

    /// Starts what is due; replies come as `Inbox::Tracker`.
    pub(crate) fn poll(&mut self, now: Duration, counters: &Counters) {
        let _ = (now, counters);
    }

    /// Takes a reply; the peers in it.
    pub(crate) fn handle(&mut self, now: Duration, reply: Reply) -> Vec<SocketAddr> {
        let _ = (now, reply);
        Vec::new()
    }

    /// When [`poll`](Self::poll) is due.
    pub(crate) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let _ = now;
        None
    }

    /// The last piece was downloaded.
    pub(crate) fn completed(&mut self) {}

    /// Announces begin, or begin again.
    pub(crate) fn resume(&mut self, now: Duration) {
        let _ = now;
    }

    /// `stopped` is due wherever `started` was heard.
    pub(crate) fn stop(&mut self) {}

    /// Whether every `stopped` was answered or given up.
    pub(crate) fn is_stopped(&self) -> bool {
        true
    }

    /// The user, or a torrent without peers, asks for more.
    pub(crate) fn reannounce(&mut self, now: Duration) {
        let _ = now;
    }

    /// The tiers with whatever was added, to be kept.
    pub(crate) fn tiers(&self) -> Vec<Vec<String>> {
        Vec::new()
    }

    /// Hosts of trackers that were spoken to: whose rules apply.
    pub(crate) fn hosts(&self) -> Vec<String> {
        Vec::new()
    }

    /// How they fare.
    pub(crate) fn status(&self, now: Duration) -> Vec<TrackerInfo> {
        let _ = now;
        Vec::new()
    }
}
