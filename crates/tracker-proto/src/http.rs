//! Answers of HTTP trackers: announces (BEP 3, 7, 23, 31) and scrapes (BEP 48), bencoded.

use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bencode::{Dict, Item, Value};
use metainfo::InfoHash;

use crate::{
    answer::{AnnounceAnswer, Failure, PEERS_MAX, Retry, TrackerPeer, shown},
    scrape::{SCRAPE_HASHES_MAX, ScrapeEntry},
    udp::{Family, compact_peers},
};

/// An answer longer than this is not read. 2,000 peers as dictionaries take 200 KiB.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Entries of a scrape that are looked at: a tracker may name some that were not asked for.
const SCRAPE_FILES_MAX: usize = SCRAPE_HASHES_MAX * 2;
/// A year: `retry in` beyond it is no less than never.
const RETRY_MINUTES_MAX: u64 = 365 * 24 * 60;

/// Why a body was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No bencoded value.
    #[error("the answer is not bencoded: {0}")]
    Bencode(#[from] bencode::Error),
    /// A value that no answer is.
    #[error("the answer holds no {0}")]
    Missing(&'static str),
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("the answer has {0} bytes, more than {BODY_BYTES_MAX}")]
    Length(usize),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::NoAnswer { reason: error.to_string() }
    }
}

/// Reads the body that answers an announce, whatever its HTTP status was: some trackers explain a 4xx that way.
///
/// # Errors
/// [`Failure::Refused`] where the tracker gives a `failure reason`, [`Failure::NoAnswer`] where the body is no answer
/// ([`ReadError`] says why).
pub fn read_announce(body: &[u8]) -> Result<AnnounceAnswer, Failure> {
    let dict = dictionary(body)?;
    refusal(&dict)?;
    let seconds = |key| dict.get_i64(key).map(|s| Duration::from_secs(u64::try_from(s).unwrap_or(0)));
    let count = |key| dict.get_u64(key).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let mut peers = dict.get("peers").map(peers).unwrap_or_default();
    if let Some(compact) = dict.get_bytes("peers6") {
        peers.extend(compact_peers(compact, Family::V6));
        peers.truncate(PEERS_MAX);
    }
    let answer = AnnounceAnswer {
        interval: seconds("interval"),
        min_interval: seconds("min interval"),
        tracker_id: dict.get_bytes("tracker id").map(<[u8]>::to_vec),
        seeders: count("complete"),
        leechers: count("incomplete"),
        downloaded: count("downloaded"),
        warning: dict.get_bytes("warning message").map(shown),
        peers,
    };
    // A dictionary with nothing of an announce in it is some other service's.
    if answer.interval.is_none() && dict.get("peers").is_none() && dict.get("peers6").is_none() {
        return Err(ReadError::Missing("interval and no peers").into());
    }
    Ok(answer)
}

/// Reads the body that answers a scrape: the entries of `hashes`, in their order, `None` for a torrent the tracker does not
/// know.
///
/// # Errors
/// As [`read_announce`].
pub fn read_scrape(body: &[u8], hashes: &[InfoHash]) -> Result<Vec<Option<ScrapeEntry>>, Failure> {
    let dict = dictionary(body)?;
    let Some(files) = dict.get_dict("files") else {
        refusal(&dict)?;
        return Err(ReadError::Missing("files").into());
    };
    let mut entries = vec![None; hashes.len()];
    for (hash, file) in files.iter().take(SCRAPE_FILES_MAX) {
        let Some(at) = hashes.iter().position(|h| h.as_bytes() == hash) else { continue };
        let Some(file) = file.as_dict() else { continue };
        let count = |key| file.get_u64(key).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
        entries[at] = Some(ScrapeEntry {
            seeders: count("complete"),
            downloaded: count("downloaded"),
            leechers: count("incomplete"),
        });
    }
    Ok(entries)
}

fn dictionary(body: &[u8]) -> Result<Dict<'_>, ReadError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(ReadError::Length(body.len()));
    }
    // What follows the value is not looked at: some trackers end with a line break, some with their debug output.
    let (value, _) = bencode::decode_prefix(body)?;
    value.as_dict().ok_or(ReadError::Missing("dictionary"))
}

/// `failure reason`, with BEP 31's `retry in`: minutes, or `never`.
fn refusal(dict: &Dict<'_>) -> Result<(), Failure> {
    let Some(reason) = dict.get_bytes("failure reason") else { return Ok(()) };
    let minutes = |value: bencode::Value<'_>| {
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).map(|m| m.min(RETRY_MINUTES_MAX))
    };
    let retry = dict.get("retry in").and_then(|value| match value.as_bytes() {
        Some(b"never") => Some(Retry::Never),
        _ => minutes(value).map(|m| Retry::In(Duration::from_secs(m * 60))),
    });
    Err(Failure::Refused { reason: shown(reason), retry })
}

