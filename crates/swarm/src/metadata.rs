//! The info dictionary from peers (BEP 9): asked for many blocks at a time from the first peer that has it, from both ends
//! when more have it, checked against the info-hash; who spoils it is found out by asking one peer alone.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use metainfo::InfoHash;
use peer_wire::METADATA_LENGTH_MAX;
use sha1::{Digest, Sha1};

use crate::PeerKey;

/// Bytes of a block of the info dictionary (BEP 9).
pub(crate) const METADATA_BLOCK: u32 = 1 << 14;
/// Blocks asked of one peer at a time: 128 KiB. libtorrent answers while less than 160 KiB wait to be written, and the rest
/// at its next tick, up to a second later.
const IN_FLIGHT_MAX: usize = 8;
/// Peers asked for the same block at a time: it is small, and waiting for the slowest is long.
const ASKED_MAX: u8 = 2;
/// After this long an answer is no longer expected.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// A peer that rejected is asked again after this.
const REJECTED: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
struct Source {
    size: u32,
    /// Blocks asked for and not answered.
    asked: Vec<(u32, Duration)>,
    /// Not to be asked before.
    resting_until: Duration,
    /// From the end backwards instead of from the beginning.
    backwards: bool,
}

#[derive(Debug, Default)]
struct Slot {
    data: Option<(Bytes, PeerKey)>,
    asked: u8,
}

/// What came of a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More are missing.
    Partly,
    /// All is here and right.
    Complete(Bytes),
    /// All is here and wrong, and this peer sent all of it.
    Guilty(PeerKey),
    /// All is here and wrong; it begins again with one peer alone.
    Again,
    /// It was not asked for, or is no block of it.
    Unasked,
}

/// Fetching the info dictionary.
#[derive(Debug)]
pub(crate) struct Fetch {
    info_hash: InfoHash,
    sources: BTreeMap<PeerKey, Source>,
    /// The size that is being fetched; 0 while nobody said any.
    size: u32,
    slots: Vec<Slot>,
    missing: usize,
    /// Only this peer is asked, since several together sent something wrong.
    alone: Option<PeerKey>,
    suspicious: bool,
    done: bool,
}

impl Fetch {
    pub(crate) fn new(info_hash: InfoHash) -> Self {
        Self {
            info_hash,
            sources: BTreeMap::new(),
            size: 0,
            slots: Vec::new(),
            missing: 0,
            alone: None,
            suspicious: false,
            done: false,
        }
    }

    /// How many peers have it.
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// How many peers sent something of it.
    pub(crate) fn answered(&self) -> usize {
        let mut peers: Vec<_> = self.slots.iter().filter_map(|slot| Some(slot.data.as_ref()?.1)).collect();
        peers.sort_unstable();
        peers.dedup();
        peers.len()
    }

    /// A peer has it and says how large it is.
    pub(crate) fn joined(&mut self, peer: PeerKey, size: u32) {
        if size == 0 || size > METADATA_LENGTH_MAX {
            return;
        }
        let backwards =
            self.sources.values().filter(|source| !source.backwards).count() * 2 > self.sources.len();
        let source = self.sources.entry(peer).or_insert_with(|| Source { backwards, ..Source::default() });
        source.size = size;
    }

    /// A peer is gone.
    pub(crate) fn left(&mut self, peer: PeerKey) {
        if let Some(source) = self.sources.remove(&peer) {
            self.release(&source.asked);
        }
        if self.alone == Some(peer) {
            self.restart();
        }
    }

    fn release(&mut self, asked: &[(u32, Duration)]) {
        for (block, _) in asked {
            if let Some(slot) = self.slots.get_mut(*block as usize) {
                slot.asked = slot.asked.saturating_sub(1);
            }
        }
    }

    fn restart(&mut self) {
        self.size = 0;
        self.slots.clear();
        self.missing = 0;
        self.alone = None;
        for source in self.sources.values_mut() {
            source.asked.clear();
        }
    }

    /// What to ask whom for, now.
    pub(crate) fn requests(&mut self, now: Duration, out: &mut Vec<(PeerKey, u32)>) {
        if self.done {
            return;
        }
        self.expire(now);
        if self.size == 0 {
            let rested = |source: &&Source| source.resting_until <= now;
            let Some(size) = self.sources.values().find(rested).map(|source| source.size) else { return };
            self.size = size;
            self.missing = size.div_ceil(METADATA_BLOCK) as usize;
            self.slots.resize_with(self.missing, Slot::default);
        }
        if self.suspicious && self.alone.is_none() {
            let usable = |source: &Source| source.size == self.size && source.resting_until <= now;
            self.alone = self.sources.iter().find(|(_, source)| usable(source)).map(|(key, _)| *key);
        }
        for (key, source) in &mut self.sources {
            let allowed =
                self.alone.is_none_or(|alone| alone == *key) && !(self.suspicious && self.alone.is_none());
            if source.size != self.size || source.resting_until > now || !allowed {
                continue;
            }
            let count = self.slots.len();
            for step in 0..count {
                if source.asked.len() >= IN_FLIGHT_MAX {
                    break;
                }
                let number = if source.backwards { count - 1 - step } else { step };
                let slot = &mut self.slots[number];
                let block = u32::try_from(number).unwrap_or(u32::MAX);
                if slot.data.is_none()
                    && slot.asked < ASKED_MAX
                    && !source.asked.iter().any(|(asked, _)| *asked == block)
                {
                    slot.asked += 1;
                    source.asked.push((block, now));
                    out.push((*key, block));
                }
            }
        }
    }

