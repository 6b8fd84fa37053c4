//! The one way out: every swarm socket is made here, for peers, trackers, web seeds, the DHT and names.
//!
//! With an interface bound, every socket is bound to it before it is used, and names are asked for over it. With a proxy,
//! streams go through it, it resolves the names, and datagrams go through it if it relays them; what needs a port of its own
//! (incoming peers, DHT, uTP, LSD) is off. **It fails closed**: no interface or no proxy, no packet; every call says why, and
//! [`Egress::watch`] tells when it is there again. The HTTP server for players is not made here and not bound.
//!
//! The interface is looked at again every second for the user's sake only: that nothing goes around it is the kernel's promise, which
//! a poll could not give.

pub(crate) mod dns;
pub(crate) mod guard;
pub(crate) mod http;
pub(crate) mod listening;
mod multicast;
pub(crate) mod sockets;
pub(crate) mod socks;
#[cfg(test)]
mod tests;
mod tls;
pub(crate) mod udp;

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    time::timeout,
};

use crate::{Config, EngineError};
use sockets::{Way, blocked};
use socks::Destination;

/// How often a bound interface is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the proxy may take to connect us.
const PROXY_WAIT: Duration = Duration::from_secs(20);

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Rises when the setting changes and when the interface goes and comes: sockets made before are to be made again.
    pub(crate) generation: u64,
    /// Rises when the setting changes and when the interface comes back as another: streams made before lead nowhere, or where
    /// they no longer may.
    pub(crate) epoch: u64,
    /// Why no packet leaves, when none does.
    pub(crate) blocked: Option<String>,
    /// The kernel's number of the interface that was there last.
    index: u32,
}

/// Makes sockets as the configuration says. Clones are the same way out.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    way: RwLock<Arc<Way>>,
    cache: dns::Cache,
    standing: watch::Sender<Standing>,
    tls: tls::Lazy,
}

impl Egress {
    /// The way that `config` names.
    ///
    /// # Errors
    /// [`EngineError::Config`] when the proxy's address is none. That the interface is not there is no error.
    pub(crate) fn new(config: &Config) -> Result<Self, EngineError> {
        let proxy = config.proxy.as_deref().map(str::parse).transpose();
        // The value may hold a password: it is not repeated.
        let proxy = proxy.map_err(|detail| EngineError::Config { what: "proxy".into(), detail })?;
        Ok(Self::of(Way { interface: config.bind_interface.clone(), proxy, dns: Vec::new() }))
    }

    /// A way out. That the interface is not there is no error: nothing leaves until it is.
    pub(crate) fn of(way: Way) -> Self {
        let inner = Inner {
            way: RwLock::default(),
            cache: dns::Cache::default(),
            standing: watch::Sender::default(),
            tls: tls::Lazy::default(),
        };
        let egress = Self { inner: Arc::new(inner) };
        egress.set(way);
        tokio::spawn(look(Arc::downgrade(&egress.inner)));
        egress
    }

    /// Changes the way: what is made from now on goes the new one. What was made before keeps to the old one until its owner, told by
    /// [`watch`](Self::watch), makes it again.
    pub(crate) fn set(&self, way: Way) {
        let probe = way.probe();
        *self.inner.way.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(way);
        self.inner.stand(&probe, true);
    }

    fn way(&self) -> Arc<Way> {
        self.inner.way()
    }

