//! Whom to dial next: addresses where peers may listen, who told us, how often they failed (BEP 40 orders equals).
//!
//! Also who must not be met: banned addresses. Connections themselves are in `peers`.

use core::net::{IpAddr, SocketAddr};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{PeerKey, Source};

/// Addresses remembered; a flash crowd's tracker answers fit several times over.
const CANDIDATES_MAX: usize = 4_000;
/// Banned addresses remembered; the oldest is forgotten first.
const BANS_MAX: usize = 4_096;
/// Attempts that may fail in a row before an address is forgotten, unless the user gave it.
const FAILURES_MAX: u8 = 6;
/// Before an address is tried again after its first failure; doubles with each.
const BACK_OFF: Duration = Duration::from_secs(10);
/// The same for addresses that the user gave or that are in the house.
const BACK_OFF_NEAR: Duration = Duration::from_secs(3);
/// The longest wait between attempts.
const BACK_OFF_MAX: Duration = Duration::from_secs(1_800);
/// Before an address is tried again whose connection ended without a fault.
const RECONNECT: Duration = Duration::from_secs(20);
/// Before somebody who served us is tried again while a reader has nobody else; doubles with each attempt ...
const AGAIN: Duration = Duration::from_secs(1);
/// ... this many times: whoever returns is met soon after.
const AGAIN_DOUBLINGS_MAX: u32 = 2;

/// How a connection or an attempt ended, for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No connection came about, or nothing came over it.
    Failed,
    /// It served its time.
    Served,
    /// We have no use for each other: both are seeds.
    Useless,
    /// Never again: it broke the protocol, or is ourselves.
    Hostile,
    /// We gave up for reasons of our own; it may be tried at once.
    Ours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Waiting {
        until: Duration,
        /// Before `until`, when somebody waits for it.
        again: Option<Duration>,
    },
    InUse(PeerKey),
}

#[derive(Clone, Debug)]
struct Candidate {
    source: Source,
    failures: u8,
    /// A connection came about once.
    answered: bool,
    /// It gave us something in this run.
    served: bool,
    /// Attempts that failed since it was last met.
    tries: u8,
    /// It is tried before it is due, which it is then.
    early: Option<Duration>,
    /// It had everything when last met.
    seed: bool,
    priority: u32,
    state: State,
}

type Rank = (bool, u8, u8, u32, SocketAddr);

impl Candidate {
    fn rank(&self, addr: SocketAddr) -> Rank {
        let near = match self.source {
            Source::User => 0,
            Source::Lsd => 1,
            Source::Tracker | Source::Incoming | Source::Pex | Source::Dht => 2,
        };
        (self.seed, self.failures, near, !self.priority, addr)
    }

    fn is_near(&self) -> bool {
        matches!(self.source, Source::User | Source::Lsd)
    }
}

/// The addresses known.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    known: BTreeMap<SocketAddr, Candidate>,
    ready: BTreeSet<Rank>,
    waiting: BTreeSet<(Duration, SocketAddr)>,
    /// Of those that wait, who served us, by when they are tried again if somebody waits for them.
    again: BTreeSet<(Duration, SocketAddr)>,
    bans: BTreeSet<IpAddr>,
    bans_in_order: VecDeque<IpAddr>,
    banned_ids: BTreeSet<[u8; 20]>,
    /// Addresses that others go on telling us of, and that are not to be dialled: hostile ones, and our own.
    refused: BTreeSet<SocketAddr>,
    in_use: usize,
}

impl Candidates {
    /// Remembers `addr`; whether it is new. `priority` as in BEP 40: the higher, the better.
    pub(crate) fn add(&mut self, addr: SocketAddr, source: Source, priority: u32) -> bool {
        let addr = canonical(addr);
        if addr.port() == 0
            || addr.ip().is_unspecified()
            || addr.ip().is_multicast()
            || self.is_banned(addr.ip())
        {
            return false;
        }
        if self.refused.contains(&addr) {
            return false;
        }
        if let Some(known) = self.known.get_mut(&addr) {
            if source < known.source {
                let (old, was_ready) = (known.rank(addr), known.state == State::Ready);
                known.source = source;
                let new = known.rank(addr);
                if was_ready {
                    self.ready.remove(&old);
                    self.ready.insert(new);
                }
            }
            return false;
        }
        if self.known.len() >= CANDIDATES_MAX && !self.drop_worst() {
            return false;
        }
        let candidate = Candidate {
            source,
            failures: 0,
            answered: false,
            served: false,
            tries: 0,
            early: None,
            seed: false,
            priority,
            state: State::Ready,
        };
        self.ready.insert(candidate.rank(addr));
        self.known.insert(addr, candidate);
        true
    }

