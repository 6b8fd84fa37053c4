//! The datagrams of BEP 15 and the options of BEP 41.

use core::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use metainfo::InfoHash;

use crate::{
    answer::{AnnounceAnswer, PEERS_MAX, TrackerPeer, shown},
    request::{AnnounceRequest, Event},
    scrape::{SCRAPE_HASHES_MAX, ScrapeEntry},
};

/// A receive buffer of this length takes every answer: 200 IPv6 peers take 3,620 bytes.
pub const DATAGRAM_BYTES_MAX: usize = 8 << 10;
/// How long a connection id may be used after it was given (BEP 15).
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);

const PROTOCOL: u64 = 0x0417_2710_1980;
const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;
const OPTION_URL_DATA: u8 = 2;

/// Given by a tracker to an address of ours, so that others cannot speak for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionId(pub u64);

/// Which request an answer is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionId(pub u32);

/// Over what the datagram came: it decides how long a peer's address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// 6 bytes a peer.
    V4,
    /// 18 bytes a peer.
    V6,
}

/// A datagram of a tracker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Which request it is to.
    pub transaction: TransactionId,
    /// What it says.
    pub body: Body,
}

/// What a datagram of a tracker says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// To `connect`.
    Connect(ConnectionId),
    /// To `announce`.
    Announce(AnnounceAnswer),
    /// To `scrape`, in the order asked.
    Scrape(Vec<ScrapeEntry>),
    /// To any of them, in the tracker's words.
    Error(String),
}

/// Why a datagram is not a tracker's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UdpError {
    /// Too short for what it claims to be.
    #[error("datagram of {0} bytes: shorter than its kind")]
    Short(usize),
    /// An action that no answer has.
    #[error("datagram with action {0}")]
    Action(u32),
}

/// The datagram that asks for a connection id.
#[must_use]
pub fn connect(transaction: TransactionId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    bytes.extend(PROTOCOL.to_be_bytes());
    bytes.extend(CONNECT.to_be_bytes());
    bytes.extend(transaction.0.to_be_bytes());
    bytes
}

/// The datagram that announces, with path and query of the tracker's address as BEP 41's `URLData`, unless that is a mere `/`.
#[must_use]
pub fn announce(
    connection: ConnectionId,
    transaction: TransactionId,
    request: &AnnounceRequest,
    target: &str,
) -> Vec<u8> {
    let event: u32 = match request.event {
        None => 0,
        Some(Event::Completed) => 1,
        Some(Event::Started) => 2,
        Some(Event::Stopped) => 3,
    };
    let mut bytes = head(connection, ANNOUNCE, transaction);
    bytes.extend(request.info_hash.as_bytes());
    bytes.extend(request.peer_id);
    // The fields are signed in most trackers: no torrent gets there, a mistake of ours would.
    for count in [request.downloaded, request.left_told(), request.uploaded] {
        bytes.extend(count.min(i64::MAX.unsigned_abs()).to_be_bytes());
    }
    bytes.extend(event.to_be_bytes());
    // Our address: the tracker sees it.
    bytes.extend(0u32.to_be_bytes());
    bytes.extend(request.key.to_be_bytes());
    bytes.extend(request.peers_wanted.min(i32::MAX.unsigned_abs()).to_be_bytes());
    bytes.extend(request.port.to_be_bytes());
    if target != "/" {
        for part in target.as_bytes().chunks(255) {
            bytes.push(OPTION_URL_DATA);
            bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            bytes.extend(part);
        }
    }
    bytes
}

/// The datagram that scrapes at most [`SCRAPE_HASHES_MAX`] of `hashes`.
#[must_use]
pub fn scrape(connection: ConnectionId, transaction: TransactionId, hashes: &[InfoHash]) -> Vec<u8> {
    let mut bytes = head(connection, SCRAPE, transaction);
    hashes.iter().take(SCRAPE_HASHES_MAX).for_each(|hash| bytes.extend(hash.as_bytes()));
    bytes
}

fn head(connection: ConnectionId, action: u32, transaction: TransactionId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend(connection.0.to_be_bytes());
    bytes.extend(action.to_be_bytes());
    bytes.extend(transaction.0.to_be_bytes());
    bytes
}

