//! A tracker's address: `http`, `https` or `udp`, shown without the passkey that it may hold.
//!
//! Reads what trackers use of RFC 3986 and no more; names with letters beyond ASCII are refused, as punycode is what
//! torrents hold.

use core::{fmt, net::Ipv6Addr, str::FromStr};

/// Longer than any tracker's, short enough to be kept a hundred times per torrent.
pub const URL_BYTES_MAX: usize = 2048;
const HOST_BYTES_MAX: usize = 253;
/// Passkeys are 32 digits as a rule; ordinary words of a path are shorter than this.
const SECRET_BYTES_MIN: usize = 16;
/// Words of a path that tell nobody's secret.
const PLAIN_SEGMENTS: &[&str] = &[
    "announce",
    "announce.php",
    "announce.pl",
    "ann",
    "scrape",
    "scrape.php",
    "tracker",
    "tracker.php",
    "api",
    "bt",
];

/// How a tracker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// BEP 3.
    Http,
    /// BEP 3 within TLS.
    Https,
    /// BEP 15.
    Udp,
}

impl Scheme {
    /// As it stands before `://`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
        }
    }
}

/// The address of a tracker. [`Display`](fmt::Display) and [`Debug`](fmt::Debug) hide what may be a passkey.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TrackerUrl {
    scheme: Scheme,
    user_info: Option<String>,
    host: String,
    port: u16,
    target: String,
}

/// Why a text is no tracker's address. Holds no part of it: the address may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http`, `https` nor `udp`.
    #[error("tracker address: not http, https or udp")]
    Scheme,
    /// No host, or one that is no name and no address.
    #[error("tracker address: no host name or IP address")]
    Host,
    /// No number from 1 to 65535, or none where `udp` needs one.
    #[error("tracker address: no port from 1 to 65535")]
    Port,
    /// Longer than [`URL_BYTES_MAX`].
    #[error("tracker address: longer than {URL_BYTES_MAX} bytes")]
    Length,
    /// White space or a control character.
    #[error("tracker address: holds a character that no address holds")]
    Character,
}

impl TrackerUrl {
    /// How it is spoken to.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host's name or address, in lower case, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, of the scheme where none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `user:password`, still percent-encoded, for HTTP's basic authentication (RFC 7617). A secret.
    #[must_use]
    pub fn user_info(&self) -> Option<&str> {
        self.user_info.as_deref()
    }

    /// Path and query, from the slash on: what HTTP asks for and BEP 41 carries. May hold a passkey.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as they stand in `Host:`, the port left out where the scheme implies it.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.scheme, self.port) {
            (Scheme::Http, 80) | (Scheme::Https, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The whole address, with whatever secret it holds: for resume data, never for logs.
    #[must_use]
    pub fn reveal(&self) -> String {
        let user = self.user_info.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
        format!("{}://{user}{}{}", self.scheme.as_str(), self.authority(), self.target)
    }

    /// Whether it seems to hold a passkey: a magnet with one is treated as private until its metadata says otherwise.
    #[must_use]
    pub fn carries_secret(&self) -> bool {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let secret = |word: &str| {
            word.len() >= SECRET_BYTES_MIN
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let value = |pair: &str| pair.split_once('=').is_some_and(|(_, value)| secret(value));
        self.user_info.is_some() || path.split('/').any(secret) || query.split('&').any(value)
    }

    /// The same tracker with another path and query.
    pub(crate) fn with_target(&self, target: String) -> Self {
        Self { target, ..self.clone() }
    }
}

impl FromStr for TrackerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::Length);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\')) {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "udp" => Scheme::Udp,
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user_info, host_port) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, authority),
        };
        let (host, port) = host_and_port(host_port)?;
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Scheme::Http) => 80,
            (None, Scheme::Https) => 443,
            (None, Scheme::Udp) => return Err(UrlError::Port),
        };
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, user_info, host, port, target: format!("{slash}{}", ascii(target)) })
    }
}

/// Percent-encodes what is not ASCII: some torrents hold such paths as they are.
fn ascii(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
        (
            host,
            rest.strip_prefix(':').or(if rest.is_empty() { Some("") } else { None }).ok_or(UrlError::Port)?,
        )
    } else {
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(fine) {
            return Err(UrlError::Host);
        }
        (host, port)
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|p| *p != 0).ok_or(UrlError::Port)?)
        }
        _ => return Err(UrlError::Port),
    };
    Ok((host.to_ascii_lowercase(), port))
}

impl fmt::Display for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())?;
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        for segment in path.split('/').skip(1) {
            write!(
                f,
                "/{}",
                if segment.is_empty() || PLAIN_SEGMENTS.contains(&segment) { segment } else { "…" }
            )?;
        }
        if query.is_empty() { Ok(()) } else { f.write_str("?…") }
    }
}

impl fmt::Debug for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> TrackerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_taken_apart() {
        let plain = url("HTTP://Tracker.Example.org/announce");
        assert_eq!((plain.scheme(), plain.host(), plain.port()), (Scheme::Http, "tracker.example.org", 80));
        assert_eq!(plain.authority(), "tracker.example.org");
        assert_eq!(url("https://t.example:8443?x=1").target(), "/?x=1");
        assert_eq!(url("https://t.example:443/a").authority(), "t.example");
        let v6 = url("udp://[2001:db8::1]:6969/announce");
        assert_eq!(
            (v6.host(), v6.port(), v6.authority()),
            ("2001:db8::1", 6969, "[2001:db8::1]:6969".into())
        );
        let user = url("http://jane:pw@t.example/announce#top");
        assert_eq!((user.user_info(), user.target()), (Some("jane:pw"), "/announce"));
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (text, why) in [
            ("wss://t.example/", UrlError::Scheme),
            ("t.example/announce", UrlError::Scheme),
            ("udp://t.example/announce", UrlError::Port),
            ("http://:80/", UrlError::Host),
            ("http://[::g]/", UrlError::Host),
            ("http://exämple.org/", UrlError::Host),
            ("http://t.example:0/", UrlError::Port),
            ("http://t.example:99999/", UrlError::Port),
            ("http://t.example:8o/", UrlError::Port),
            ("http://[::1]x/", UrlError::Port),
            ("http://t.example/a b", UrlError::Character),
            ("http://t.example/a\r\nHost: x", UrlError::Character),
        ] {
            assert_eq!(text.parse::<TrackerUrl>(), Err(why), "{text}");
        }
        assert_eq!(
            format!("http://t/{}", "a".repeat(URL_BYTES_MAX)).parse::<TrackerUrl>(),
            Err(UrlError::Length)
        );
    }

    #[test]
    fn what_may_be_a_passkey_is_not_shown() {
        let secret = "0123456789abcdef0123456789abcdef";
        for text in [
            format!("https://t.example/{secret}/announce"),
            format!("https://t.example/announce?passkey={secret}"),
            format!("https://{secret}@t.example/announce"),
            format!("https://t.example/announce.php/{secret}"),
        ] {
            let url = url(&text);
            assert!(url.carries_secret(), "{text}");
            assert!(!format!("{url} {url:?}").contains(&secret[..4]), "{url}");
            assert_eq!(url.reveal(), text);
        }
        let open = url("udp://t.example:6969/announce");
        assert!(!open.carries_secret());
        assert_eq!(open.to_string(), "udp://t.example:6969/announce");
    }
}
