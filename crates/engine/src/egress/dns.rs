//! Names over the bound interface: a stub resolver (RFC 1035) whose sockets are the egress'.
//!
//! Only used while an interface is bound, where the system's resolver would ask around it. Asks the servers of `/etc/resolv.conf`
//! that are not on this machine, for a stub on loopback asks on from wherever it likes; if none is left, public ones.
//! `/etc/hosts`, search domains and mDNS are left to the system's resolver.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::sockets::Way;

/// Quad9 and Cloudflare, which answer anybody.
const PUBLIC: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)),
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe)),
];
const PORT: u16 = 53;
const SERVERS_MAX: usize = 3;
const ROUNDS: usize = 2;
const ANSWER_WAIT: Duration = Duration::from_millis(1500);
const ADDRESSES_MAX: usize = 32;
const RECORDS_MAX: u16 = 100;
const DATAGRAM_BYTES_MAX: usize = 1232;
const CACHED_MAX: usize = 1024;
const TTL_MIN: Duration = Duration::from_secs(10);
const TTL_MAX: Duration = Duration::from_secs(3600);
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>);

impl Cache {
    fn get(&self, name: &str) -> Option<Vec<IpAddr>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.get(name).filter(|(until, _)| Instant::now() < *until).map(|(_, ips)| ips.clone())
    }

    fn put(&self, name: &str, ips: &[IpAddr], ttl: Duration) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= CACHED_MAX {
            cached.clear();
        }
        cached.insert(name.to_owned(), (Instant::now() + ttl.clamp(TTL_MIN, TTL_MAX), ips.to_vec()));
    }
}

/// The addresses of `name`, IPv6 first, asked over `way`.
pub(crate) async fn resolve(way: &Way, cache: &Cache, name: &str) -> io::Result<Vec<IpAddr>> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
    }
    if let Some(ips) = cache.get(&name) {
        return Ok(ips);
    }
    let servers = servers(way);
    let (v6, v4) =
        tokio::join!(ask_all(way, &servers, &name, TYPE_AAAA), ask_all(way, &servers, &name, TYPE_A));
    let (mut ips, mut ttl) = (Vec::new(), TTL_MAX);
    let mut failure = None;
    for answer in [v6, v4] {
        match answer {
            Ok(answer) => {
                ips.extend(answer.addresses);
                ttl = ttl.min(answer.ttl);
            }
            Err(error) => failure = Some(error),
        }
    }
    match (ips.is_empty(), failure) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"))),
        (false, _) => {
            cache.put(&name, &ips, ttl);
            Ok(ips)
        }
    }
}

fn servers(way: &Way) -> Vec<SocketAddr> {
    if !way.dns.is_empty() {
        return way.dns.clone();
    }
    // Read each time: a VPN's client writes it anew.
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut ips = named_servers(&text);
    if ips.is_empty() {
        ips = PUBLIC.to_vec();
    }
    ips.into_iter().take(SERVERS_MAX).map(|ip| SocketAddr::new(ip, PORT)).collect()
}

fn named_servers(resolv_conf: &str) -> Vec<IpAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
        .filter(|ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified())
        .collect()
}

#[derive(Debug, PartialEq)]
struct Answer {
    addresses: Vec<IpAddr>,
    ttl: Duration,
}

async fn ask_all(way: &Way, servers: &[SocketAddr], name: &str, kind: u16) -> io::Result<Answer> {
    let mut last = io::Error::new(io::ErrorKind::TimedOut, format!("{name}: no name server answers"));
    for _ in 0..ROUNDS {
        for server in servers {
            match timeout(ANSWER_WAIT, ask(way, *server, name, kind)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = error,
                Err(_) => {}
            }
        }
    }
    Err(last)
}

async fn ask(way: &Way, server: SocketAddr, name: &str, kind: u16) -> io::Result<Answer> {
    let query = query(u16::try_from(super::random() >> 48).unwrap_or(0), name, kind)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name")))?;
    let socket = way.bind_udp(super::unspecified(server.ip()))?;
    socket.connect(server).await?;
    socket.send(&query).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match read(&buffer[..length], &query, kind) {
            // Somebody else's, or garbage: the right one may yet come.
            Err(Unreadable::Foreign) => {}
            Err(Unreadable::Failed(code)) => {
                return Err(io::Error::other(format!("{name}: name server {server} says error {code}")));
            }
            Err(Unreadable::Cut) => return ask_tcp(way, server, name, &query, kind).await,
            Ok(answer) => return Ok(answer),
        }
    }
}

async fn ask_tcp(way: &Way, server: SocketAddr, name: &str, query: &[u8], kind: u16) -> io::Result<Answer> {
    let mut stream = way.connect_tcp(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).await?;
    let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut bytes).await?;
    read(&bytes, query, kind)
        .map_err(|_| io::Error::other(format!("{name}: name server {server} answers oddly")))
}

fn query(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 18);
    bytes.extend(id.to_be_bytes());
    // Recursion desired; one question.
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|l| (1..=63).contains(l))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    (name.len() <= 253).then_some(bytes)
}

#[derive(Debug, PartialEq)]
enum Unreadable {
    /// Not the answer to our question.
    Foreign,
    /// Too long for a datagram.
    Cut,
    /// RFC 1035, section 4.1.1.
    Failed(u8),
}

