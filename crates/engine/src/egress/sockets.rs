//! Sockets that cannot leave but by the bound interface: every one is bound to it before it is used (`SO_BINDTODEVICE`), and where
//! that fails there is none.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::socks::Socks5;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;
/// Longer than any interface's name.
const NAME_BYTES_MAX: usize = 15;
/// How long one address may take; the kernel alone would take two minutes.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long the first of several addresses is waited for before the next is tried beside it (RFC 8305).
const CONNECT_STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;
/// Addresses for documentation (RFC 5737, 3849): a datagram socket "connects" there without a packet, if there is a way.
const SOMEWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// How packets leave. A value: a change makes another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// By this interface only.
    pub(crate) interface: Option<String>,
    /// Through this proxy only.
    pub(crate) proxy: Option<Socks5>,
    /// The name servers asked while an interface is bound; empty is the system's.
    pub(crate) dns: Vec<SocketAddr>,
}

impl Way {
    pub(super) fn socket(&self, domain: Domain, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let socket = Socket::new(domain, kind, Some(protocol))?;
        if let Some(name) = &self.interface {
            // A longer name would be cut, and be another interface's.
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
                return Err(blocked(format!("interface {name:?}: a name has 1 to {NAME_BYTES_MAX} bytes")));
            }
            socket.bind_device(Some(name.as_bytes())).map_err(|error| match error.raw_os_error() {
                Some(ENODEV) => blocked(format!("interface {name} is not there")),
                Some(EPERM) => blocked(format!(
                    "interface {name}: this system lets only processes with CAP_NET_RAW bind to an interface"
                )),
                _ => blocked(format!("interface {name}: {error}")),
            })?;
        }
        if domain == Domain::IPV6 {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// A socket for datagrams, bound to `addr`; not through the proxy.
    pub(crate) fn bind_udp(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.socket(Domain::for_address(addr), Type::DGRAM, Protocol::UDP)?;
        socket.bind(&addr.into())?;
        UdpSocket::from_std(socket.into())
    }

    pub(crate) fn listen_tcp(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(Domain::for_address(addr), Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }

    /// A stream to `addr`; not through the proxy.
    pub(crate) async fn connect_tcp(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.socket(Domain::for_address(addr), Type::STREAM, Protocol::TCP)?;
        socket.set_tcp_nodelay(true)?;
        let socket = TcpSocket::from_std_stream(socket.into());
        let connecting = timeout(CONNECT_WAIT, socket.connect(addr)).await;
        connecting
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| self.explain(error))
    }

    /// A stream to the first of `addrs` that answers; not through the proxy.
    pub(crate) async fn connect_any(&self, addrs: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut waiting = addrs.iter().take(ADDRESSES_MAX).copied();
        let mut attempts = JoinSet::new();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        loop {
            if let Some(addr) = waiting.next() {
                let way = self.clone();
                attempts.spawn(async move {
                    way.connect_tcp(addr).await.map_err(|e| io::Error::new(e.kind(), format!("{addr}: {e}")))
                });
            }
            let more = waiting.len() > 0;
            tokio::select! {
                joined = attempts.join_next() => match joined {
                    Some(Ok(Ok(stream))) => return Ok(stream),
                    Some(Ok(Err(error))) => last = error,
                    Some(Err(error)) => last = io::Error::other(error),
                    None => return Err(last),
                },
                () = sleep(CONNECT_STAGGER), if more => {}
            }
        }
    }

    /// The interface's number if packets can leave by it, 0 if none is bound.
    ///
    /// # Errors
    /// Why they cannot.
    pub(crate) fn probe(&self) -> Result<u32, String> {
        let Some(name) = &self.interface else { return Ok(0) };
        let mut index = None;
        let mut last = None;
        for (domain, addr) in [Domain::IPV4, Domain::IPV6].into_iter().zip(SOMEWHERE) {
            let tried = self.socket(domain, Type::DGRAM, Protocol::UDP).and_then(|socket| {
                index = index.or(rustix::net::netdevice::name_to_index(&socket, name).ok());
                socket.connect(&SockAddr::from(addr))
            });
            match tried {
                Ok(()) => return Ok(index.and_then(NonZeroU32::new).map_or(1, NonZeroU32::get)),
                Err(error) => last = last.or(Some(error)),
            }
        }
        let error = last.unwrap_or_else(|| io::ErrorKind::NetworkDown.into());
        Err(self.explain(error).to_string())
    }

    /// What the system says of a bound interface that is down, in the user's words.
    fn explain(&self, error: io::Error) -> io::Error {
        match (&self.interface, error.kind()) {
            (Some(name), io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown)
                if error.raw_os_error().is_some() =>
            {
                blocked(format!("interface {name} is down or leads nowhere"))
            }
            _ => error,
        }
    }
}

/// Nothing leaves, and why.
pub(crate) fn blocked(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::NetworkDown, reason)
}

// Linux' numbers: `rustix` has them as values of its own.
const ENODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();
const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
