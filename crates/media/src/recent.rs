//! Finished segments kept in memory for a second asker, the one not asked for longest leaving first.

use std::{collections::HashMap, hash::Hash, sync::Weak};

use bytes::Bytes;

use crate::budget::Hold;

/// A finished segment.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) chunks: Vec<Bytes>,
    /// What accounts for it while it is being sent.
    pub(crate) hold: Weak<Hold>,
}

#[derive(Debug)]
pub(crate) struct Recent<K> {
    limit_bytes: u64,
    bytes: u64,
    clock: u64,
    entries: HashMap<K, (Made, u64, u64)>,
}

impl<K: Clone + Eq + Hash> Recent<K> {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, bytes: 0, clock: 0, entries: HashMap::new() }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<&mut Made> {
        self.clock += 1;
        let (made, _, used) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(made)
    }

    /// Keeps it unless it would take more than a quarter of the room. Gives back what it put out, to be dropped
    /// outside of any lock.
    pub(crate) fn insert(&mut self, key: K, made: Made) -> Vec<Made> {
        let bytes = made.chunks.iter().map(|c| c.len() as u64).sum::<u64>();
        let mut out = Vec::new();
        if bytes > self.limit_bytes / 4 {
            return out;
        }
        self.clock += 1;
        self.bytes += bytes;
        if let Some((old, old_bytes, _)) = self.entries.insert(key, (made, bytes, self.clock)) {
            self.bytes -= old_bytes;
            out.push(old);
        }
        while self.bytes > self.limit_bytes {
            let oldest = self.entries.iter().min_by_key(|(_, (_, _, used))| *used).map(|(k, _)| k.clone());
            let Some((made, bytes, _)) = oldest.and_then(|k| self.entries.remove(&k)) else { break };
            self.bytes -= bytes;
            out.push(made);
        }
        out
    }

    /// Puts out whatever `gone` says, to be dropped by the caller.
    pub(crate) fn forget(&mut self, gone: impl Fn(&K) -> bool) -> Vec<Made> {
        let keys: Vec<K> = self.entries.keys().filter(|k| gone(k)).cloned().collect();
        keys.into_iter()
            .filter_map(|k| self.entries.remove(&k))
            .map(|(made, bytes, _)| {
                self.bytes -= bytes;
                made
            })
            .collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(len: usize) -> Made {
        Made { chunks: vec![Bytes::from(vec![0; len])], hold: Weak::new() }
    }

    #[test]
    fn the_one_not_asked_for_longest_leaves_first() {
        let mut recent = Recent::new(1_000);
        for k in 0..4 {
            assert!(recent.insert(k, made(250)).is_empty());
        }
        assert!(recent.get(&0).is_some());
        assert_eq!(recent.insert(4, made(100)).len(), 1);
        assert!(recent.get(&1).is_none());
        assert!(recent.get(&0).is_some());
        assert_eq!(recent.bytes(), 850);
        assert!(recent.insert(5, made(251)).is_empty());
        assert!(recent.get(&5).is_none(), "too large a share");
        assert_eq!(recent.forget(|k| *k != 0).len(), 3);
        assert_eq!(recent.bytes(), 250);
    }
}