    /// Makes room; only for those that failed or were heard of last in rank.
    fn drop_worst(&mut self) -> bool {
        let addr = match (self.waiting.last(), self.ready.last()) {
            (Some((_, addr)), _) => *addr,
            (None, Some(rank)) if rank.1 > 0 => rank.4,
            _ => return false,
        };
        self.forget(addr);
        true
    }

    fn forget(&mut self, addr: SocketAddr) {
        if let Some(candidate) = self.known.remove(&addr) {
            match candidate.state {
                State::Ready => drop(self.ready.remove(&candidate.rank(addr))),
                State::Waiting { until, again } => self.waits_no_more(addr, until, again),
                State::InUse(_) => self.in_use -= 1,
            }
        }
    }

    fn waits_no_more(&mut self, addr: SocketAddr, until: Duration, again: Option<Duration>) {
        self.waiting.remove(&(until, addr));
        if let Some(again) = again {
            self.again.remove(&(again, addr));
        }
    }

    /// An address that waits may be dialled, perhaps before it is due.
    fn make_ready(&mut self, addr: SocketAddr, early: bool) {
        let Some(candidate) = self.known.get_mut(&addr) else { return };
        let State::Waiting { until, again } = candidate.state else { return };
        candidate.state = State::Ready;
        candidate.early = early.then_some(until);
        self.ready.insert(candidate.rank(addr));
        self.waits_no_more(addr, until, again);
    }

    /// Whether somebody who served us waits to be tried again.
    pub(crate) fn may_hurry(&self) -> bool {
        !self.again.is_empty()
    }

    /// The best address to dial now, if any; seeds only when `seeds` are of use. Who served us is tried early where that is
    /// in a `hurry`. [`Self::take`] has to follow.
    pub(crate) fn next(&mut self, now: Duration, seeds: bool, hurry: bool) -> Option<(SocketAddr, Source)> {
        while let Some((until, addr)) = self.waiting.first().copied()
            && until <= now
        {
            self.make_ready(addr, false);
        }
        while let Some((again, addr)) = self.again.first().copied()
            && hurry
            && again <= now
        {
            self.make_ready(addr, true);
        }
        let rank = self.ready.first()?;
        if rank.0 && !seeds {
            return None;
        }
        self.known.get(&rank.4).map(|candidate| (rank.4, candidate.source))
    }

    /// Marks `addr` as dialled or connected by `peer`; false when it already is in use by another.
    pub(crate) fn take(&mut self, addr: SocketAddr, peer: PeerKey) -> bool {
        let addr = canonical(addr);
        let Some(candidate) = self.known.get_mut(&addr) else { return true };
        match candidate.state {
            State::InUse(other) => return other == peer,
            State::Ready => drop(self.ready.remove(&candidate.rank(addr))),
            State::Waiting { until, again } => {
                self.waiting.remove(&(until, addr));
                again.map(|again| self.again.remove(&(again, addr)));
            }
        }
        candidate.state = State::InUse(peer);
        self.in_use += 1;
        true
    }

    /// A handshake came: failures are forgotten.
    pub(crate) fn answered(&mut self, addr: SocketAddr) {
        if let Some(candidate) = self.known.get_mut(&canonical(addr)) {
            candidate.answered = true;
            (candidate.failures, candidate.tries, candidate.early) = (0, 0, None);
        }
    }

    /// It gave us something.
    pub(crate) fn served(&mut self, addr: SocketAddr) {
        if let Some(candidate) = self.known.get_mut(&canonical(addr)) {
            candidate.served = true;
        }
    }

