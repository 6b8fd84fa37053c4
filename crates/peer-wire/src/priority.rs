//! Which of two peers goes first (BEP 40): a number that both ends compute alike, so that a swarm's connections spread evenly
//! and nobody can arrange to be chosen.

use core::net::{IpAddr, SocketAddr};

/// The priority of a connection between two peers, the same from either end; more goes first.
#[must_use]
pub fn peer_priority(a: SocketAddr, b: SocketAddr) -> u32 {
    let (a, b) =
        (SocketAddr::new(a.ip().to_canonical(), a.port()), SocketAddr::new(b.ip().to_canonical(), b.port()));
    if a.ip() == b.ip() {
        let (low, high) = (a.port().min(b.port()), a.port().max(b.port()));
        return crc32c(&[low.to_be_bytes(), high.to_be_bytes()].concat());
    }
    match (a.ip(), b.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => masked(a.octets(), b.octets(), 2),
        (IpAddr::V6(a), IpAddr::V6(b)) => masked(a.octets(), b.octets(), 6),
        // One end of two families is seen by nobody: any number does.
        (a, b) => {
            let bytes = |ip| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            crc32c(&[bytes(a.min(b)), bytes(a.max(b))].concat())
        }
    }
}

/// Both addresses, the lower first, with every other bit of what lies beyond their network left out: `whole` bytes count
/// whole, one more for each further byte that the two share.
fn masked<const N: usize>(mut a: [u8; N], mut b: [u8; N], whole: usize) -> u32 {
    let shared = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let whole = if shared < whole { whole } else { shared + 1 };
    for address in [&mut a, &mut b] {
        address.iter_mut().skip(whole).for_each(|byte| *byte &= 0x55);
    }
    crc32c(&[a.min(b), a.max(b)].concat())
}

/// CRC-32C (Castagnoli), bit by bit: a few dozen bytes at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(a: &str, b: &str) -> u32 {
        peer_priority(a.parse().unwrap(), b.parse().unwrap())
    }

    /// The examples of BEP 40.
    #[test]
    fn priorities_are_those_of_the_specification() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(priority("123.213.32.10:1", "98.76.54.32:2"), 0xec2d_7224);
        assert_eq!(priority("123.213.32.10:1", "123.213.32.234:2"), 0x9956_8189);
    }

    #[test]
    fn both_ends_agree_and_ports_decide_between_peers_of_one_address() {
        for (a, b) in [
            ("1.2.3.4:5", "6.7.8.9:10"),
            ("1.2.3.4:5", "1.2.3.4:6"),
            ("[2001:db8::1]:5", "[2001:db8::2]:6"),
            ("[2001:db8::1]:5", "1.2.3.4:6"),
        ] {
            assert_eq!(priority(a, b), priority(b, a));
        }
        assert_ne!(priority("1.2.3.4:5", "1.2.3.4:6"), priority("1.2.3.4:5", "1.2.3.4:7"));
    }
}
