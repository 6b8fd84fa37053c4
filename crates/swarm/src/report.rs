//! The torrent and its connections as numbers, and why a reader waits.

use core::net::SocketAddr;
use std::{ops::Range, time::Duration};

use crate::{
    PeerStats, ReaderStats, Sources, Stats, Wait,
    peers::Peer,
    torrent::{Phase, Torrent},
};

/// Rates are not made of less than this, so that the first block is no gigabit.
const SPAN_MIN: Duration = Duration::from_millis(500);

impl Torrent {
    /// The torrent as numbers; O(peers).
    #[must_use]
    pub fn stats(&self, now: Duration) -> Stats {
        let content = self.content.as_ref();
        let progress = content.map(|content| content.picker.progress()).unwrap_or_default();
        let pieces = content.map_or(0, |content| content.layout.pieces());
        let seed = |peer: &&Peer| {
            peer.is_up()
                && content.map_or(peer.early.all, |content| content.picker.peer_pieces(peer.key) == pieces)
        };
        let seeds = self.peers.iter().filter(seed).count();
        let copied: u64 = content.map_or(0, |content| {
            self.peers
                .iter()
                .filter(|peer| peer.is_up())
                .map(|peer| u64::from(content.picker.peer_pieces(peer.key)))
                .sum()
        });
        let copies = (copied + u64::from(progress.pieces)) * 1_000 / u64::from(pieces.max(1));
        Stats {
            counters: self.counters,
            left_wanted: progress.wanted_bytes_left,
            left: content.map(|content| content.layout.total() - progress.bytes),
            pieces_have: progress.pieces,
            pieces,
            down_bytes_per_s: self.down.rate(now, SPAN_MIN),
            up_bytes_per_s: self.up.rate(now, SPAN_MIN),
            connected: self.peers.connected(),
            connecting: self.peers.attempts(),
            seeds,
            candidates: self.candidates.len(),
            in_flight: progress.requests as usize,
            availability_per_mille: u32::try_from(copies).unwrap_or(u32::MAX),
            metadata_answered: self.fetch.answered(),
            wait: self.wait(now),
        }
    }

    /// The readers as numbers.
    #[must_use]
    pub fn readers(&self, now: Duration) -> Vec<ReaderStats> {
        self.readers.stats(now).collect()
    }

    /// Who has the first of `pieces` that is missing; `None` when all are here. O(peers).
    #[must_use]
    pub fn sources(&self, pieces: Range<u32>) -> Option<Sources> {
        let content = self.content.as_ref()?;
        let have = content.picker.have();
        let piece = pieces.filter_map(|piece| content.layout.piece(piece)).find(|piece| !have.has(*piece))?;
        let has = self.peers.iter().filter(|peer| peer.up && content.picker.peer_has_piece(peer.key, piece));
        let (mut peers, mut serving) = (0, 0);
        for peer in has {
            peers += 1;
            serving += usize::from(!peer.choking);
        }
        Some(Sources { piece, peers, serving })
    }

    fn wait(&self, now: Duration) -> Wait {
        let Some(content) = &self.content else {
            return match (self.phase == Phase::Running, self.peers.connected()) {
                (false, _) => Wait::Stopped,
                (true, 0) => self.no_peers(),
                (true, _) => Wait::Metadata { peers: self.fetch.sources() },
            };
        };
        // What is missing first: each reader's next piece, or anything that is wanted.
        let have = content.picker.have();
        let missing: Vec<_> = self
            .readers
            .positions()
            .map(|at| content.layout.piece_of(at))
            .filter(|piece| !have.has(*piece))
            .collect();
        if missing.is_empty() && (!self.readers.is_empty() || self.needs_nothing()) {
            return Wait::Nothing;
        }
        if self.phase != Phase::Running {
            return Wait::Stopped;
        }
        let helps = |peer: &&Peer| {
            peer.up
                && match missing.as_slice() {
                    [] => content.picker.is_interesting(peer.key),
                    pieces => pieces.iter().any(|piece| content.picker.peer_has_piece(peer.key, *piece)),
                }
        };
        let there = self.peers.iter().filter(|peer| peer.up).count();
        let sources = self.peers.iter().filter(helps).count();
        let serving = self.peers.iter().filter(helps).filter(|peer| !peer.choking).count();
        match (there, sources, serving) {
            (0, _, _) => self.no_peers(),
            (peers, 0, _) => Wait::NoSource { peers },
            (_, peers, 0) => Wait::Choked { peers },
            (_, _, peers) => Wait::Rate { peers, bytes_per_s: self.down.rate(now, SPAN_MIN) },
        }
    }

    fn no_peers(&self) -> Wait {
        Wait::NoPeers { candidates: self.candidates.len(), connecting: self.peers.attempts() }
    }

    /// The connections as numbers.
    #[must_use]
    pub fn peers(&self, now: Duration) -> Vec<PeerStats> {
        let watched = self.is_watched(now);
        self.peers.iter().filter(|peer| peer.up).map(|peer| self.peer(now, peer, watched)).collect()
    }

    fn peer(&self, now: Duration, peer: &Peer, watched: bool) -> PeerStats {
        let picker = self.content.as_ref().map(|content| &content.picker);
        PeerStats {
            peer: peer.key,
            addr: peer.addr,
            source: peer.source,
            client: peer.client.clone().unwrap_or_else(|| client_of(&peer.hello.peer_id)),
            peer_id: peer.hello.peer_id,
            incoming: peer.kind == crate::peers::Kind::Incoming,
            encrypted: peer.hello.encrypted,
            utp: peer.hello.utp,
            pieces: picker.map_or(0, |picker| picker.peer_pieces(peer.key)),
            downloaded: peer.downloaded,
            uploaded: peer.uploaded,
            down_bytes_per_s: peer.down.rate(now, SPAN_MIN),
            up_bytes_per_s: peer.up_meter.rate(now, SPAN_MIN),
            choking: peer.choking,
            interested: peer.interested,
            choked: peer.choked,
            interesting: peer.interesting,
            snubbed: peer.pipeline.is_snubbed(),
            in_flight: picker.map_or(0, |picker| picker.in_flight(peer.key)),
            in_flight_max: peer.pipeline.target(now, watched),
            round_trip: peer.pipeline.round_trip(),
        }
    }

    /// Addresses worth keeping for the next start: those that answered before, best first.
    #[must_use]
    pub fn known_addrs(&self, count_max: usize) -> Vec<SocketAddr> {
        self.candidates.worth_keeping(count_max)
    }
}

/// What a peer id says of the client, where it is text (BEP 20).
fn client_of(peer_id: &[u8; 20]) -> String {
    peer_id[..8].iter().take_while(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect()
}
