//! Magnet links as they are met, and what is read is what was written.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use metainfo::{FileIndex, HostPort, InfoHash, InfoHashV2, Magnet, MagnetError, limits};
use proptest::prelude::*;

const HEX: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";

fn read(rest: &str) -> Magnet {
    format!("magnet:?xt=urn:btih:{HEX}{rest}").parse().unwrap()
}

#[test]
fn a_magnet_is_read_whole() {
    let magnet = read(
        "&dn=Sintel+%28Open%20Movie%29%2B&tr=udp%3A%2F%2Ftracker.example%3A1337%2Fannounce&tr.1=http://b.example/a?x=1\
         &tr=nonsense&ws=https%3A%2F%2Fseed.example%2F&x.pe=10.0.0.1:6881&x.pe=[2001:db8::1]:6881&x.pe=bad\
         &so=6-8,0,7-9,2&xl=5&as=x&kt=y",
    );
    assert_eq!(magnet.info_hash.to_string(), HEX);
    assert_eq!(magnet.name.as_deref(), Some("Sintel (Open Movie)+"));
    assert_eq!(magnet.trackers, ["udp://tracker.example:1337/announce", "http://b.example/a?x=1"]);
    assert_eq!(magnet.web_seeds, ["https://seed.example/"]);
    assert_eq!(
        magnet.peers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.1:6881", "[2001:db8::1]:6881"]
    );
    assert_eq!(magnet.select, Some(vec![0..1, 2..3, 6..10]));
    assert!(magnet.selects(FileIndex(9)) && !magnet.selects(FileIndex(1)));
    assert!(read("").selects(FileIndex(77)));
}

#[test]
fn the_info_hash_may_be_base32_and_anything_may_be_in_capitals() {
    let magnet: Magnet = "MAGNET:?XT=URN:BTIH:YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK&DN=a".parse().unwrap();
    assert_eq!((magnet.info_hash.to_string().as_str(), magnet.name.as_deref()), (HEX, Some("a")));
    let page: Magnet = format!(" magnet:?dn=a&amp;xt.1=urn:btih:{HEX}&amp;tr=udp://a:1\n").parse().unwrap();
    assert_eq!((page.info_hash.to_string().as_str(), page.trackers.len()), (HEX, 1));
}

#[test]
fn a_hybrid_shows_both_and_v2_alone_is_not_yet() {
    let v2 = "ab".repeat(32);
    assert_eq!(read(&format!("&xt=urn:btmh:1220{v2}")).info_hash_v2.unwrap().to_string(), v2);
    let error = format!("magnet:?xt=urn:btmh:1220{v2}").parse::<Magnet>().unwrap_err();
    assert_eq!(error, MagnetError::V2Only { info_hash: InfoHashV2([0xab; 32]) });
}

#[test]
fn what_is_no_magnet_says_why() {
    let error = |text: &str| text.parse::<Magnet>().unwrap_err();
    assert!(matches!(error("http://a"), MagnetError::Scheme { .. }));
    assert!(matches!(error("magnet:"), MagnetError::Scheme { .. }));
    assert_eq!(error("magnet:?dn=a"), MagnetError::NoInfoHash);
    assert_eq!(error("magnet:?xt=urn:sha1:abc"), MagnetError::NoInfoHash);
    assert!(matches!(error("magnet:?xt=urn:btih:abc"), MagnetError::InfoHash { .. }));
    assert!(matches!(error("magnet:?xt=urn:btmh:1120ab"), MagnetError::InfoHash { .. }));
    assert_eq!(
        error(&format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{}", "0".repeat(40))),
        MagnetError::TwoInfoHashes
    );
    for so in ["", "a", "3-1", "-1", "1-", "99999999999", "0,,1", "262144"] {
        let error = error(&format!("magnet:?xt=urn:btih:{HEX}&so={so}"));
        assert!(matches!(error, MagnetError::Select { .. }), "{so}: {error}");
    }
    assert!(matches!(
        error(&format!("magnet:?{}", "a".repeat(limits::MAGNET_BYTES_MAX))),
        MagnetError::TooLong { .. }
    ));
}

#[test]
fn trackers_past_the_limit_and_twice_are_ignored() {
    let many: String = (0..2_000).map(|n| format!("&tr=udp://t{}.example:1", n / 2)).collect();
    let magnet = read(&many);
    assert_eq!(magnet.trackers.len(), limits::TRACKERS_MAX);
    assert_eq!(magnet.tiers()[1], ["udp://t1.example:1"]);
}

#[test]
fn a_passkey_makes_a_magnet_look_private() {
    assert!(read("&tr=https://t.example/0123456789abcdef0123456789abcdef/announce").looks_private());
    assert!(!read("&tr=udp://tracker.example:1337/announce").looks_private());
}

fn some_magnet() -> impl Strategy<Value = Magnet> {
    let url = "(udp|http|wss)://[a-z]{1,5}\\.example(:[1-9][0-9]{2})?/[a-z+%&=?#é]{0,6}";
    let urls = || prop::collection::btree_set(url, 0..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let peer = (any::<core::net::IpAddr>(), 1u16..)
        .prop_map(|(ip, port)| HostPort::from(core::net::SocketAddr::new(ip, port)));
    let peers = prop::collection::vec(peer, 0..3).prop_map(|mut peers| {
        peers.dedup();
        peers
    });
    let select = prop::option::of(prop::collection::btree_set(0u32..200, 1..9)).prop_map(|set| {
        set.map(|set| {
            let mut ranges: Vec<core::ops::Range<u32>> = Vec::new();
            for n in set {
                match ranges.last_mut() {
                    Some(last) if last.end == n => last.end += 1,
                    _ => ranges.push(n..n + 1),
                }
            }
            ranges
        })
    });
    (any::<[u8; 20]>(), any::<Option<[u8; 32]>>(), prop::option::of(".{1,20}"), urls(), urls(), peers, select)
        .prop_map(|(info_hash, v2, name, trackers, web_seeds, peers, select)| Magnet {
            info_hash: InfoHash(info_hash),
            info_hash_v2: v2.map(InfoHashV2),
            name,
            trackers,
            web_seeds,
            peers,
            select,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(magnet in some_magnet()) {
        let text = magnet.to_string();
        prop_assert!(text.is_ascii());
        prop_assert_eq!(text.parse::<Magnet>().unwrap(), magnet);
    }

    #[test]
    fn no_text_panics(rest in "\\PC{0,80}", pair in "(&(xt|tr|so|x\\.pe|dn)=.{0,20}){0,5}") {
        let _ = format!("magnet:?{rest}").parse::<Magnet>();
        let _ = rest.parse::<Magnet>();
        let _ = format!("magnet:?xt=urn:btih:{HEX}{pair}").parse::<Magnet>();
    }
}
