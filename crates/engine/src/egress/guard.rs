//! Which addresses an HTTP request that a torrent asks for may go to (server-side request forgery).
//!
//! Trackers and web seeds in the house work: loopback, private and unique local addresses are spoken to when a torrent names them
//! itself. But a torrent must not make this machine press buttons on others of the house: there, only what looks like an
//! announce or a scrape is asked for, and a web seed without a query. A server out there must not send us into the house: a
//! redirect from a public address to one that is not is refused. Link-local addresses, where clouds keep their secrets, and
//! those that name no single host are never spoken to. The guard looks at what a name resolved to, at every step.
//!
//! Behind a proxy names are resolved by the proxy: only addresses that are written out are guarded there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far away an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Public,
    /// This machine or the house.
    Inside,
    /// Nothing to speak HTTP with.
    Never,
}

/// What is asked for: decides what may be asked of an address inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Tracker,
    WebSeed,
    /// Chosen by the user, not by a torrent.
    User,
    /// Chosen by somebody who may not look into the house.
    Guest,
}

pub(crate) fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    let [a, b, ..] = ip.octets();
    match (a, b) {
        (0, _) | (169, 254) | (224.., _) => Reach::Never,
        (10 | 127, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) => Reach::Inside,
        _ => Reach::Public,
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    let segments = ip.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Inside,
        [0, 0, 0, 0, 0, 0, ..] | [0xfe80..=0xfebf | 0xff00.., ..] => Reach::Never,
        // Where Amazon keeps its machines' secrets.
        [0xfd00, 0x0ec2, ..] => Reach::Never,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Reach::Inside,
        // NAT64 and 6to4 lead to the IPv4 address within.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            reach_v4(Ipv4Addr::new(a, b, c, d))
        }
        _ => Reach::Public,
    }
}

/// Whether `target` (path and query) may be asked of `ip`, after the addresses that redirected here.
///
/// # Errors
/// The reason why not.
pub(crate) fn check(
    purpose: Purpose,
    came_from_public: bool,
    ip: IpAddr,
    target: &str,
) -> Result<(), String> {
    match reach(ip) {
        Reach::Public => Ok(()),
        Reach::Never => Err(format!("{ip} is not spoken to")),
        Reach::Inside if came_from_public => {
            Err(format!("redirected from a public address to {ip}, which is not: refused"))
        }
        Reach::Inside => {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let last = path.rsplit('/').next().unwrap_or_default();
            let fine = match purpose {
                Purpose::Tracker => last.starts_with("announce") || last.starts_with("scrape"),
                Purpose::WebSeed => query.is_empty(),
                Purpose::User => true,
                Purpose::Guest => false,
            };
            if fine { Ok(()) } else { Err(format!("{ip} is in the house: not asked for that")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (ip, expected) in [
            ("1.1.1.1", Reach::Public),
            ("172.32.0.1", Reach::Public),
            ("2001:db9::1", Reach::Public),
            ("127.0.0.1", Reach::Inside),
            ("10.1.2.3", Reach::Inside),
            ("172.16.0.1", Reach::Inside),
            ("192.168.1.1", Reach::Inside),
            ("100.64.0.1", Reach::Inside),
            ("::1", Reach::Inside),
            ("fd12::1", Reach::Inside),
            ("::ffff:127.0.0.1", Reach::Inside),
            ("64:ff9b::10.0.0.1", Reach::Inside),
            ("2002:c0a8:0101::1", Reach::Inside),
            ("169.254.169.254", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("fd00:ec2::254", Reach::Never),
            ("fe80::1", Reach::Never),
            ("0.0.0.0", Reach::Never),
            ("::", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("ff02::1", Reach::Never),
        ] {
            assert_eq!(reach(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn inside_only_what_looks_right_is_asked_for_and_nobody_sends_us_there() {
        let (home, out) = ("192.168.1.1".parse().unwrap(), "1.1.1.1".parse().unwrap());
        for (purpose, redirected, ip, target, fine) in [
            (Purpose::Tracker, false, home, "/announce?info_hash=x", true),
            (Purpose::Tracker, false, home, "/key/announce.php", true),
            (Purpose::Tracker, false, home, "/reboot?now=1", false),
            (Purpose::Tracker, true, home, "/announce", false),
            (Purpose::Tracker, true, out, "/anything", true),
            (Purpose::WebSeed, false, home, "/file.mkv", true),
            (Purpose::WebSeed, false, home, "/cgi?delete=1", false),
            (Purpose::User, false, home, "/dl?id=1", true),
            (Purpose::User, true, home, "/dl?id=1", false),
            (Purpose::Guest, false, home, "/dl", false),
            (Purpose::Guest, false, out, "/dl", true),
        ] {
            assert_eq!(check(purpose, redirected, ip, target).is_ok(), fine, "{purpose:?} {ip} {target}");
        }
    }
}
