//! Pieces that a peer may have while it is choked (BEP 6): both ends compute the same set, so that a peer cannot collect
//! others by asking from many ports.

use core::net::IpAddr;

use metainfo::InfoHash;
use sha1::{Digest, Sha1};

/// The set for the peer at `ip`: `count` pieces out of `pieces`, or all of them when there are no more.
///
/// BEP 6 takes the first 24 bits of an IPv4 address; for IPv6, of which it says nothing, the first 64 are taken here.
#[must_use]
pub fn allowed_fast(info_hash: &InfoHash, ip: IpAddr, pieces: u32, count: usize) -> Vec<u32> {
    let count = count.min(usize::try_from(pieces).unwrap_or(usize::MAX));
    if usize::try_from(pieces).is_ok_and(|pieces| pieces <= count) {
        return (0..pieces).collect();
    }
    let mut sha1 = Sha1::new();
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            sha1.update([a, b, c, 0]);
        }
        IpAddr::V6(ip) => {
            let mut network = ip.octets();
            network[8..].fill(0);
            sha1.update(network);
        }
    }
    sha1.update(info_hash.as_bytes());
    let mut digest: [u8; 20] = sha1.finalize().into();
    let mut set = Vec::with_capacity(count);
    // Each round finds something new with a chance of at least one in `pieces`, five times over: the budget is for a set
    // that is nearly all of a tiny torrent.
    for _ in 0..ROUNDS_MAX {
        for word in digest.chunks_exact(4) {
            let number = word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) % pieces;
            if set.len() < count && !set.contains(&number) {
                set.push(number);
            }
        }
        if set.len() >= count {
            break;
        }
        digest = Sha1::digest(digest).into();
    }
    set
}

const ROUNDS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of BEP 6.
    #[test]
    fn the_set_is_the_one_of_the_specification() {
        let info_hash = InfoHash([0xaa; 20]);
        let ip = "80.4.4.200".parse().unwrap();
        let seven = [1059, 431, 808, 1217, 287, 376, 1188];
        assert_eq!(allowed_fast(&info_hash, ip, 1313, 7), seven);
        assert_eq!(allowed_fast(&info_hash, ip, 1313, 9), [&seven[..], &[353, 508]].concat());
        assert_eq!(allowed_fast(&info_hash, "::ffff:80.4.4.1".parse().unwrap(), 1313, 7), seven);
    }

    #[test]
    fn a_small_torrent_is_allowed_whole_and_a_set_has_no_piece_twice() {
        let ip = "2001:db8::1".parse().unwrap();
        assert_eq!(allowed_fast(&InfoHash([1; 20]), ip, 3, 10), [0, 1, 2]);
        assert!(allowed_fast(&InfoHash([1; 20]), ip, 0, 10).is_empty());
        let mut set = allowed_fast(&InfoHash([1; 20]), ip, 11, 10);
        set.sort_unstable();
        set.dedup();
        assert_eq!(set.len(), 10);
    }
}
