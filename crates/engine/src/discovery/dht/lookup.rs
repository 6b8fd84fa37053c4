//! One search: towards a target, a few nodes at a time, each answer naming nearer ones (Kademlia; BEP 5).

use std::{net::SocketAddr, time::Duration};

use super::{
    krpc::{NodeId, is_usable},
    table::K,
};

/// Nodes asked at once (Kademlia's α).
const AT_ONCE: usize = 4;

/// A node that has not answered for so long does not hold up the others; its answer still counts.
pub(super) const SLOW_AFTER: Duration = Duration::from_millis(1_000);

/// Nodes remembered per search: the nearest.
const CANDIDATES_MAX: usize = 100;

/// Nodes asked per search: more are hostile answers, not progress.
const QUESTIONS_MAX: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Asked(Duration),
    Answered,
    Failed,
}

#[derive(Clone, Debug)]
struct Candidate {
    /// Not known for nodes that only an address is known of.
    id: Option<NodeId>,
    addr: SocketAddr,
    state: State,
    /// What lets us announce there.
    token: Option<Vec<u8>>,
}

/// A search on its way.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) target: NodeId,
    /// The nearest first; those without an identifier last.
    candidates: Vec<Candidate>,
    questions: usize,
}

impl Lookup {
    pub(super) fn new(target: NodeId) -> Self {
        Self { target, candidates: Vec::new(), questions: 0 }
    }

    /// A node that might be asked.
    pub(super) fn add(&mut self, id: Option<NodeId>, addr: SocketAddr) {
        if !is_usable(&addr)
            || self.candidates.iter().any(|old| old.addr == addr || id.is_some() && old.id == id)
        {
            return;
        }
        let key = |id: Option<NodeId>| id.map_or([0xff; 20], |id| id.distance(&self.target));
        let at = self.candidates.partition_point(|old| key(old.id) <= key(id));
        if at < CANDIDATES_MAX {
            self.candidates.insert(at, Candidate { id, addr, state: State::New, token: None });
            // Whoever is pushed out is the farthest; its answer would change nothing.
            self.candidates.truncate(CANDIDATES_MAX);
        }
    }

    /// Whom to ask next, if anybody can be asked now. It counts as asked.
    pub(super) fn next(&mut self, now: Duration) -> Option<(Option<NodeId>, SocketAddr)> {
        if self.questions >= QUESTIONS_MAX {
            return None;
        }
        let waiting =
            |c: &Candidate| matches!(c.state, State::Asked(at) if now.saturating_sub(at) < SLOW_AFTER);
        if self.candidates.iter().filter(|c| waiting(c)).count() >= AT_ONCE {
            return None;
        }
        // Beyond the K nearest that live, nobody is of interest.
        let mut living = 0;
        for candidate in &mut self.candidates {
            match candidate.state {
                State::Failed => continue,
                State::New => {
                    candidate.state = State::Asked(now);
                    self.questions += 1;
                    return Some((candidate.id, candidate.addr));
                }
                State::Answered => living += 1,
                // A slow one is not counted on.
                State::Asked(at) => living += usize::from(now.saturating_sub(at) < SLOW_AFTER),
            }
            if living >= K {
                return None;
            }
        }
        None
    }

    /// A node answered, and may be announced to with `token`.
    pub(super) fn answered(&mut self, id: NodeId, addr: SocketAddr, token: Option<Vec<u8>>) {
        if let Some(at) = self.candidates.iter().position(|c| c.addr == addr) {
            let mut candidate = self.candidates.remove(at);
            (candidate.id, candidate.state, candidate.token) = (Some(id), State::Answered, token);
            // Its identifier may be another than was said, or be known only now.
            let distance = id.distance(&self.target);
            let nearer = |c: &Candidate| c.id.is_some_and(|id| id.distance(&self.target) <= distance);
            let at = self.candidates.partition_point(nearer);
            self.candidates.insert(at, candidate);
        }
    }

    /// A node did not answer, or refused.
    pub(super) fn failed(&mut self, addr: &SocketAddr) {
        if let Some(candidate) = self.candidates.iter_mut().find(|c| c.addr == *addr) {
            candidate.state = State::Failed;
        }
    }

