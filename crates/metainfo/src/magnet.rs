//! Magnet links (BEP 9; 53 for files, 19 for web seeds): read leniently, written canonically.
//!
//! Parameters that are not known are ignored, as is what cannot be a tracker, web seed or peer. What decides which torrent, or
//! which of its files, is wanted has to be right.

use std::{collections::HashSet, fmt, ops::Range, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    FileIndex, HostPort, InfoHash, InfoHashV2, MagnetError, hosts,
    limits::{
        FILES_MAX, HOSTS_MAX, MAGNET_BYTES_MAX, SELECT_RANGES_MAX, TEXT_BYTES_MAX, TRACKERS_MAX,
        WEB_SEEDS_MAX,
    },
};

/// What stands for itself in a query (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A magnet link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// Which torrent (`xt=urn:btih:`).
    pub info_hash: InfoHash,
    /// The same torrent's v2 side (`xt=urn:btmh:`), where it is a hybrid.
    pub info_hash_v2: Option<InfoHashV2>,
    /// What to call it until its metadata is here (`dn`): for people, not for paths.
    pub name: Option<String>,
    /// Trackers (`tr`), as they stand: each its own tier.
    pub trackers: Vec<String>,
    /// Web seeds (`ws`).
    pub web_seeds: Vec<String>,
    /// Peers to begin with (`x.pe`).
    pub peers: Vec<HostPort>,
    /// The files that are wanted (`so`), sorted and apart; all of them where it is `None`. Not checked against the torrent, which is not
    /// known yet.
    pub select: Option<Vec<Range<u32>>>,
}

impl Magnet {
    /// The magnet of a bare info-hash.
    #[must_use]
    pub fn new(info_hash: InfoHash) -> Self {
        Self {
            info_hash,
            info_hash_v2: None,
            name: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            peers: Vec::new(),
            select: None,
        }
    }

    /// The trackers as tiers of one (BEP 12).
    #[must_use]
    pub fn tiers(&self) -> Vec<Vec<String>> {
        self.trackers.iter().map(|url| vec![url.clone()]).collect()
    }

