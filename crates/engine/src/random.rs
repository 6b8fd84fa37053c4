//! Seeds: the only randomness of the engine. What is derived from them is the pure crates' affair.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU64, Ordering},
};

/// How our peer ids begin: the client's two letters and its version, as BEP 20 has it.
const PEER_ID_PREFIX: &[u8; 8] = b"-HW0100-";

static COUNT: AtomicU64 = AtomicU64::new(0);

/// 64 bits that others cannot guess: the standard library's hash keys come from the system's generator, and no two calls
/// hash the same number.
pub(crate) fn seed() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    hasher.finish()
}

/// A peer id for one session.
pub(crate) fn peer_id() -> [u8; 20] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut id = [0; 20];
    let (prefix, rest) = id.split_at_mut(PEER_ID_PREFIX.len());
    prefix.copy_from_slice(PEER_ID_PREFIX);
    for digit in rest {
        *digit = DIGITS[usize::try_from(seed() % 62).unwrap_or(0)];
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_ids_begin_alike_and_end_differently() {
        let (one, other) = (peer_id(), peer_id());
        assert!(one.starts_with(PEER_ID_PREFIX) && one[8..].iter().all(u8::is_ascii_alphanumeric));
        assert_ne!(one, other);
    }
}