    /// How things stand now and from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Standing> {
        self.inner.standing.subscribe()
    }

    /// Why no packet leaves, when none does.
    pub(crate) fn blocked(&self) -> Option<String> {
        self.inner.standing.borrow().blocked.clone()
    }

    /// The interface that everything leaves by: for those that make their own sockets.
    pub(crate) fn interface(&self) -> Option<String> {
        self.way().interface.clone()
    }

    /// Whether sockets of one's own, with a port that others reach, can be had: not through a proxy.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn direct(&self) -> Result<(), String> {
        match &self.way().proxy {
            Some(proxy) => Err(format!("proxy {proxy} carries streams and tracker datagrams only")),
            None => Ok(()),
        }
    }

    /// A stream to a peer or a tracker.
    pub(crate) async fn connect_tcp(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.unless_changed(async { self.connect(&self.way(), &Destination::Address(addr)).await }).await?
    }

    /// Does `work`, which sends something, or drops it once the setting has changed: its sockets lead the way before.
    pub(crate) async fn unless_changed<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        let mut standing = self.watch();
        let epoch = standing.borrow_and_update().epoch;
        tokio::select! {
            done = work => Ok(done),
            _ = standing.wait_for(|now| now.epoch != epoch) => Err(blocked("the way out has changed".into())),
        }
    }

    /// A stream to a host by name: the proxy's resolver, the interface's or the system's, in this order of what is set.
    #[cfg(test)]
    pub(crate) async fn connect_host(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        self.connect(&self.way(), &Destination::new(host, port)).await
    }

    async fn connect(&self, way: &Way, to: &Destination) -> io::Result<TcpStream> {
        let Some(proxy) = &way.proxy else {
            return match to {
                Destination::Address(addr) => way.connect_tcp(*addr).await,
                Destination::Name(name, port) => way.connect_any(&self.lookup(way, name, *port).await?).await,
            };
        };
        let mut stream = self.connect_proxy(way).await?;
        let asking = timeout(PROXY_WAIT, socks::connect(&mut stream, proxy, to)).await;
        asking.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(stream)
    }

    /// A stream to the proxy itself.
    async fn connect_proxy(&self, way: &Way) -> io::Result<TcpStream> {
        let Some(proxy) = &way.proxy else { return Err(io::ErrorKind::Unsupported.into()) };
        let addrs = self.lookup(way, &proxy.host, proxy.port).await?;
        way.connect_any(&addrs)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("proxy {proxy}: {error}")))
    }

    /// The port that peers connect to.
    pub(crate) fn listen_tcp(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        self.direct().map_err(blocked)?;
        self.way().listen_tcp(addr)
    }

    /// A socket for datagrams.
    pub(crate) fn bind_udp(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        self.direct().map_err(blocked)?;
        self.way().bind_udp(addr)
    }

    /// The addresses of a host. Fails with a proxy, which resolves the names that it is asked to connect to.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let way = self.way();
        match &way.proxy {
            Some(proxy) if host.parse::<IpAddr>().is_err() => {
                Err(blocked(format!("{host}: names are resolved by proxy {proxy} only")))
            }
            _ => self.lookup(&way, host, port).await,
        }
    }

    async fn lookup(&self, way: &Way, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let addrs: Vec<SocketAddr> = if way.interface.is_some() {
            let ips = dns::resolve(way, &self.inner.cache, host).await?;
            ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
        } else {
            tokio::net::lookup_host((host, port))
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("{host}: {error}")))?
                .collect()
        };
        Ok(addrs)
    }
}

impl Inner {
    fn way(&self) -> Arc<Way> {
        self.way.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stand(&self, probe: &Result<u32, String>, changed: bool) {
        self.standing.send_if_modified(|standing| {
            let blocked = probe.as_ref().err().cloned();
            let index = *probe.as_ref().unwrap_or(&standing.index);
            let other = changed || index != standing.index;
            let differs = other || blocked != standing.blocked;
            if differs {
                let (generation, epoch) = (standing.generation + 1, standing.epoch + u64::from(other));
                *standing = Standing { generation, epoch, blocked, index };
            }
            differs
        });
    }
}

/// Watches a bound interface until its egress is gone.
async fn look(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let way = inner.way();
        if way.interface.is_some() {
            let probe = way.probe();
            let before = inner.standing.borrow().blocked.clone();
            inner.stand(&probe, false);
            match (&before, &probe) {
                (None, Err(reason)) => tracing::warn!(reason, "no packet leaves"),
                (Some(_), Ok(_)) => tracing::info!(interface = way.interface, "packets leave again"),
                _ => {}
            }
        }
    }
}

/// Any port of any address of the same family.
pub(crate) fn unspecified(ip: IpAddr) -> SocketAddr {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(any, 0)
}

/// A number that others do not guess.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