/// Reads a datagram that came over `family`.
///
/// # Errors
/// When it is no answer of a tracker.
pub fn read(datagram: &[u8], family: Family) -> Result<Answer, UdpError> {
    let short = UdpError::Short(datagram.len());
    let action = number(datagram, 0).ok_or(short)?;
    let transaction = TransactionId(number(datagram, 4).ok_or(short)?);
    let body = match action {
        CONNECT => {
            let (high, low) = (number(datagram, 8).ok_or(short)?, number(datagram, 12).ok_or(short)?);
            Body::Connect(ConnectionId(u64::from(high) << 32 | u64::from(low)))
        }
        ANNOUNCE => Body::Announce(AnnounceAnswer {
            interval: Some(Duration::from_secs(number(datagram, 8).ok_or(short)?.into())),
            leechers: Some(number(datagram, 12).ok_or(short)?),
            seeders: Some(number(datagram, 16).ok_or(short)?),
            peers: compact_peers(&datagram[20..], family),
            ..AnnounceAnswer::default()
        }),
        SCRAPE => Body::Scrape(
            datagram[8..]
                .chunks_exact(12)
                .take(SCRAPE_HASHES_MAX)
                .map(|entry| ScrapeEntry {
                    seeders: number(entry, 0).unwrap_or(0),
                    downloaded: number(entry, 4).unwrap_or(0),
                    leechers: number(entry, 8).unwrap_or(0),
                })
                .collect(),
        ),
        ERROR => Body::Error(shown(&datagram[8..])),
        other => return Err(UdpError::Action(other)),
    };
    Ok(Answer { transaction, body })
}

/// The big-endian number at an offset.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Compact peers (BEP 7, 15, 23): what is left over at the end and peers without a port are skipped.
pub(crate) fn compact_peers(bytes: &[u8], family: Family) -> Vec<TrackerPeer> {
    let stride = match family {
        Family::V4 => 6,
        Family::V6 => 18,
    };
    let peer = |entry: &[u8]| {
        let (ip, port) = entry.split_at(stride - 2);
        let port = u16::from_be_bytes(port.try_into().ok()?);
        let ip = match family {
            Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
            Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        };
        (port != 0).then_some(TrackerPeer { addr: SocketAddr::new(ip, port), id: None })
    };
    bytes.chunks_exact(stride).take(PEERS_MAX).filter_map(peer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Encryption;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn request() -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash([0xaa; 20]),
            peer_id: [0xbb; 20],
            port: 0x1ae1,
            key: 7,
            uploaded: 1,
            downloaded: 2,
            left: Some(3),
            event: Some(Event::Started),
            peers_wanted: 50,
            tracker_id: None,
            encryption: Encryption::None,
        }
    }

    #[test]
    fn requests_are_laid_out_as_bep_15_draws_them() {
        assert_eq!(hex(&connect(TransactionId(0x0102_0304))), "00000417271019800000000001020304");
        let asked = announce(ConnectionId(5), TransactionId(6), &request(), "/");
        assert_eq!(
            hex(&asked),
            format!(
                "0000000000000005\
                 0000000100000006{}{}0000000000000002\
                 00000000000000030000000000000001\
                 0000000200000000\
                 00000007000000321ae1",
                "aa".repeat(20),
                "bb".repeat(20)
            )
        );
        assert_eq!(asked.len(), 98);
        let scraped = scrape(ConnectionId(5), TransactionId(6), &[InfoHash([0xcc; 20]); 100]);
        assert_eq!(scraped.len(), 16 + 20 * SCRAPE_HASHES_MAX);
    }

    #[test]
    fn path_and_query_go_along_in_parts_of_255() {
        let target = format!("/announce?passkey={}", "k".repeat(300));
        let asked = announce(ConnectionId(5), TransactionId(6), &request(), &target);
        let (first, second) = asked[98..].split_at(2 + 255);
        assert_eq!((first[0], first[1]), (2, 255));
        assert_eq!((second[0], usize::from(second[1])), (2, target.len() - 255));
        assert_eq!([&first[2..], &second[2..]].concat(), target.as_bytes());
    }

    #[test]
    fn the_family_decides_how_long_a_peer_is() {
        let mut datagram = vec![0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];
        datagram.extend([1; 36]);
        let peers = |family| match read(&datagram, family).unwrap().body {
            Body::Announce(answer) => answer.peers,
            other => panic!("{other:?}"),
        };
        assert_eq!(peers(Family::V4).len(), 6);
        assert_eq!(peers(Family::V6).len(), 2);
        assert_eq!(peers(Family::V6)[0].addr.to_string(), "[101:101:101:101:101:101:101:101]:257");
    }

    #[test]
    fn cut_datagrams_are_refused() {
        let whole = [&[0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2][..], &[9; 6]].concat();
        for length in 0..20 {
            assert_eq!(read(&whole[..length], Family::V4), Err(UdpError::Short(length)));
        }
        assert_eq!(read(&[0, 0, 0, 9, 0, 0, 0, 0], Family::V4), Err(UdpError::Action(9)));
        assert_eq!(
            read(b"\0\0\0\x03\0\0\0\x07no\n", Family::V4).unwrap(),
            Answer { transaction: TransactionId(7), body: Body::Error("no".into()) }
        );
    }
}
