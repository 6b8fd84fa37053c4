//! The torrent value: takes an [`Input`], asks the module that knows, collects [`Output`]s. Dispatches; does not think.

use core::net::SocketAddr;
use std::{collections::VecDeque, time::Duration};

use metainfo::{Bitfield, InfoHash};

use crate::{Config, Hello, Input, Message, Output, PeerKey, PeerStats, Reason, Stats};

/// One torrent.
///
/// Calling order: [`handle`](Self::handle) (or [`accept`](Self::accept), [`add_web_seed`](Self::add_web_seed)) with the
/// time since the engine's start, then [`poll_output`](Self::poll_output) until it gives `None`, then wait for the next
/// input or [`next_timeout`](Self::next_timeout), whichever is first. Time never goes back.
///
/// Peers are known by keys. The torrent makes them: in [`Output::Connect`], [`accept`](Self::accept) and
/// [`add_web_seed`](Self::add_web_seed). Inputs for a key that has ended are ignored, so that nothing is lost or wrong
/// when a connection's last messages cross an [`Output::Disconnect`].
pub struct Torrent {
    config: Config,
    outputs: VecDeque<Output>,
}

impl Torrent {
    /// A torrent without peers. A magnet waits for metadata from peers; otherwise [`Input::Info`] comes first.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, outputs: VecDeque::new() }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Duration, input: Input) {
        let _ = (now, input);
    }

    /// Takes a connection that came in and whose handshake names this torrent.
    ///
    /// # Errors
    /// Why it is refused; the shell closes it.
    pub fn accept(&mut self, now: Duration, addr: SocketAddr, hello: Hello) -> Result<PeerKey, Reason> {
        let _ = (now, addr, hello);
        Err(Reason::Limit)
    }

    /// Takes a web seed (BEP 19): a peer without an address that has every piece and unchokes us. It is sent `Request`
    /// and `Cancel` only and answers with `Piece` or `Reject`; when it fails for good it is [`Input::Disconnected`].
    pub fn add_web_seed(&mut self, now: Duration) -> PeerKey {
        let _ = now;
        PeerKey(0)
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due at the latest; `None` when only other inputs can change anything.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        None
    }

    /// Which torrent this is.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.config.info_hash
    }

    /// The pieces that are verified; `None` before the info dictionary is known.
    #[must_use]
    pub fn have(&self) -> Option<&Bitfield> {
        None
    }

    /// Whether every wanted piece is here.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        false
    }

    /// The torrent as numbers; O(peers).
    #[must_use]
    pub fn stats(&self, now: Duration) -> Stats {
        let _ = now;
        unreachable!("not made yet")
    }

    /// The connections as numbers.
    #[must_use]
    pub fn peers(&self, now: Duration) -> Vec<PeerStats> {
        let _ = now;
        Vec::new()
    }

    /// Addresses worth keeping for the next start: those that answered before.
    #[must_use]
    pub fn known_addrs(&self, count_max: usize) -> Vec<SocketAddr> {
        let _ = count_max;
        Vec::new()
    }

    /// How many messages wait for nobody: a shell's check that outputs are polled.
    #[must_use]
    pub fn outputs_pending(&self) -> usize {
        self.outputs.len()
    }
}

#[expect(unused, reason = "until messages are handled")]
type Batch = Vec<Message>;
