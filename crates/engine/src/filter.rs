//! Addresses never spoken to: the lists people share (p2p and DAT lines, CIDR) and those that a swarm's corruption earned.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::EngineError;

/// Longer lists are refused: ten times the largest that is shared.
const RANGES_MAX: usize = 4_000_000;

/// Larger files are refused.
const LIST_BYTES_MAX: u64 = 512 << 20;

/// Banned addresses that are remembered; past it the ban only ends the connection.
const BANNED_MAX: usize = 65_536;

/// In DAT lines, levels from this on are let through.
const DAT_LEVEL_ALLOWED: u32 = 128;

/// Which addresses are refused. Asked before anything else is done with an address.
#[derive(Debug, Default)]
pub(crate) struct IpFilter {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    banned: Mutex<HashSet<IpAddr>>,
}

impl IpFilter {
    /// Reads lists; a line that says nothing is passed over, as people's lists hold such.
    pub(crate) fn load<P: AsRef<Path>>(lists: &[P]) -> Result<Self, EngineError> {
        let mut filter = Self::default();
        for list in lists {
            let path = list.as_ref();
            let refused = |detail: String| EngineError::Config {
                what: format!("IP filter {}", path.display()),
                detail,
            };
            let length = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
            if length > LIST_BYTES_MAX {
                return Err(refused(format!("{length} bytes: more than {LIST_BYTES_MAX}")));
            }
            let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
            let before = filter.len();
            for line in bytes.split(|byte| *byte == b'\n') {
                filter.add(&String::from_utf8_lossy(line));
                if filter.len() > RANGES_MAX {
                    return Err(refused(format!("more than {RANGES_MAX} ranges")));
                }
            }
            if filter.len() == before && bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
                return Err(refused("no line of it is a range: p2p, DAT or CIDR lines are read".into()));
            }
        }
        merge(&mut filter.v4, |end| end.checked_add(1));
        merge(&mut filter.v6, |end| end.checked_add(1));
        Ok(filter)
    }

    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    fn add(&mut self, line: &str) {
        match line_range(line.trim()) {
            Some((IpAddr::V4(first), IpAddr::V4(last))) if first <= last => {
                self.v4.push((first.into(), last.into()))
            }
            Some((IpAddr::V6(first), IpAddr::V6(last))) if first <= last => {
                self.v6.push((first.into(), last.into()))
            }
            _ => {}
        }
    }

    /// Whether nothing is to be sent to or taken from `ip`.
    pub(crate) fn refuses(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let listed = match ip {
            IpAddr::V4(ip) => covers(&self.v4, ip.into()),
            IpAddr::V6(ip) => covers(&self.v6, ip.into()),
        };
        listed || self.banned.lock().unwrap_or_else(PoisonError::into_inner).contains(&ip)
    }

    /// Refuses `ip` until the session ends.
    pub(crate) fn ban(&self, ip: IpAddr) {
        let mut banned = self.banned.lock().unwrap_or_else(PoisonError::into_inner);
        if banned.len() < BANNED_MAX {
            banned.insert(ip.to_canonical());
        }
    }
}

fn covers<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= value);
    after > 0 && value <= ranges[after - 1].1
}

/// Sorts ranges and joins those that touch, so that one look is enough.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, kept| {
        let joins = next(kept.1).is_none_or(|after| later.0 <= after);
        if joins {
            kept.1 = kept.1.max(later.1);
        }
        joins
    });
    ranges.shrink_to_fit();
}

/// `name:1.2.3.4-1.2.3.9` (p2p), `001.002.003.004 - 001.002.003.009 , 100 , name` (DAT), `1.2.3.0/24`, or an address.
fn line_range(line: &str) -> Option<(IpAddr, IpAddr)> {
    if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//") {
        return None;
    }
    if !line.contains(['-', ',']) {
        return cidr(line);
    }
    let mut fields = line.split(',');
    let range = fields.next().unwrap_or_default();
    if let Some(level) = fields.next()
        && let Some(pair) = pair(range)
    {
        let level: u32 = level.trim().parse().unwrap_or(0);
        return (level < DAT_LEVEL_ALLOWED).then_some(pair);
    }
    // A p2p name may hold colons, commas and dashes itself: each colon may be the one before the range.
    pair(line).or_else(|| line.match_indices(':').find_map(|(at, _)| pair(&line[at + 1..])))
}

fn pair(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = text.split_once('-')?;
    Some((address(first)?, address(last)?))
}

fn cidr(text: &str) -> Option<(IpAddr, IpAddr)> {
    let text = text.split_whitespace().next()?;
    let Some((ip, bits)) = text.split_once('/') else {
        return address(text).map(|ip| (ip, ip));
    };
    let bits: u32 = bits.parse().ok()?;
    Some(match address(ip)? {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            let first = u32::from(ip) & !host;
            (bits <= 32).then_some((Ipv4Addr::from(first).into(), Ipv4Addr::from(first | host).into()))?
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(bits).unwrap_or(0);
            let first = u128::from(ip) & !host;
            (bits <= 128).then_some((Ipv6Addr::from(first).into(), Ipv6Addr::from(first | host).into()))?
        }
    })
}

/// An address; those of DAT files have leading zeros, which are decimal all the same.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Some(ip.into());
    }
    let mut parts = text.split('.');
    let mut octets = [0; 4];
    for octet in &mut octets {
        let part =
            parts.next().filter(|part| part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(lines: &str) -> IpFilter {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines).unwrap();
        IpFilter::load(&[file.path()]).unwrap()
    }

    fn refused(filter: &IpFilter, ip: &str) -> bool {
        filter.refuses(ip.parse().unwrap())
    }

    #[test]
    fn every_kind_of_line_is_understood() {
        let filter = filter(
            "# a comment\nBad: corp, inc - x:1.2.3.4-1.2.3.9\n001.002.004.000 - 001.002.004.255 , 100 , some\n\
             005.000.000.000 - 005.255.255.255 , 200 , let through\n10.0.0.0/8\n2001:db8::/32\n9.9.9.9\nnonsense\n",
        );
        for ip in
            ["1.2.3.4", "1.2.3.9", "1.2.4.77", "10.255.0.1", "2001:db8:ffff::1", "9.9.9.9", "::ffff:10.1.1.1"]
        {
            assert!(refused(&filter, ip), "{ip}");
        }
        for ip in ["1.2.3.3", "1.2.3.10", "5.1.1.1", "11.0.0.0", "2001:db9::", "9.9.9.8"] {
            assert!(!refused(&filter, ip), "{ip}");
        }
    }

    #[test]
    fn overlapping_ranges_are_one() {
        let filter =
            filter("1.0.0.0-1.0.0.9\n1.0.0.5-1.0.0.7\n1.0.0.10-1.0.0.20\n0.0.0.0/32\n255.255.255.255\n");
        assert_eq!(filter.v4.len(), 3);
        assert!(
            refused(&filter, "1.0.0.8")
                && refused(&filter, "255.255.255.255")
                && !refused(&filter, "1.0.0.21")
        );
    }

    #[test]
    fn a_list_without_ranges_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "<html>").unwrap();
        assert!(IpFilter::load(&[file.path()]).unwrap_err().to_string().contains("no line of it is a range"));
    }

    #[test]
    fn a_banned_address_stays_out() {
        let filter = IpFilter::default();
        filter.ban("::ffff:1.2.3.4".parse().unwrap());
        assert!(refused(&filter, "1.2.3.4") && !refused(&filter, "1.2.3.5"));
    }
}
