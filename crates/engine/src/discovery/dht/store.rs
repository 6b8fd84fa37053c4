//! What others announced to us: peers of torrents, and the tokens that let them (BEP 5).

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use sha1::{Digest, Sha1};

use seeded::Rng;

use super::krpc::NodeId;

/// Torrents that peers are kept for, at most.
const TORRENTS_MAX: usize = 2_000;

/// Peers kept per torrent, at most; the oldest gives way.
const PEERS_MAX: usize = 100;

/// An announce counts for so long; clients renew theirs every quarter of an hour or so.
const KEPT_FOR: Duration = Duration::from_secs(45 * 60);

/// A token is good for one to two of these (BEP 5 has 5 minutes, and accepts up to ten minutes).
const TOKEN_TURN: Duration = Duration::from_secs(5 * 60);

/// Peers that announced themselves.
#[derive(Debug)]
pub(super) struct Store {
    torrents: HashMap<NodeId, Vec<(SocketAddr, Duration)>>,
    /// This turn's secret and the one before.
    secrets: [u64; 2],
    next_turn: Duration,
    random: Rng,
}

impl Store {
    pub(super) fn new(seed: u64, now: Duration) -> Self {
        let mut random = Rng::new(seed);
        let secrets = [random.next(), random.next()];
        Self { torrents: HashMap::new(), secrets, next_turn: now + TOKEN_TURN, random }
    }

    /// Lets time have passed: secrets turn, old announces go.
    pub(super) fn tick(&mut self, now: Duration) {
        if self.next_turn > now {
            return;
        }
        self.next_turn = now + TOKEN_TURN;
        self.secrets = [self.random.next(), self.secrets[0]];
        self.torrents.retain(|_, peers| {
            peers.retain(|(_, at)| now.saturating_sub(*at) < KEPT_FOR);
            !peers.is_empty()
        });
    }

    /// What `ip` has to show when it announces.
    pub(super) fn token(&self, ip: IpAddr) -> Vec<u8> {
        token(self.secrets[0], ip)
    }

    pub(super) fn is_token(&self, ip: IpAddr, given: &[u8]) -> bool {
        self.secrets.iter().any(|secret| token(*secret, ip) == given)
    }

    pub(super) fn add(&mut self, info_hash: NodeId, peer: SocketAddr, now: Duration) {
        if self.torrents.len() >= TORRENTS_MAX && !self.torrents.contains_key(&info_hash) {
            return;
        }
        let peers = self.torrents.entry(info_hash).or_default();
        peers.retain(|(old, _)| *old != peer);
        if peers.len() >= PEERS_MAX {
            peers.remove(0);
        }
        peers.push((peer, now));
    }

    /// Up to `count` peers of a torrent, by chance.
    pub(super) fn peers(&self, info_hash: &NodeId, count: usize, random: &mut Rng) -> Vec<SocketAddr> {
        let Some(peers) = self.torrents.get(info_hash) else { return Vec::new() };
        let start = random.below(peers.len());
        peers.iter().cycle().skip(start).take(count.min(peers.len())).map(|(peer, _)| *peer).collect()
    }
}

fn token(secret: u64, ip: IpAddr) -> Vec<u8> {
    let mut hash = Sha1::new().chain_update(secret.to_be_bytes());
    match ip {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
    hash.finalize()[..8].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_address_and_not_for_ever() {
        let mut store = Store::new(1, Duration::ZERO);
        let (ip, other) = (IpAddr::from([1, 2, 3, 4]), IpAddr::from([1, 2, 3, 5]));
        let token = store.token(ip);
        assert!(store.is_token(ip, &token) && !store.is_token(other, &token));
        store.tick(TOKEN_TURN);
        assert!(store.is_token(ip, &token));
        store.tick(2 * TOKEN_TURN);
        assert!(!store.is_token(ip, &token));
    }

    #[test]
    fn announces_are_bounded_and_grow_old() {
        let mut store = Store::new(1, Duration::ZERO);
        let hash = NodeId([1; 20]);
        for n in 0..500 {
            store.add(hash, SocketAddr::from(([1, 2, 3, 4], 1 + n % 300)), Duration::ZERO);
        }
        let mut random = Rng::new(1);
        let peers = store.peers(&hash, 1_000, &mut random);
        assert_eq!(peers.len(), PEERS_MAX);
        assert_eq!(store.peers(&hash, 5, &mut random).len(), 5);
        store.tick(KEPT_FOR);
        assert!(store.peers(&hash, 5, &mut random).is_empty());
        for n in 0..3_000u16 {
            let mut hash = [0; 20];
            hash[..2].copy_from_slice(&n.to_be_bytes());
            store.add(NodeId(hash), SocketAddr::from(([1, 2, 3, 4], 1)), KEPT_FOR);
        }
        assert_eq!(store.torrents.len(), TORRENTS_MAX);
    }
}