    /// When [`next`](Self::next) may have another answer, unless something happens before.
    pub(super) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let slow = |c: &Candidate| match c.state {
            State::Asked(at) if at + SLOW_AFTER > now => Some(at + SLOW_AFTER),
            _ => None,
        };
        self.candidates.iter().filter_map(slow).min()
    }

    /// Whether nobody is left to ask or to wait for.
    pub(super) fn is_done(&self) -> bool {
        let open = |c: &&Candidate| matches!(c.state, State::Asked(_));
        let waiting = self.candidates.iter().filter(open).count() > 0;
        let mut living = 0;
        for candidate in &self.candidates {
            match candidate.state {
                State::New if self.questions < QUESTIONS_MAX => return false,
                State::Answered => living += 1,
                _ => {}
            }
            // The K nearest have answered: who is slow beyond them does not matter.
            if living >= K {
                return true;
            }
            if matches!(candidate.state, State::Asked(_)) {
                return false;
            }
        }
        !waiting
    }

    /// The K nearest that answered and gave a token.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (NodeId, SocketAddr, &[u8])> {
        let answered = self.candidates.iter().filter(|c| c.state == State::Answered).take(K);
        answered.filter_map(|c| Some((c.id?, c.addr, c.token.as_deref()?)))
    }

    /// Whether anybody answered at all.
    pub(super) fn has_answers(&self) -> bool {
        self.candidates.iter().any(|c| c.state == State::Answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn id(n: u8) -> NodeId {
        NodeId([n; 20])
    }

    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([1, 2, 3, n], 6881))
    }

    #[test]
    fn the_nearest_are_asked_first_and_only_a_few_at_once() {
        let mut lookup = Lookup::new(id(0));
        (1..=20).rev().for_each(|n| lookup.add(Some(id(n)), addr(n)));
        let asked: Vec<_> = std::iter::from_fn(|| lookup.next(NOW)).map(|(id, _)| id.unwrap().0[0]).collect();
        assert_eq!(asked, [1, 2, 3, 4]);
        assert_eq!(lookup.next_timeout(NOW), Some(NOW + SLOW_AFTER));
        assert_eq!(lookup.next(NOW + SLOW_AFTER).unwrap().1, addr(5), "the slow hold nobody up");
        lookup.answered(id(1), addr(1), None);
        lookup.answered(id(5), addr(5), None);
        lookup.add(Some(id(0)), addr(100));
        assert_eq!(lookup.next(NOW).unwrap().1, addr(100));
    }

    #[test]
    fn it_is_done_when_the_eight_nearest_have_answered() {
        let mut lookup = Lookup::new(id(0));
        (1..=20).for_each(|n| lookup.add(Some(id(n)), addr(n)));
        let mut asked = 0;
        while !lookup.is_done() {
            let (id, addr) = lookup.next(NOW).unwrap();
            asked += 1;
            if asked % 2 == 0 {
                lookup.failed(&addr);
            } else {
                lookup.answered(id.unwrap(), addr, Some(vec![asked]));
            }
        }
        assert_eq!((asked, lookup.tokens().count()), (15, 8));
    }

    #[test]
    fn an_entry_point_takes_its_place_once_its_identifier_is_known() {
        let mut lookup = Lookup::new(id(0));
        lookup.add(None, addr(1));
        lookup.add(Some(id(9)), addr(9));
        assert_eq!(lookup.next(NOW).unwrap().1, addr(9));
        assert_eq!(lookup.next(NOW).unwrap(), (None, addr(1)));
        lookup.answered(id(1), addr(1), None);
        lookup.failed(&addr(9));
        assert!(lookup.is_done() && lookup.has_answers());
    }

    #[test]
    fn endless_hostile_answers_come_to_an_end() {
        let mut lookup = Lookup::new(id(0));
        let mut n = 0u32;
        lookup.add(None, addr(1));
        while let Some((_, addr)) = lookup.next(NOW) {
            lookup.answered(NodeId([0xff; 20]), addr, None);
            for _ in 0..8 {
                n += 1;
                let mut near = [0xfe; 20];
                near[..4].copy_from_slice(&(u32::MAX - n).to_be_bytes());
                let [_, a, b, c] = n.to_be_bytes();
                lookup.add(Some(NodeId(near)), SocketAddr::from(([9, a, b, c], 1)));
            }
        }
        assert!(lookup.questions <= QUESTIONS_MAX && lookup.is_done());
    }
}