/// `peers`: compact (BEP 23), or a list of dictionaries (BEP 3).
fn peers(value: Value<'_>) -> Vec<TrackerPeer> {
    match value.item() {
        Item::Bytes(compact) => compact_peers(compact, Family::V4),
        Item::List(list) => list.iter().take(PEERS_MAX).filter_map(|entry| peer(&entry.as_dict()?)).collect(),
        Item::Integer(_) | Item::Dict(_) => Vec::new(),
    }
}

/// A peer as a dictionary: names of hosts, which BEP 3 allows, are not resolved.
fn peer(dict: &Dict<'_>) -> Option<TrackerPeer> {
    let ip: IpAddr = dict.get_str("ip")?.parse().ok()?;
    let port = u16::try_from(dict.get_u64("port")?).ok().filter(|port| *port != 0)?;
    let id = dict.get_bytes("peer id").and_then(|id| id.try_into().ok());
    Some(TrackerPeer { addr: SocketAddr::new(ip, port), id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(answer: &AnnounceAnswer) -> Vec<String> {
        answer.peers.iter().map(|p| p.addr.to_string()).collect()
    }

    #[test]
    fn compact_peers_of_both_families_are_read() {
        let body = b"d8:completei5e10:downloadedi50e10:incompletei3e8:intervali1800e12:min intervali60e\
            5:peers12:\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\x02\x00\x006:peers618:\
            \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe110:tracker id2:ab\
            15:warning message5:loud\ne";
        let answer = read_announce(body).unwrap();
        assert_eq!(addrs(&answer), ["10.0.0.1:6881", "[2001:db8::1]:6881"]);
        assert_eq!(answer.interval, Some(Duration::from_secs(1800)));
        assert_eq!(answer.min_interval, Some(Duration::from_secs(60)));
        assert_eq!((answer.seeders, answer.leechers, answer.downloaded), (Some(5), Some(3), Some(50)));
        assert_eq!((answer.tracker_id, answer.warning), (Some(b"ab".to_vec()), Some("loud".into())));
    }

    #[test]
    fn peers_as_dictionaries_are_read_and_host_names_skipped() {
        let body =
            b"d8:intervali60e5:peersld2:ip9:127.0.0.17:peer id20:-HW0100-abcdefghijkl4:porti1eed2:ip3:::1\
            4:porti2eed2:ip6:a.test4:porti3eed2:ip7:1.2.3.44:porti70000eeee";
        let answer = read_announce(body).unwrap();
        assert_eq!(addrs(&answer), ["127.0.0.1:1", "[::1]:2"]);
        assert_eq!(answer.peers[0].id, Some(*b"-HW0100-abcdefghijkl"));
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        for (body, retry) in [
            (&b"d14:failure reason2:noe"[..], None),
            (b"d14:failure reason2:no8:retry ini5ee", Some(Retry::In(Duration::from_secs(300)))),
            (b"d14:failure reason2:no8:retry in1:5e", Some(Retry::In(Duration::from_secs(300)))),
            (b"d14:failure reason2:no8:retry in5:nevere", Some(Retry::Never)),
            (b"d14:failure reason2:no8:retry ini-5ee", None),
        ] {
            let refused = Failure::Refused { reason: "no".into(), retry };
            assert_eq!(read_announce(body), Err(refused.clone()));
            assert_eq!(read_scrape(body, &[]), Err(refused));
        }
    }

    #[test]
    fn other_services_answers_are_none() {
        for body in
            [&b""[..], b"<html>404</html>", b"le", b"de", b"d5:errori1ee", b"d8:intervali60e", b"d8:interval"]
        {
            assert!(matches!(read_announce(body), Err(Failure::NoAnswer { .. })), "{body:?}");
        }
        let long = [b"d8:intervali60e5:peers2000000:".to_vec(), vec![1; 2_000_000], b"e".to_vec()].concat();
        assert!(matches!(read_announce(&long), Err(Failure::NoAnswer { .. })));
    }

    #[test]
    fn odd_numbers_and_ends_do_no_harm() {
        let body = b"d8:completei-1e8:intervali-60e12:min intervali9223372036854775807e5:peers7:\x0a\0\0\x01\x1a\xe1\x07e\r\n";
        let answer = read_announce(body).unwrap();
        assert_eq!((answer.interval, answer.seeders), (Some(Duration::ZERO), None));
        assert_eq!(addrs(&answer), ["10.0.0.1:6881"]);
    }

    #[test]
    fn a_scrape_is_read_in_the_order_asked() {
        let body = [
            &b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi2e10:incompletei3ee"[..],
            b"20:ccccccccccccccccccccd8:completei4eeee",
        ]
        .concat();
        let hashes = [InfoHash([b'c'; 20]), InfoHash([b'b'; 20]), InfoHash([b'a'; 20])];
        let entry = |seeders, downloaded, leechers| Some(ScrapeEntry { seeders, downloaded, leechers });
        assert_eq!(read_scrape(&body, &hashes).unwrap(), [entry(4, 0, 0), None, entry(1, 2, 3)]);
    }
}
