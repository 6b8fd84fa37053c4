//! The nodes that are known to answer: many near us, a few far away (BEP 5's routing table).

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::krpc::NodeId;

/// Nodes in a bucket, and the nodes that a search ends with (BEP 5's K).
pub(super) const K: usize = 8;

/// A node not heard of for so long is asked whether it is still there (BEP 5).
const QUESTIONABLE_AFTER: Duration = Duration::from_secs(15 * 60);

/// So many questions in a row without an answer, and a node gives way to another.
const FAILURES_MAX: u8 = 2;

/// A node that answered.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: NodeId,
    pub(super) addr: SocketAddr,
    seen: Duration,
    asked: Duration,
    failures: u8,
}

impl Entry {
    fn is_bad(&self) -> bool {
        self.failures >= FAILURES_MAX
    }
}

/// A routing table around one identifier.
#[derive(Debug)]
pub(super) struct Table {
    own: NodeId,
    /// By how many bits they share with us; the last holds all that are nearer.
    buckets: Vec<Vec<Entry>>,
    /// How many nodes are at an address: one, but for this house's, so that nobody fills the table from one place.
    per_ip: HashMap<IpAddr, usize>,
}

impl Table {
    pub(super) fn new(own: NodeId) -> Self {
        Self { own, buckets: vec![Vec::new(); 160], per_ip: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(Vec::len).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flatten()
    }

    fn bucket(&mut self, id: &NodeId) -> &mut Vec<Entry> {
        let bits = self.own.shared_bits(id).min(self.buckets.len() - 1);
        &mut self.buckets[bits]
    }

    /// A node answered: it is taken in if there is room, or somebody who does not answer makes room.
    pub(super) fn answered(&mut self, id: NodeId, addr: SocketAddr, now: Duration) {
        if id == self.own {
            return;
        }
        let shared = is_shared(addr.ip());
        let known_there = self.per_ip.get(&addr.ip()).copied().unwrap_or(0);
        let bucket = self.bucket(&id);
        if let Some(entry) = bucket.iter_mut().find(|entry| entry.id == id) {
            // Another address under a known identifier is an impostor until the first is gone.
            if entry.addr == addr {
                (entry.seen, entry.failures) = (now, 0);
            }
            return;
        }
        if known_there > 0 && !shared {
            return;
        }
        let entry = Entry { id, addr, seen: now, asked: now, failures: 0 };
        if bucket.len() < K {
            bucket.push(entry);
        } else if let Some(bad) = bucket.iter_mut().filter(|old| old.is_bad()).min_by_key(|old| old.seen) {
            let gone = std::mem::replace(bad, entry);
            self.uncount(gone.addr.ip());
        } else {
            return;
        }
        *self.per_ip.entry(addr.ip()).or_default() += 1;
    }

    fn uncount(&mut self, ip: IpAddr) {
        if let Some(count) = self.per_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }

    /// A node did not answer.
    pub(super) fn failed(&mut self, addr: &SocketAddr, id: &NodeId) {
        if let Some(entry) = self.bucket(id).iter_mut().find(|entry| entry.id == *id && entry.addr == *addr) {
            entry.failures = entry.failures.saturating_add(1);
        }
    }

    /// Whether a node that is not in the table would be taken in.
    pub(super) fn has_room_for(&mut self, id: &NodeId, addr: &SocketAddr) -> bool {
        if *id == self.own || !is_shared(addr.ip()) && self.per_ip.contains_key(&addr.ip()) {
            return false;
        }
        let bucket = self.bucket(id);
        bucket.iter().all(|entry| entry.id != *id) && (bucket.len() < K || bucket.iter().any(Entry::is_bad))
    }

    /// The `count` nodes nearest to `target`; those that do not answer only where there are no others.
    pub(super) fn nearest(&self, target: &NodeId, count: usize) -> Vec<(NodeId, SocketAddr)> {
        let of = |bad: bool| {
            let entries = self.iter().filter(move |entry| entry.is_bad() == bad);
            entries.map(|entry| (entry.id, entry.addr)).collect::<Vec<_>>()
        };
        let mut nodes = of(false);
        if nodes.is_empty() {
            nodes = of(true);
        }
        nodes.sort_unstable_by_key(|(id, _)| id.distance(target));
        nodes.truncate(count);
        nodes
    }

    /// Up to `count` nodes to be asked whether they are still there: not heard of for a while, or failed once.
    pub(super) fn questionable(&mut self, now: Duration, count: usize) -> Vec<(NodeId, SocketAddr)> {
        let mut found = Vec::new();
        for entry in self.buckets.iter_mut().flatten() {
            let wait = if entry.failures > 0 { Duration::from_secs(60) } else { QUESTIONABLE_AFTER };
            let silent = now.saturating_sub(entry.seen) >= wait && now.saturating_sub(entry.asked) >= wait;
            if found.len() < count && silent && entry.failures <= FAILURES_MAX {
                entry.asked = now;
                found.push((entry.id, entry.addr));
            }
        }
        found
    }
}

/// Whether many nodes may be at one address: this machine and this house, where tests and neighbours are.
fn is_shared(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn id(first: u8, last: u8) -> NodeId {
        let mut id = [0; 20];
        (id[0], id[19]) = (first, last);
        NodeId(id)
    }

    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([1, 2, 3, n], 6881))
    }

    #[test]
    fn a_full_bucket_keeps_its_old_nodes_until_one_fails_twice() {
        let mut table = Table::new(id(0, 0));
        for n in 0..20 {
            table.answered(id(0x80, n), addr(n), NOW);
        }
        assert_eq!(table.len(), K);
        table.failed(&addr(3), &id(0x80, 3));
        table.failed(&addr(3), &id(0x80, 3));
        assert!(table.has_room_for(&id(0x80, 99), &addr(99)));
        table.answered(id(0x80, 99), addr(99), NOW);
        let nodes = table.nearest(&id(0x80, 99), 100);
        assert_eq!((nodes.len(), nodes[0].0), (K, id(0x80, 99)));
        assert!(!nodes.contains(&(id(0x80, 3), addr(3))));
    }

    #[test]
    fn one_public_address_has_one_node() {
        let mut table = Table::new(id(0, 0));
        for n in 1..9 {
            table.answered(id(n << 4, n), addr(7), NOW);
            table.answered(
                id(n << 4, n + 100),
                SocketAddr::from(([127, 0, 0, 1], 1_000 + u16::from(n))),
                NOW,
            );
        }
        assert_eq!(table.iter().filter(|entry| entry.addr == addr(7)).count(), 1);
        assert_eq!(table.len(), 9);
    }

    #[test]
    fn silent_nodes_are_asked_again_once() {
        let mut table = Table::new(id(0, 0));
        table.answered(id(0x80, 1), addr(1), NOW);
        assert!(table.questionable(NOW, 8).is_empty());
        let later = NOW + QUESTIONABLE_AFTER;
        assert_eq!(table.questionable(later, 8).len(), 1);
        assert!(table.questionable(later, 8).is_empty());
    }

    #[test]
    fn ourselves_and_impostors_are_not_taken_in() {
        let mut table = Table::new(id(0, 0));
        table.answered(id(0, 0), addr(1), NOW);
        table.answered(id(0x80, 1), addr(1), NOW);
        table.answered(id(0x80, 1), addr(2), NOW);
        assert_eq!(table.nearest(&id(0, 0), 8), [(id(0x80, 1), addr(1))]);
    }
}