    /// The attempt or connection of `peer` with `addr` ended.
    pub(crate) fn ended(&mut self, now: Duration, addr: SocketAddr, peer: PeerKey, end: End) {
        let addr = canonical(addr);
        let Some(candidate) = self.known.get_mut(&addr) else { return };
        if candidate.state != State::InUse(peer) {
            return;
        }
        self.in_use -= 1;
        let wait = match end {
            End::Ours => Duration::ZERO,
            End::Useless => {
                candidate.seed = true;
                BACK_OFF_MAX
            }
            End::Served if candidate.is_near() => BACK_OFF_NEAR,
            End::Served => RECONNECT,
            // An attempt for somebody's sake leaves the others' times as they are.
            End::Failed if candidate.early.is_some() => {
                candidate.early.take().unwrap_or_default().saturating_sub(now)
            }
            End::Failed | End::Hostile => {
                candidate.failures = candidate.failures.saturating_add(1);
                let first = if candidate.is_near() { BACK_OFF_NEAR } else { BACK_OFF };
                let doublings = u32::from(candidate.failures.saturating_sub(1)).min(16);
                first.saturating_mul(1 << doublings).min(BACK_OFF_MAX)
            }
        };
        let hopeless = candidate.failures >= FAILURES_MAX && !candidate.is_near() && !candidate.answered;
        candidate.early = None;
        let until = now + wait;
        let again = now + AGAIN * (1 << u32::from(candidate.tries).min(AGAIN_DOUBLINGS_MAX));
        let again =
            (candidate.served && matches!(end, End::Served | End::Failed) && again < until).then_some(again);
        candidate.tries = candidate.tries.saturating_add(1);
        candidate.state = State::Waiting { until, again };
        self.waiting.insert((until, addr));
        self.again.extend(again.map(|again| (again, addr)));
        if end == End::Hostile && self.refused.len() < BANS_MAX {
            self.refused.insert(addr);
        }
        if hopeless || end == End::Hostile {
            self.forget(addr);
        }
    }

    /// When the next address becomes ready; now when one is.
    pub(crate) fn next_ready(&self, now: Duration, seeds: bool, hurry: bool) -> Option<Duration> {
        if self.ready.first().is_some_and(|rank| seeds || !rank.0) {
            return Some(now);
        }
        let again = self.again.first().filter(|_| hurry);
        self.waiting.first().into_iter().chain(again).map(|(at, _)| *at).min()
    }

    /// Never again `ip`. Whether that is new.
    pub(crate) fn ban(&mut self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if !self.bans.insert(ip) {
            return false;
        }
        self.bans_in_order.push_back(ip);
        if self.bans_in_order.len() > BANS_MAX
            && let Some(oldest) = self.bans_in_order.pop_front()
        {
            self.bans.remove(&oldest);
        }
        let gone: Vec<_> = self.known.keys().filter(|addr| addr.ip() == ip).copied().collect();
        for addr in gone {
            self.forget(addr);
        }
        true
    }

    pub(crate) fn is_banned(&self, ip: IpAddr) -> bool {
        self.bans.contains(&ip.to_canonical())
    }

    /// Never again a peer of this id: for addresses that many peers share.
    pub(crate) fn ban_id(&mut self, id: [u8; 20]) {
        if self.banned_ids.len() < BANS_MAX {
            self.banned_ids.insert(id);
        }
    }

    pub(crate) fn is_banned_id(&self, id: [u8; 20]) -> bool {
        self.banned_ids.contains(&id)
    }

    /// Forgets those that were told of by `which` and are not in use.
    pub(crate) fn forget_sources(&mut self, which: impl Fn(Source) -> bool) {
        let gone: Vec<_> =
            self.known.iter().filter(|(_, found)| which(found.source)).map(|(addr, _)| *addr).collect();
        for addr in gone {
            self.forget(addr);
        }
    }

    /// Seeds are of use again: all may be tried.
    pub(crate) fn revive(&mut self, now: Duration) {
        let waiting = std::mem::take(&mut self.waiting);
        for rank in std::mem::take(&mut self.ready) {
            if let Some(candidate) = self.known.get_mut(&rank.4) {
                candidate.seed = false;
                self.ready.insert(candidate.rank(rank.4));
            }
        }
        for (until, addr) in waiting {
            if let Some(candidate) = self.known.get_mut(&addr) {
                let until = if std::mem::take(&mut candidate.seed) { now } else { until };
                if let State::Waiting { until: due, .. } = &mut candidate.state {
                    *due = until;
                }
                self.waiting.insert((until, addr));
            }
        }
    }

    /// Addresses known and not in use.
    pub(crate) fn len(&self) -> usize {
        self.known.len() - self.in_use
    }