    /// Whether the file is selected.
    #[must_use]
    pub fn selects(&self, file: FileIndex) -> bool {
        self.select.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&file.0)))
    }

    /// Whether a tracker's address holds a passkey: to be treated as private until its metadata says otherwise.
    #[must_use]
    pub fn looks_private(&self) -> bool {
        self.trackers.iter().any(|url| hosts::has_passkey(url))
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, MagnetError> {
        let text = text.trim();
        if text.len() > MAGNET_BYTES_MAX {
            return Err(MagnetError::TooLong { length: text.len() });
        }
        let query = match text.get(..8) {
            Some(scheme) if scheme.eq_ignore_ascii_case("magnet:?") => &text[8..],
            _ => return Err(MagnetError::Scheme { start: text.chars().take(16).collect() }),
        };
        let mut magnet = Self::new(InfoHash([0; 20]));
        let mut info_hash = None;
        let mut seen = HashSet::new();
        for pair in query.split('&') {
            // Links copied from web pages still hold `&amp;`.
            let pair = pair.strip_prefix("amp;").unwrap_or(pair);
            let (key, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let key = key.to_ascii_lowercase();
            // `tr.1`, `xt.2`: numbered where there are several.
            let key = match key.rsplit_once('.') {
                Some((key, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => key,
                _ => key.as_str(),
            };
            let value = percent_decode_str(raw).decode_utf8_lossy();
            match key {
                "xt" => magnet.exact_topic(&value, &mut info_hash)?,
                "dn" if magnet.name.is_none() => {
                    // Before decoding, since an escaped plus is a plus.
                    let name = raw.replace('+', " ");
                    let name = percent_decode_str(&name).decode_utf8_lossy();
                    let end = name.floor_char_boundary(TEXT_BYTES_MAX);
                    magnet.name = Some(name[..end].to_owned()).filter(|name| !name.is_empty());
                }
                "tr" if magnet.trackers.len() < TRACKERS_MAX => {
                    let url = hosts::url(&value).filter(|url| seen.insert((*url).to_owned()));
                    magnet.trackers.extend(url.map(str::to_owned));
                }
                "ws" if magnet.web_seeds.len() < WEB_SEEDS_MAX => {
                    let url = hosts::url(&value).filter(|url| !magnet.web_seeds.iter().any(|old| old == url));
                    magnet.web_seeds.extend(url.map(str::to_owned));
                }
                "x.pe" if magnet.peers.len() < HOSTS_MAX => {
                    magnet.peers.extend(value.parse().ok().filter(|peer| !magnet.peers.contains(peer)));
                }
                "so" => magnet.select = Some(selection(&value)?),
                _ => {}
            }
        }
        match (info_hash, magnet.info_hash_v2) {
            (Some(info_hash), _) => Ok(Self { info_hash, ..magnet }),
            (None, Some(info_hash)) => Err(MagnetError::V2Only { info_hash }),
            (None, None) => Err(MagnetError::NoInfoHash),
        }
    }
}

impl Magnet {
    fn exact_topic(&mut self, urn: &str, info_hash: &mut Option<InfoHash>) -> Result<(), MagnetError> {
        let after = |prefix: &str| {
            let head = urn.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| &urn[prefix.len()..])
        };
        let refused = |text: &str| MagnetError::InfoHash { text: text.chars().take(80).collect() };
        if let Some(text) = after("urn:btih:") {
            let read = text.parse().map_err(|_| refused(text))?;
            if info_hash.replace(read).is_some_and(|old| old != read) {
                return Err(MagnetError::TwoInfoHashes);
            }
        } else if let Some(text) = after("urn:btmh:") {
            // A multihash: 0x12 is SHA-256, 0x20 its length.
            let digits = text.strip_prefix("1220").ok_or_else(|| refused(text))?;
            let read = digits.parse().map_err(|_| refused(text))?;
            if self.info_hash_v2.replace(read).is_some_and(|old| old != read) {
                return Err(MagnetError::TwoInfoHashes);
            }
        }
        Ok(())
    }
}

/// `0,2,4-8`: sorted, half-open, joined.
fn selection(text: &str) -> Result<Vec<Range<u32>>, MagnetError> {
    let refused = || MagnetError::Select { text: text.chars().take(80).collect() };
    let number = |text: &str| {
        text.parse::<u32>().ok().filter(|number| (*number as usize) < FILES_MAX).ok_or_else(refused)
    };
    let mut ranges = Vec::new();
    for (count, item) in text.split(',').enumerate() {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || count >= SELECT_RANGES_MAX {
            return Err(refused());
        }
        ranges.push(first..last + 1);
    }
    ranges.sort_by_key(|range: &Range<u32>| range.start);
    let mut joined: Vec<Range<u32>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    Ok(joined)
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xt=urn:btih:{}", self.info_hash)?;
        if let Some(info_hash) = self.info_hash_v2 {
            write!(f, "&xt=urn:btmh:1220{info_hash}")?;
        }
        let texts = (self.name.iter().map(|name| ("dn", name)))
            .chain(self.trackers.iter().map(|url| ("tr", url)))
            .chain(self.web_seeds.iter().map(|url| ("ws", url)));
        for (key, text) in texts {
            write!(f, "&{key}={}", utf8_percent_encode(text, ESCAPED))?;
        }
        // A colon may stand in a query, and other clients do not unescape here.
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={peer}"))?;
        for (n, range) in self.select.iter().flatten().enumerate() {
            f.write_str(if n == 0 { "&so=" } else { "," })?;
            write!(f, "{}", range.start)?;
            if range.end > range.start + 1 {
                write!(f, "-{}", range.end - 1)?;
            }
        }
        Ok(())
    }
}