/// Reads the answer to `query`. Records of names that the question's name leads to are all taken: a recursive server follows the
/// aliases itself.
fn read(bytes: &[u8], query: &[u8], kind: u16) -> Result<Answer, Unreadable> {
    let foreign = Unreadable::Foreign;
    let (Some(head), Some(question)) = (bytes.get(..12), query.get(12..)) else { return Err(foreign) };
    let echoed = bytes.get(12..query.len()).is_some_and(|q| q.eq_ignore_ascii_case(question));
    if head[..2] != query[..2] || head[2] & 0x80 == 0 || !echoed {
        return Err(foreign);
    }
    if head[2] & 2 != 0 {
        return Err(Unreadable::Cut);
    }
    let code = head[3] & 15;
    // 3 is "no such name": an answer without addresses.
    if code != 0 && code != 3 {
        return Err(Unreadable::Failed(code));
    }
    let records = u16::from_be_bytes([head[6], head[7]]).min(RECORDS_MAX);
    let mut answer = Answer { addresses: Vec::new(), ttl: TTL_MAX };
    let mut at = query.len();
    for _ in 0..records {
        let Some((record, data, next)) = record(bytes, at) else { break };
        at = next;
        let [found, class, ttl_high, ttl_low] = record;
        if found != kind || class != CLASS_IN || answer.addresses.len() >= ADDRESSES_MAX {
            continue;
        }
        let ip = match kind {
            TYPE_A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        };
        let ttl = u32::from(ttl_high) << 16 | u32::from(ttl_low);
        answer.ttl = answer.ttl.min(Duration::from_secs(ttl.into()));
        answer.addresses.extend(ip);
    }
    Ok(answer)
}

/// The record at an offset: its type, class and time to live, its data, and where the next begins.
fn record(bytes: &[u8], mut at: usize) -> Option<([u16; 4], &[u8], usize)> {
    loop {
        match *bytes.get(at)? {
            0 => break at += 1,
            length @ 1..=63 => at += 1 + usize::from(length),
            // A pointer to an earlier name ends this one.
            192.. => break at += 2,
            _ => return None,
        }
    }
    let fixed = bytes.get(at..at + 10)?;
    let number = |n: usize| u16::from_be_bytes([fixed[n], fixed[n + 1]]);
    let start = at + 10;
    let end = start + usize::from(number(8));
    Some(([number(0), number(2), number(4), number(6)], bytes.get(start..end)?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(query: &[u8], flags: [u8; 2], records: &[u8], count: u8) -> Vec<u8> {
        [&query[..2], &flags, &[0, 1, 0, count, 0, 0, 0, 0], &query[12..], records].concat()
    }

    #[test]
    fn a_question_and_its_answer() {
        let asked = query(7, "t.example", TYPE_A).unwrap();
        assert_eq!(asked, b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01t\x07example\0\0\x01\0\x01");
        // An alias first, then two addresses.
        let records = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c\
            \xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01\
            \x01x\0\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0\x02";
        let answer = read(&reply(&asked, [0x81, 0x80], records, 3), &asked, TYPE_A).unwrap();
        assert_eq!(answer.addresses, ["10.0.0.1".parse::<IpAddr>().unwrap(), "10.0.0.2".parse().unwrap()]);
        assert_eq!(answer.ttl, Duration::from_secs(30));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_told_apart() {
        let asked = query(7, "t.example", TYPE_A).unwrap();
        let other = query(7, "u.example", TYPE_A).unwrap();
        assert_eq!(read(&reply(&other, [0x81, 0x80], b"", 0), &asked, TYPE_A), Err(Unreadable::Foreign));
        assert_eq!(read(&asked, &asked, TYPE_A), Err(Unreadable::Foreign));
        assert_eq!(read(&reply(&asked, [0x83, 0x80], b"", 0), &asked, TYPE_A), Err(Unreadable::Cut));
        assert_eq!(read(&reply(&asked, [0x81, 0x82], b"", 0), &asked, TYPE_A), Err(Unreadable::Failed(2)));
        assert!(read(&reply(&asked, [0x81, 0x83], b"", 0), &asked, TYPE_A).unwrap().addresses.is_empty());
    }

    #[test]
    fn damaged_answers_do_no_harm() {
        let asked = query(7, "t.example", TYPE_AAAA).unwrap();
        let record = [&b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10"[..], &[1; 16]].concat();
        let whole = reply(&asked, [0x81, 0x80], &record, 9);
        for length in 0..whole.len() {
            let _ = read(&whole[..length], &asked, TYPE_AAAA);
        }
        for at in 0..whole.len() {
            for byte in [0, 63, 64, 192, 255] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let _ = read(&damaged, &asked, TYPE_AAAA);
            }
        }
    }

    #[test]
    fn names_that_are_none_are_not_asked_for() {
        for name in ["", "a..b", &"a".repeat(64), &"a.".repeat(130)] {
            assert_eq!(query(1, name, TYPE_A), None, "{name}");
        }
    }

    #[test]
    fn a_stub_on_this_machine_is_not_asked() {
        let text =
            "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.1\nnameserver ::1\nsearch a\nnameserver fd00::1\n";
        assert_eq!(named_servers(text).len(), 2);
    }
}