    /// Those that answered once, or are in use, best first.
    pub(crate) fn worth_keeping(&self, count_max: usize) -> Vec<SocketAddr> {
        let mut kept: Vec<_> =
            self.known.iter().filter(|(_, c)| c.answered).map(|(addr, c)| c.rank(*addr)).collect();
        kept.sort_unstable();
        kept.into_iter().take(count_max).map(|rank| rank.4).collect()
    }
}

/// IPv4 as IPv4, also where a dual-stack socket says it as IPv6.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 6881))
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_users_addresses_come_first_then_those_of_higher_priority() {
        let mut candidates = Candidates::default();
        candidates.add(addr(1), Source::Dht, 9);
        candidates.add(addr(2), Source::Tracker, 10);
        candidates.add(addr(3), Source::User, 1);
        let mut order = Vec::new();
        while let Some((addr, _)) = candidates.next(S, true, false) {
            order.push(addr.ip().to_string());
            candidates.take(addr, PeerKey(1));
        }
        assert_eq!(order, ["10.0.0.3", "10.0.0.2", "10.0.0.1"]);
    }

    #[test]
    fn failures_double_the_wait_and_six_forget_the_address() {
        let mut candidates = Candidates::default();
        candidates.add(addr(1), Source::Tracker, 0);
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        while let Some(ready) = candidates.next_ready(now, true, false) {
            waits.push((ready - now).as_secs());
            now = ready;
            let (addr, _) = candidates.next(now, true, false).unwrap();
            candidates.take(addr, PeerKey(7));
            candidates.ended(now, addr, PeerKey(7), End::Failed);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160]);
        assert_eq!(candidates.len(), 0);
    }

    #[test]
    fn who_served_us_is_tried_again_soon_where_somebody_waits_and_when_it_is_due_else() {
        let mut candidates = Candidates::default();
        for last in [1, 2] {
            candidates.add(addr(last), Source::Tracker, 0);
            candidates.next(S, true, false);
            candidates.take(addr(last), PeerKey(1));
            candidates.answered(addr(last));
        }
        candidates.served(addr(1));
        for last in [1, 2] {
            candidates.ended(S, addr(last), PeerKey(1), End::Served);
        }
        assert!(candidates.may_hurry());
        assert_eq!(candidates.next(20 * S, true, false), None);
        let (mut now, mut waits) = (S, Vec::new());
        while let Some(ready) = candidates.next_ready(now, true, true)
            && ready < 21 * S
        {
            waits.push((ready - now).as_secs());
            now = ready;
            assert_eq!(candidates.next(now, true, true), Some((addr(1), Source::Tracker)));
            candidates.take(addr(1), PeerKey(2));
            candidates.ended(now, addr(1), PeerKey(2), End::Failed);
        }
        assert_eq!(waits, [1, 2, 4, 4, 4, 4]);
        // Nothing of that makes the ordinary times longer.
        assert_eq!(candidates.next_ready(now, true, false), Some(21 * S));
        // It is met: the next time begins anew.
        candidates.next(21 * S, true, false);
        candidates.take(addr(1), PeerKey(3));
        candidates.answered(addr(1));
        candidates.ended(40 * S, addr(1), PeerKey(3), End::Served);
        assert_eq!(candidates.next_ready(40 * S, false, true), Some(40 * S), "the other");
        candidates.forget(addr(2));
        assert_eq!(candidates.next_ready(40 * S, true, true), Some(41 * S));
        candidates.ban(addr(1).ip());
        assert!(!candidates.may_hurry() && candidates.next_ready(40 * S, true, true).is_none());
    }

    #[test]
    fn banned_addresses_are_neither_kept_nor_learnt_again() {
        let mut candidates = Candidates::default();
        candidates.add(addr(1), Source::Tracker, 0);
        assert!(candidates.ban(addr(1).ip()));
        assert!(!candidates.add(addr(1), Source::User, 0));
        assert!(!candidates.add("[::ffff:10.0.0.1]:80".parse().unwrap(), Source::User, 0));
        assert_eq!(candidates.next(S, true, false), None);
    }

    #[test]
    fn seeds_wait_until_they_are_of_use() {
        let mut candidates = Candidates::default();
        candidates.add(addr(1), Source::Tracker, 0);
        candidates.take(addr(1), PeerKey(1));
        candidates.ended(S, addr(1), PeerKey(1), End::Useless);
        assert_eq!(candidates.next(4000 * S, false, false), None);
        candidates.revive(4000 * S);
        assert!(candidates.next(4000 * S, true, false).is_some());
    }
}