    fn expire(&mut self, now: Duration) {
        let mut late = Vec::new();
        for source in self.sources.values_mut() {
            if source.asked.first().is_some_and(|(_, at)| now.saturating_sub(*at) > ANSWER_MAX) {
                late.append(&mut source.asked);
                source.resting_until = now + REJECTED;
            }
        }
        self.release(&late);
        if !late.is_empty()
            && self.sources.values().all(|source| source.size != self.size || source.resting_until > now)
        {
            // Nobody of this size answers: another size may be the right one.
            self.restart();
        }
    }

    /// A peer will not give it.
    pub(crate) fn rejected(&mut self, now: Duration, peer: PeerKey) {
        if let Some(source) = self.sources.get_mut(&peer) {
            let asked = std::mem::take(&mut source.asked);
            source.resting_until = now + REJECTED;
            self.release(&asked);
            if self.sources.values().all(|source| source.asked.is_empty()) || self.alone == Some(peer) {
                self.restart();
            }
        }
    }

    /// A block came.
    pub(crate) fn received(&mut self, peer: PeerKey, block: u32, total: u32, data: &[u8]) -> Progress {
        let Some(source) = self.sources.get_mut(&peer) else { return Progress::Unasked };
        let Some(place) = source.asked.iter().position(|(asked, _)| *asked == block) else {
            return Progress::Unasked;
        };
        source.asked.swap_remove(place);
        source.asked.sort_unstable_by_key(|(_, at)| *at);
        let begin = u64::from(block) * u64::from(METADATA_BLOCK);
        let length = u64::from(self.size).saturating_sub(begin).min(u64::from(METADATA_BLOCK));
        let Some(slot) = self.slots.get_mut(block as usize) else { return Progress::Unasked };
        slot.asked = slot.asked.saturating_sub(1);
        if total != self.size || data.len() as u64 != length {
            return Progress::Guilty(peer);
        }
        if slot.data.is_none() {
            slot.data = Some((Bytes::copy_from_slice(data), peer));
            self.missing -= 1;
        }
        if self.missing > 0 { Progress::Partly } else { self.finish() }
    }

    fn finish(&mut self) -> Progress {
        let mut whole = Vec::with_capacity(self.size as usize);
        let mut senders = Vec::new();
        for (data, peer) in self.slots.iter().filter_map(|slot| slot.data.as_ref()) {
            whole.extend_from_slice(data);
            if !senders.contains(peer) {
                senders.push(*peer);
            }
        }
        if Sha1::digest(&whole).as_slice() == self.info_hash.as_bytes() {
            self.done = true;
            self.slots = Vec::new();
            return Progress::Complete(whole.into());
        }
        self.restart();
        match senders.as_slice() {
            [only] => {
                self.sources.remove(only);
                Progress::Guilty(*only)
            }
            _ => {
                self.suspicious = true;
                Progress::Again
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);

    fn dictionary() -> (Vec<u8>, InfoHash) {
        let bytes: Vec<u8> = (0..50_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let hash = InfoHash(Sha1::digest(&bytes).into());
        (bytes, hash)
    }

    fn block(bytes: &[u8], number: u32) -> &[u8] {
        bytes.chunks(METADATA_BLOCK as usize).nth(number as usize).unwrap()
    }

    #[test]
    fn the_first_peer_is_asked_for_everything_at_once() {
        let (bytes, hash) = dictionary();
        let mut fetch = Fetch::new(hash);
        fetch.joined(A, 50_000);
        let mut asked = Vec::new();
        fetch.requests(Duration::ZERO, &mut asked);
        assert_eq!(asked, [(A, 0), (A, 1), (A, 2), (A, 3)]);
        for number in 0..3 {
            assert_eq!(fetch.received(A, number, 50_000, block(&bytes, number)), Progress::Partly);
        }
        assert_eq!(fetch.received(A, 3, 50_000, block(&bytes, 3)), Progress::Complete(bytes.into()));
    }

    #[test]
    fn the_second_peer_is_asked_from_the_end() {
        let mut fetch = Fetch::new(dictionary().1);
        let mut asked = Vec::new();
        fetch.joined(A, 50_000);
        fetch.requests(Duration::ZERO, &mut asked);
        asked.clear();
        fetch.joined(B, 50_000);
        fetch.requests(Duration::ZERO, &mut asked);
        assert_eq!(asked, [(B, 3), (B, 2), (B, 1), (B, 0)]);
    }

    #[test]
    fn of_two_the_liar_is_found_by_asking_one_alone() {
        let (bytes, hash) = dictionary();
        let mut fetch = Fetch::new(hash);
        fetch.joined(A, 50_000);
        fetch.joined(B, 50_000);
        let mut guilty = None;
        let mut complete = false;
        for _ in 0..10 {
            let mut asked = Vec::new();
            fetch.requests(Duration::ZERO, &mut asked);
            for (peer, number) in asked {
                let mut data = block(&bytes, number).to_vec();
                if peer == B {
                    data[0] ^= 1;
                }
                match fetch.received(peer, number, 50_000, &data) {
                    Progress::Guilty(peer) => guilty = Some(peer),
                    Progress::Complete(_) => complete = true,
                    _ => {}
                }
            }
        }
        assert!(complete && guilty.is_none_or(|peer| peer == B), "{guilty:?}");
    }

    #[test]
    fn sizes_past_the_limit_and_silent_peers_do_not_stop_it() {
        let (_, hash) = dictionary();
        let mut fetch = Fetch::new(hash);
        fetch.joined(A, u32::MAX);
        assert_eq!(fetch.sources(), 0);
        fetch.joined(A, 20);
        let mut asked = Vec::new();
        fetch.requests(Duration::ZERO, &mut asked);
        fetch.joined(B, 50_000);
        fetch.requests(Duration::from_secs(9), &mut asked);
        assert_eq!(asked.len(), 5, "{asked:?}");
    }
}
