//! Scrapes (BEP 48): how many seed, leech and have downloaded, without announcing.

use metainfo::InfoHash;

use crate::{
    request::percent_encode,
    url::{Scheme, TrackerUrl},
};

/// Info-hashes in one scrape: 74 fill a UDP datagram (BEP 15), and many HTTP trackers refuse more.
pub const SCRAPE_HASHES_MAX: usize = 70;

/// What a tracker knows of one torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ScrapeEntry {
    /// Peers that have all: `complete`.
    pub seeders: u32,
    /// How often it was downloaded whole: `downloaded`, `completed` in BEP 15.
    pub downloaded: u32,
    /// Peers that do not have all: `incomplete`.
    pub leechers: u32,
}

/// Where a tracker is scraped: the last segment's `announce` becomes `scrape`. `None` where there is none (BEP 48); for UDP, itself.
#[must_use]
pub fn scrape_url(announce: &TrackerUrl) -> Option<TrackerUrl> {
    if announce.scheme() == Scheme::Udp {
        return Some(announce.clone());
    }
    let target = announce.target();
    let path = &target[..target.find('?').unwrap_or(target.len())];
    let last = path.rfind('/')? + 1;
    let rest = target[last..].strip_prefix("announce")?;
    Some(announce.with_target(format!("{}scrape{rest}", &target[..last])))
}

/// Path and query of the GET for at most [`SCRAPE_HASHES_MAX`] of `hashes`.
#[must_use]
pub fn scrape_target(scrape: &TrackerUrl, hashes: &[InfoHash]) -> String {
    let mut target = scrape.target().to_owned();
    for hash in hashes.iter().take(SCRAPE_HASHES_MAX) {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str("info_hash=");
        percent_encode(&mut target, hash.as_bytes());
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_announce_becomes_scrape_where_there_is_one() {
        for (announce, scrape) in [
            ("http://e.com/announce", Some("http://e.com/scrape")),
            ("http://e.com/x/announce", Some("http://e.com/x/scrape")),
            ("http://e.com/announce.php", Some("http://e.com/scrape.php")),
            ("http://e.com/a", None),
            ("http://e.com/announce?x2%0644", Some("http://e.com/scrape?x2%0644")),
            ("http://e.com/announce?x=2/4", Some("http://e.com/scrape?x=2/4")),
            ("http://e.com/x%064announce", None),
            ("udp://e.com:1/x", Some("udp://e.com:1/x")),
        ] {
            let url = announce.parse().unwrap();
            assert_eq!(scrape_url(&url).map(|u| u.reveal()).as_deref(), scrape, "{announce}");
        }
    }

    #[test]
    fn info_hashes_are_asked_for_together() {
        let url = "http://e.com/scrape".parse().unwrap();
        let target = scrape_target(&url, &[InfoHash([b'a'; 20]), InfoHash([0; 20])]);
        assert_eq!(target, format!("/scrape?info_hash={}&info_hash={}", "a".repeat(20), "%00".repeat(20)));
    }
}
