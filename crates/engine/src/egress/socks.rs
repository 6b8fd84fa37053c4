//! SOCKS5 (RFC 1928) with user and password (RFC 1929): streams by `CONNECT`, datagrams by `UDP ASSOCIATE`. Names are resolved by
//! the proxy.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const UDP_ASSOCIATE: u8 = 3;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A SOCKS5 proxy: `socks5://[user:password@]host:port`. Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Socks5 {
    pub(crate) host: String,
    pub(crate) port: u16,
    login: Option<(String, String)>,
}

impl FromStr for Socks5 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "not of the form socks5://[user:password@]host:port".to_owned();
        let rest = text
            .strip_prefix("socks5://")
            .or_else(|| text.strip_prefix("socks5h://"))
            .ok_or_else(expected)?
            .trim_end_matches('/');
        let (login, address) = match rest.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, rest),
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(expected)?;
        let host = host.strip_prefix('[').map_or(host, |h| h.strip_suffix(']').unwrap_or(h));
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(expected)?;
        if host.is_empty() || host.len() > 253 || host.contains(['/', '@', '?', ' ']) {
            return Err(expected());
        }
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (decoded(user), decoded(password))
        });
        if login
            .as_ref()
            .is_some_and(|(user, password)| !(1..=255).contains(&user.len()) || password.len() > 255)
        {
            return Err("user and password have at most 255 bytes, the user at least one".into());
        }
        Ok(Self { host: host.to_owned(), port, login })
    }
}

impl fmt::Display for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "socks5://{host}:{}", self.port)
    }
}

impl fmt::Debug for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the proxy is to connect.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Address(SocketAddr),
    Name(String, u16),
}

impl Destination {
    /// A name, or an address that is written as one.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(host.to_owned(), port),
        }
    }

    /// As it stands in requests and before datagrams.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let port = match self {
            Self::Address(SocketAddr::V4(addr)) => {
                bytes.push(IPV4);
                bytes.extend(addr.ip().octets());
                addr.port()
            }
            Self::Address(SocketAddr::V6(addr)) => {
                bytes.push(IPV6);
                bytes.extend(addr.ip().octets());
                addr.port()
            }
            Self::Name(name, port) => {
                let name = &name.as_bytes()[..name.len().min(255)];
                bytes.push(NAME);
                bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
                bytes.extend(name);
                *port
            }
        };
        bytes.extend(port.to_be_bytes());
    }
}

/// Has the proxy at the other end of `stream` connect it to `to`.
pub(crate) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Socks5,
    to: &Destination,
) -> io::Result<()> {
    request(stream, proxy, CONNECT, to).await.map(|_| ())
}

/// Asks the proxy at the other end of `stream` to relay datagrams for as long as `stream` stays open; where it takes them.
pub(crate) async fn associate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Socks5,
    family: IpAddr,
) -> io::Result<SocketAddr> {
    let any = match family {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    request(stream, proxy, UDP_ASSOCIATE, &Destination::Address(SocketAddr::new(any, 0))).await
}

async fn request(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Socks5,
    command: u8,
    to: &Destination,
) -> io::Result<SocketAddr> {
    let offered: &[u8] =
        if proxy.login.is_some() { &[NO_AUTHENTICATION, USER_AND_PASSWORD] } else { &[NO_AUTHENTICATION] };
    let count = u8::try_from(offered.len()).unwrap_or(1);
    stream.write_all(&[&[VERSION, count][..], offered].concat()).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, &proxy.login) {
        ([VERSION, NO_AUTHENTICATION], _) => {}
        ([VERSION, USER_AND_PASSWORD], Some((user, password))) => {
            let mut login = vec![1];
            for part in [user, password] {
                login.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                login.extend(part.as_bytes());
            }
            stream.write_all(&login).await?;
            let mut verdict = [0; 2];
            stream.read_exact(&mut verdict).await?;
            if verdict[1] != 0 {
                return Err(refused(proxy, "it does not take the user and password"));
            }
        }
        ([VERSION, _], None) => return Err(refused(proxy, "it wants a user and password")),
        ([VERSION, _], Some(_)) => return Err(refused(proxy, "it takes no user and password")),
        _ => return Err(refused(proxy, "it does not speak SOCKS5")),
    }
    let mut asked = vec![VERSION, command, 0];
    to.write(&mut asked);
    stream.write_all(&asked).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if head[0] != VERSION {
        return Err(refused(proxy, "it does not speak SOCKS5"));
    }
    if head[1] != 0 {
        return Err(refused(proxy, reason(head[1])));
    }
    let ip: IpAddr = match head[3] {
        IPV4 => {
            let mut ip = [0; 4];
            stream.read_exact(&mut ip).await?;
            ip.into()
        }
        IPV6 => {
            let mut ip = [0; 16];
            stream.read_exact(&mut ip).await?;
            ip.into()
        }
        NAME => {
            let mut name = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut name).await?;
            // Only a relay's address is used; one that is a name stands for the proxy's own.
            Ipv4Addr::UNSPECIFIED.into()
        }
        _ => return Err(refused(proxy, "its answer has an address of an unknown kind")),
    };
    Ok(SocketAddr::new(ip, stream.read_u16().await?))
}

