//! Exchange of peers (BEP 11): who came and who went since the last message, once a minute to each.
//!
//! A private torrent holds no [`Exchange`]: there is no other way to send or take one.

use core::net::SocketAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use peer_wire::{Pex, PexFlags, PexPeer};

use crate::{Config, PeerKey, Privacy};

/// Between messages to one peer (BEP 11).
const INTERVAL: Duration = Duration::from_secs(60);
/// Before the first one: connections of the beginning are told together.
const FIRST: Duration = Duration::from_secs(3);
/// Between messages from one peer that are listened to; a little under a minute, for clocks differ.
const TAKEN_INTERVAL: Duration = Duration::from_secs(30);
/// Peers told in one message (BEP 11).
const ADDED_MAX: usize = 50;
/// Peers that one peer has been told of, at most.
const TOLD_MAX: usize = 500;

#[derive(Debug)]
struct State {
    next: Duration,
    listen_from: Duration,
    told: BTreeSet<SocketAddr>,
}

/// The exchange of peers of a public torrent.
#[derive(Debug)]
pub(crate) struct Exchange {
    peers: BTreeMap<PeerKey, State>,
}

impl Exchange {
    /// None for a private torrent, nor where the user wants none.
    pub(crate) fn for_torrent(config: &Config) -> Option<Self> {
        match config.privacy {
            Privacy::Public if !config.exchange => None,
            Privacy::Public => Some(Self { peers: BTreeMap::new() }),
            Privacy::Private => None,
        }
    }

    /// A peer speaks it.
    pub(crate) fn joined(&mut self, now: Duration, peer: PeerKey) {
        self.peers.entry(peer).or_insert_with(|| State {
            next: now + FIRST,
            listen_from: Duration::ZERO,
            told: BTreeSet::new(),
        });
    }

    pub(crate) fn left(&mut self, peer: PeerKey) {
        self.peers.remove(&peer);
    }

    /// Takes a message; the addresses worth trying.
    pub(crate) fn received(&mut self, now: Duration, peer: PeerKey, pex: &Pex) -> Vec<SocketAddr> {
        let Some(state) = self.peers.get_mut(&peer) else { return Vec::new() };
        if now < state.listen_from {
            return Vec::new();
        }
        state.listen_from = now + TAKEN_INTERVAL;
        pex.added.iter().map(|added| added.addr).collect()
    }

    /// When the next message is due.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.peers.values().map(|state| state.next).min()
    }

    /// The messages that are due; `connected` is who there is to tell of, by where they listen.
    pub(crate) fn due(
        &mut self,
        now: Duration,
        connected: &BTreeMap<SocketAddr, (PeerKey, PexFlags)>,
    ) -> Vec<(PeerKey, Pex)> {
        let mut messages = Vec::new();
        for (key, state) in &mut self.peers {
            if state.next > now {
                continue;
            }
            state.next = now + INTERVAL;
            let dropped: Vec<_> = state
                .told
                .iter()
                .filter(|addr| !connected.contains_key(addr))
                .take(ADDED_MAX)
                .copied()
                .collect();
            for addr in &dropped {
                state.told.remove(addr);
            }
            let room = TOLD_MAX.saturating_sub(state.told.len()).min(ADDED_MAX);
            let is_new = |(addr, (peer, _)): &(&SocketAddr, &(PeerKey, PexFlags))| {
                peer != key && !state.told.contains(addr)
            };
            let added: Vec<_> = connected
                .iter()
                .filter(is_new)
                .take(room)
                .map(|(addr, (_, flags))| PexPeer { addr: *addr, flags: *flags })
                .collect();
            state.told.extend(added.iter().map(|peer| peer.addr));
            if !added.is_empty() || !dropped.is_empty() {
                messages.push((*key, Pex { added, dropped }));
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use metainfo::InfoHash;

    use super::*;

    #[test]
    fn each_peer_is_told_of_the_others_once_and_of_those_that_left() {
        let addr = |last: u8| SocketAddr::from(([10, 0, 0, last], 6881));
        let mut exchange = Exchange::for_torrent(&Config::new(InfoHash([0; 20]), [0; 20], 0)).unwrap();
        exchange.joined(Duration::ZERO, PeerKey(1));
        let flags = PexFlags::default();
        let mut connected = BTreeMap::from([(addr(1), (PeerKey(1), flags)), (addr(2), (PeerKey(2), flags))]);
        let first = exchange.due(FIRST, &connected);
        assert_eq!(first[0].1.added, [PexPeer { addr: addr(2), flags }]);
        assert_eq!(exchange.due(FIRST + INTERVAL, &connected), []);
        connected.remove(&addr(2));
        assert_eq!(exchange.due(FIRST + 2 * INTERVAL, &connected)[0].1.dropped, [addr(2)]);
    }

    #[test]
    fn a_private_torrent_has_none() {
        let mut config = Config::new(InfoHash([0; 20]), [0; 20], 0);
        config.privacy = Privacy::Private;
        assert!(Exchange::for_torrent(&config).is_none());
        let unwanted = Config { privacy: Privacy::Public, exchange: false, ..config };
        assert!(Exchange::for_torrent(&unwanted).is_none());
    }
}
