//! What an announce says (BEP 3, 7, 23), and how HTTP asks it.
//!
//! No `ip`, `ipv4` or `ipv6` is sent: a tracker sees where we come from, and behind a VPN what we would say is wrong.

use core::fmt::Write as _;

use metainfo::InfoHash;

use crate::{Counters, url::TrackerUrl};

/// What is announced for a torrent whose length is not known yet: more than nothing, so that nobody takes us for a seed.
pub(crate) const LEFT_UNKNOWN_BYTES: u64 = 16 << 10;

/// What makes an announce more than a regular one (BEP 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first that this tracker hears of us.
    Started,
    /// We have just downloaded the last piece.
    Completed,
    /// We leave.
    Stopped,
}

impl Event {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }
}

/// What we tell trackers of our encryption, so that they introduce us to whom we can talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Plain connections only: nothing is said.
    None,
    /// `supportcrypto=1`.
    #[default]
    Supported,
    /// `requirecrypto=1`.
    Required,
}

/// Who announces: the same for every announce of one torrent.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Of the torrent.
    pub info_hash: InfoHash,
    /// Ours, stable.
    pub peer_id: [u8; 20],
    /// Where peers reach us, as seen from outside.
    pub port: u16,
    /// Tells us from others behind our address and proves us when our address changes (BEP 7).
    pub key: u32,
    /// Whether we take encrypted connections, or only those.
    pub encryption: Encryption,
}

/// One announce, whichever way it is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// Of the torrent.
    pub info_hash: InfoHash,
    /// Ours.
    pub peer_id: [u8; 20],
    /// Where peers reach us.
    pub port: u16,
    /// See [`Identity::key`].
    pub key: u32,
    /// Payload bytes sent since `started`.
    pub uploaded: u64,
    /// Payload bytes received since `started`.
    pub downloaded: u64,
    /// Bytes until we have all; `None` while the metadata is not here.
    pub left: Option<u64>,
    /// What has happened, if anything.
    pub event: Option<Event>,
    /// How many peers are of use.
    pub peers_wanted: u32,
    /// What this tracker gave as `tracker id`, given back.
    pub tracker_id: Option<Vec<u8>>,
    /// See [`Identity::encryption`].
    pub encryption: Encryption,
}

impl AnnounceRequest {
    /// Joins who we are with what is due.
    #[must_use]
    pub fn new(identity: &Identity, announce: &crate::Announce) -> Self {
        let Counters { uploaded, downloaded, left, .. } = announce.counters;
        Self {
            info_hash: identity.info_hash,
            peer_id: identity.peer_id,
            port: identity.port,
            key: identity.key,
            uploaded,
            downloaded,
            left,
            event: announce.event,
            peers_wanted: announce.peers_wanted,
            tracker_id: announce.tracker_id.clone(),
            encryption: identity.encryption,
        }
    }

    /// Bytes until we have all, as it is told.
    #[must_use]
    pub fn left_told(&self) -> u64 {
        self.left.unwrap_or(LEFT_UNKNOWN_BYTES)
    }

    /// Path and query of the GET (BEP 3, with `compact` of BEP 23); an address' own query comes first.
    #[must_use]
    pub fn http_target(&self, url: &TrackerUrl) -> String {
        let mut target = String::with_capacity(url.target().len() + 320);
        target.push_str(url.target());
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str("info_hash=");
        percent_encode(&mut target, self.info_hash.as_bytes());
        target.push_str("&peer_id=");
        percent_encode(&mut target, &self.peer_id);
        let _ = write!(
            target,
            "&port={}&uploaded={}&downloaded={}&left={}&key={:08x}&compact=1&numwant={}",
            self.port,
            self.uploaded,
            self.downloaded,
            self.left_told(),
            self.key,
            self.peers_wanted,
        );
        if let Some(event) = self.event {
            let _ = write!(target, "&event={}", event.as_str());
        }
        if let Some(id) = &self.tracker_id {
            target.push_str("&trackerid=");
            percent_encode(&mut target, id);
        }
        match self.encryption {
            Encryption::None => {}
            Encryption::Supported => target.push_str("&supportcrypto=1"),
            Encryption::Required => target.push_str("&requirecrypto=1&supportcrypto=1"),
        }
        target
    }
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
pub(crate) fn percent_encode(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn request() -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash(
                *b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a",
            ),
            peer_id: *b"-HW0100-abcdefghijkl",
            port: 6881,
            key: 0xbeef,
            uploaded: 1,
            downloaded: 2,
            left: Some(3),
            event: Some(Event::Started),
            peers_wanted: 50,
            tracker_id: None,
            encryption: Encryption::Supported,
        }
    }

    #[test]
    fn an_announce_is_asked_as_trackers_expect_it() {
        let url: TrackerUrl = "http://t.example/announce".parse().unwrap();
        assert_eq!(
            request().http_target(&url),
            "/announce?info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-HW0100-abcdefghijkl&port=6881\
             &uploaded=1&downloaded=2&left=3&key=0000beef&compact=1&numwant=50&event=started&supportcrypto=1"
        );
    }

    #[test]
    fn a_passkey_in_the_query_stays_and_the_tracker_id_goes_back() {
        let url: TrackerUrl = "http://t.example/announce?passkey=abc".parse().unwrap();
        let asked =
            AnnounceRequest { tracker_id: Some(b"a b".to_vec()), event: None, ..request() }.http_target(&url);
        assert!(asked.starts_with("/announce?passkey=abc&info_hash="), "{asked}");
        assert!(asked.contains("&trackerid=a%20b") && !asked.contains("event="), "{asked}");
    }

    #[test]
    fn without_metadata_nobody_takes_us_for_a_seed() {
        let url: TrackerUrl = "http://t.example/announce".parse().unwrap();
        assert!(AnnounceRequest { left: None, ..request() }.http_target(&url).contains("&left=16384&"));
    }
}