fn refused(proxy: &Socks5, reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("proxy {proxy}: {reason}"))
}

/// RFC 1928, section 6.
fn reason(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "its rules do not allow the connection",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live ran out",
        7 => "it does not know the command",
        8 => "it does not know the kind of address",
        _ => "refused for an unknown reason",
    }
}

/// What a datagram through the relay begins with (RFC 1928, section 7).
pub(crate) fn datagram_head(to: &Destination) -> Vec<u8> {
    let mut head = vec![0, 0, 0];
    to.write(&mut head);
    head
}

/// The payload of a datagram from the relay: not of a fragment, whose head differs.
pub(crate) fn datagram_payload(datagram: &[u8]) -> Option<&[u8]> {
    let [_, _, 0, kind, rest @ ..] = datagram else { return None };
    let address = match *kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => 1 + usize::from(*rest.first()?),
        _ => return None,
    };
    rest.get(address + 2..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_taken_apart_and_shown_without_their_login() {
        let plain: Socks5 = "socks5://proxy.test:1080".parse().unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.login.is_none()), ("proxy.test", 1080, true));
        let login: Socks5 = "socks5h://jane:p%40ss@[::1]:9050/".parse().unwrap();
        assert_eq!(login.login, Some(("jane".into(), "p@ss".into())));
        assert_eq!(format!("{login} {login:?}"), "socks5://[::1]:9050 socks5://[::1]:9050");
        for text in
            ["http://a:1", "socks5://a", "socks5://:1080", "socks5://a:0", "socks5://a:x", "socks5://@a:1"]
        {
            assert!(text.parse::<Socks5>().is_err(), "{text}");
        }
    }

    #[test]
    fn datagrams_are_wrapped_and_unwrapped() {
        for to in [Destination::new("10.0.0.1", 1), Destination::new("::1", 1), Destination::new("a.test", 1)]
        {
            let wrapped = [datagram_head(&to), b"payload".to_vec()].concat();
            assert_eq!(datagram_payload(&wrapped), Some(&b"payload"[..]));
            for length in 0..wrapped.len() - b"payload".len() {
                assert_eq!(datagram_payload(&wrapped[..length]), None);
            }
        }
        assert_eq!(datagram_payload(&[0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 9]), None, "a fragment");
    }

    async fn talk(proxy: &str, answers: &'static [u8]) -> (io::Result<()>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        let proxy: Socks5 = proxy.parse().unwrap();
        let answering = tokio::spawn(async move {
            theirs.write_all(answers).await.unwrap();
            let mut heard = Vec::new();
            let _ = theirs.read_to_end(&mut heard).await;
            heard
        });
        let result = connect(&mut ours, &proxy, &Destination::new("t.test", 80)).await;
        drop(ours);
        (result, answering.await.unwrap())
    }

    #[tokio::test]
    async fn a_stream_is_asked_for_by_name_with_the_login_the_proxy_wants() {
        let answers = b"\x05\x02\x01\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";
        let (result, heard) = talk("socks5://u:pw@p:1", answers).await;
        result.unwrap();
        assert_eq!(heard, b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01\x00\x03\x06t.test\x00\x50");
    }

    #[tokio::test]
    async fn a_refusal_names_the_proxy_and_its_reason() {
        for (answers, why) in [
            (&b"\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"[..], "connection refused"),
            (b"\x05\xff", "it wants a user and password"),
            (b"HTTP/1.1 400", "it does not speak SOCKS5"),
        ] {
            let error = talk("socks5://p:1", answers).await.0.unwrap_err().to_string();
            assert_eq!(error, format!("proxy socks5://p:1: {why}"));
        }
    }
}
