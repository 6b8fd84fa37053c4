//! Addresses in torrents and magnets: trackers in tiers (BEP 12), web seeds (BEP 19), hosts with a port (BEP 5, 9).

use std::{collections::HashSet, fmt, str::FromStr};

use bencode::{Item, Value};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::limits::{HOSTS_MAX, TRACKERS_MAX, URL_BYTES_MAX, WEB_SEEDS_MAX};

/// A name or address, and a port; the name is not resolved here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// A text that is no host with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no host and port")]
pub struct NoHost;

impl HostPort {
    /// `host`, if it can be one, with `port`, if it is one.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let fits = host.parse::<Ipv6Addr>().is_ok()
            || (1..=253).contains(&host.len())
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        (fits && port > 0).then(|| Self { host: host.to_owned(), port })
    }

    /// The address, where the host is not a name.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

impl FromStr for HostPort {
    type Err = NoHost;

    /// Reads `host:port` and `[v6]:port`.
    fn from_str(text: &str) -> Result<Self, NoHost> {
        let (host, port) = text.rsplit_once(':').ok_or(NoHost)?;
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        let port = port.parse().map_err(|_| NoHost)?;
        Self::new(host, port).filter(|_| !bare_v6).ok_or(NoHost)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// An address of a tracker or web seed, if `text` can be one: it has a scheme, no blanks and no control characters.
pub(crate) fn url(text: &str) -> Option<&str> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://")?;
    let fits = text.len() <= URL_BYTES_MAX
        && !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    fits.then_some(text)
}

/// `announce-list`, or `announce` where that has nothing (BEP 12): tiers without empty ones or repetition.
pub(crate) fn tiers(announce_list: Option<Value<'_>>, announce: Option<Value<'_>>) -> Vec<Vec<String>> {
    let mut seen = HashSet::new();
    let mut tiers = Vec::new();
    for tier in announce_list.and_then(|value| value.as_list()).into_iter().flatten() {
        // A few are flat: each tracker is then a tier.
        let urls: Vec<String> = match tier.item() {
            Item::List(list) => {
                list.iter().filter_map(|value| new_url(value, &mut seen, TRACKERS_MAX)).collect()
            }
            _ => new_url(tier, &mut seen, TRACKERS_MAX).into_iter().collect(),
        };
        if !urls.is_empty() {
            tiers.push(urls);
        }
        if seen.len() >= TRACKERS_MAX {
            break;
        }
    }
    if tiers.is_empty() {
        tiers.extend(announce.and_then(|value| new_url(value, &mut seen, TRACKERS_MAX)).map(|url| vec![url]));
    }
    tiers
}

/// `url-list`: a text or a list (BEP 19).
pub(crate) fn web_seeds(url_list: Option<Value<'_>>) -> Vec<String> {
    let mut seen = HashSet::new();
    let Some(value) = url_list else { return Vec::new() };
    match value.item() {
        Item::List(list) => list
            .iter()
            .filter_map(|value| new_url(value, &mut seen, WEB_SEEDS_MAX))
            .take(WEB_SEEDS_MAX)
            .collect(),
        _ => new_url(value, &mut seen, WEB_SEEDS_MAX).into_iter().collect(),
    }
}

fn new_url<'a>(value: Value<'a>, seen: &mut HashSet<&'a str>, max: usize) -> Option<String> {
    let text = value.as_str().and_then(url)?;
    (seen.len() < max && seen.insert(text)).then(|| text.to_owned())
}

/// `nodes`: pairs of host and port (BEP 5).
pub(crate) fn nodes(value: Option<Value<'_>>) -> Vec<HostPort> {
    let pair = |value: Value<'_>| {
        let mut pair = value.as_list()?.iter();
        let host = pair.next()?.as_str()?;
        HostPort::new(host, pair.next()?.as_u64().and_then(|port| u16::try_from(port).ok())?)
    };
    let list = value.and_then(|value| value.as_list()).into_iter().flatten();
    list.take(HOSTS_MAX).filter_map(pair).collect()
}

/// Whether an announce address holds what only one user knows: a key in its path or query. A torrent of such a tracker is
/// taken for private until its metadata says otherwise.
#[must_use]
pub fn has_passkey(announce: &str) -> bool {
    let rest = announce.split_once("://").map_or(announce, |(_, rest)| rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let secret = |text: &str| {
        text.len() >= 16
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && text.bytes().any(|byte| byte.is_ascii_digit())
    };
    let keyed = query.split('&').any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = key.to_ascii_lowercase();
        let named =
            ["passkey", "pk", "authkey", "auth", "torrent_pass", "key", "pid", "uid", "secret", "token"];
        named.contains(&key.as_str()) && !value.is_empty() || secret(value)
    });
    // The first part of the path is the host.
    keyed || path.split('/').skip(1).any(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_and_shown_alike() {
        for text in ["10.0.0.1:6881", "router.example.org:1", "[2001:db8::1]:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        for text in ["", "a", "a:0", "a:65536", ":1", "2001:db8::1:80", "a b:1", "a/b:1", "[a]b:1", "é:1"] {
            assert_eq!(text.parse::<HostPort>(), Err(NoHost), "{text}");
        }
        assert!("[::1]:80".parse::<HostPort>().unwrap().socket_addr().is_some());
        assert!("localhost:80".parse::<HostPort>().unwrap().socket_addr().is_none());
    }

    #[test]
    fn a_passkey_is_told_from_a_public_tracker() {
        for url in [
            "https://tracker.example/0123456789abcdef0123456789abcdef/announce",
            "http://tracker.example/announce?passkey=abc",
            "http://tracker.example/announce.php?pid=5&x=1",
        ] {
            assert!(has_passkey(url), "{url}");
        }
        for url in [
            "udp://tracker.opentrackr.org:1337/announce",
            "http://tracker.example:6969/announce",
            "wss://tracker.example",
            "http://verylonghostname0123456789.example/announce",
        ] {
            assert!(!has_passkey(url), "{url}");
        }
    }
}
