//! Whom to unchoke (BEP 3): the best of those who are interested by rate, and one optimistically.
//!
//! While downloading the best are those who give us most; while seeding, those who take fastest, but nobody for ever. When
//! slots are free a peer is unchoked as soon as it is interested, without waiting for a round: `serve` does that.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use seeded::Rng;

use crate::PeerKey;

/// Between rounds.
const ROUND: Duration = Duration::from_secs(10);
/// How long a peer stays the optimistic one.
const OPTIMISTIC: Duration = Duration::from_secs(30);
/// A peer younger than this is three times as likely to become the optimistic one.
const YOUNG: Duration = Duration::from_secs(60);
/// A seed's guest goes behind the others after this long ...
const TURN: Duration = Duration::from_secs(60);
/// ... and this many bytes.
const TURN_BYTES: u64 = 16 << 20;

/// A peer as the choker sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) key: PeerKey,
    pub(crate) interested: bool,
    pub(crate) choked: bool,
    /// It owes us blocks for too long.
    pub(crate) snubs: bool,
    /// Bytes per second it gives us.
    pub(crate) gives: u64,
    /// Bytes per second it takes.
    pub(crate) takes: u64,
    /// When it was last choked or unchoked.
    pub(crate) changed: Duration,
    /// Bytes given since it was unchoked.
    pub(crate) turn_bytes: u64,
    pub(crate) connected: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Choker {
    next_round: Duration,
    next_optimistic: Duration,
    optimistic: Option<PeerKey>,
}

impl Choker {
    pub(crate) fn next_round(&self) -> Duration {
        self.next_round
    }

    /// Who is to be unchoked from now on.
    pub(crate) fn round(
        &mut self,
        now: Duration,
        contenders: &[Contender],
        slots: usize,
        seeding: bool,
        rng: &mut Rng,
    ) -> BTreeSet<PeerKey> {
        self.next_round = now + ROUND;
        let mut ranked: Vec<_> = contenders.iter().filter(|peer| peer.interested).collect();
        if ranked.len() <= slots {
            self.optimistic = None;
            return ranked.iter().map(|peer| peer.key).collect();
        }
        if slots == 0 {
            return BTreeSet::new();
        }
        if seeding {
            ranked.sort_by_key(|peer| {
                let had_its_turn =
                    !peer.choked && now.saturating_sub(peer.changed) > TURN && peer.turn_bytes > TURN_BYTES;
                (had_its_turn, Reverse(if peer.choked { 0 } else { peer.takes }), peer.changed, peer.key)
            });
        } else {
            ranked.sort_by_key(|peer| (peer.snubs, Reverse(peer.gives), Reverse(peer.takes), peer.key));
        }
        let regular = (slots - 1).max(usize::from(slots == 1));
        let mut chosen: BTreeSet<_> = ranked.iter().take(regular).map(|peer| peer.key).collect();
        if regular < slots {
            let rest: Vec<_> = ranked.iter().skip(regular).copied().collect();
            let stays = self.optimistic.filter(|key| {
                now < self.next_optimistic && rest.iter().any(|peer| peer.key == *key && !peer.choked)
            });
            let key = stays.or_else(|| {
                self.next_optimistic = now + OPTIMISTIC;
                draw(now, &rest, rng)
            });
            self.optimistic = key;
            chosen.extend(key);
        }
        chosen
    }
}

/// A choked one at random, the young three times as likely.
fn draw(now: Duration, rest: &[&Contender], rng: &mut Rng) -> Option<PeerKey> {
    let weight = |peer: &Contender| match (peer.choked, now.saturating_sub(peer.connected) < YOUNG) {
        (false, _) => 0,
        (true, true) => 3,
        (true, false) => 1,
    };
    let total: usize = rest.iter().map(|peer| weight(peer)).sum();
    let mut at = rng.below(total);
    for peer in rest {
        let weight = weight(peer);
        if at < weight {
            return Some(peer.key);
        }
        at -= weight;
    }
    rest.first().map(|peer| peer.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(key: u32, gives: u64) -> Contender {
        Contender {
            key: PeerKey(key),
            interested: true,
            choked: true,
            snubs: false,
            gives,
            takes: 0,
            changed: Duration::ZERO,
            turn_bytes: 0,
            connected: Duration::ZERO,
        }
    }

    #[test]
    fn the_most_generous_and_one_more_are_unchoked() {
        let peers: Vec<_> = (0..10).map(|key| peer(key, u64::from(key) * 100)).collect();
        let chosen = Choker::default().round(Duration::from_secs(100), &peers, 4, false, &mut Rng::new(1));
        assert_eq!(chosen.len(), 4);
        for key in 7..10 {
            assert!(chosen.contains(&PeerKey(key)));
        }
    }

    #[test]
    fn who_snubs_us_is_unchoked_only_optimistically() {
        let mut peers: Vec<_> = (0..4).map(|key| peer(key, 100)).collect();
        peers[3].snubs = true;
        peers[3].gives = 1_000;
        let chosen = Choker::default().round(Duration::ZERO, &peers, 3, false, &mut Rng::new(1));
        assert!(chosen.contains(&PeerKey(0)) && chosen.contains(&PeerKey(1)));
    }

    #[test]
    fn a_seed_gives_everyone_a_turn() {
        let mut peers: Vec<_> = (0..6).map(|key| peer(key, 0)).collect();
        let (mut choker, mut rng) = (Choker::default(), Rng::new(3));
        let mut served = BTreeSet::new();
        for round in 0..60 {
            let now = Duration::from_secs(10 * round);
            let chosen = choker.round(now, &peers, 2, true, &mut rng);
            for peer in &mut peers {
                let unchoked = chosen.contains(&peer.key);
                if unchoked == peer.choked {
                    (peer.choked, peer.changed, peer.turn_bytes) = (!unchoked, now, 0);
                }
                peer.takes = if unchoked { 2 << 20 } else { 0 };
                peer.turn_bytes += peer.takes * 10;
            }
            served.extend(chosen);
        }
        assert_eq!(served.len(), 6);
    }
}
