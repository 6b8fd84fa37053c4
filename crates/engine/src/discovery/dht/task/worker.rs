//! The task that gives both nodes their sockets, their time and their file. Handles and what they share with it are in `task`.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use seeded::Rng;
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};
use tracing::{debug, info};

use super::{Options, RESOLVE_WAIT, Shared};
use crate::{
    discovery::dht::{
        file::{self, Saved},
        krpc::{Family, NodeId},
        node::{Found, Node},
    },
    egress::{Egress, Standing},
};

/// Where the DHT is entered when nobody is known: nodes that are kept for that.
const WELL_KNOWN: &[&str] =
    &["dht.libtorrent.org:25401", "router.bittorrent.com:6881", "dht.transmissionbt.com:6881"];

/// A torrent is searched for and announced again after so long: what libtorrent does.
const AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);

/// How often the file is written.
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);

/// How long until names are asked for again while nobody is known.
const RESOLVE_AGAIN: Duration = Duration::from_secs(60);

/// A socket that cannot send is opened anew after so long, later and later.
const REOPEN_FIRST: Duration = Duration::from_secs(5);
const REOPEN_LAST: Duration = Duration::from_secs(60);

/// Datagrams taken before anything else is looked at.
const BATCH: usize = 64;

/// A message longer than this is none.
const DATAGRAM_BYTES_MAX: usize = 4_096;

/// One family's node and its socket.
struct Side {
    addr: SocketAddr,
    node: Node,
    socket: Option<UdpSocket>,
    /// What the socket had no room for.
    held: Option<(SocketAddr, Vec<u8>)>,
    reopen: Duration,
    reopen_wait: Duration,
}

/// Both nodes, in the task that owns them.
pub(super) struct Worker {
    egress: Egress,
    options: Options,
    shared: Arc<Shared>,
    id: NodeId,
    random: Rng,
    sides: [Option<Side>; 2],
    next_due: Duration,
    next_save: Duration,
    next_resolve: Duration,
}

impl Worker {
    pub(super) async fn new(egress: Egress, options: Options, shared: Arc<Shared>) -> Self {
        let mut random = Rng::new(options.seed);
        let path = options.file.clone();
        let saved = tokio::task::spawn_blocking(move || path.and_then(|path| file::load(&path))).await;
        let saved = saved.ok().flatten();
        let id = saved.as_ref().map_or_else(|| NodeId(random.bytes()), |saved| saved.id);
        let port = saved.as_ref().and_then(|saved| saved.port);
        let mut worker = Self {
            egress,
            shared,
            id,
            sides: [None, None],
            next_due: Duration::ZERO,
            next_save: SAVE_EVERY,
            // Whom we knew is asked first.
            next_resolve: if saved.as_ref().is_some_and(|saved| !saved.nodes.is_empty()) {
                Duration::from_secs(3)
            } else {
                Duration::ZERO
            },
            options,
            random,
        };
        worker.sides = [Family::V4, Family::V6].map(|family| worker.side(family, port));
        let now = worker.shared.now();
        for (_, addr) in saved.into_iter().flat_map(|saved| saved.nodes) {
            worker.add_entry(addr, now);
        }
        worker
    }

    fn side(&mut self, family: Family, port: Option<u16>) -> Option<Side> {
        let any: IpAddr = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let ip = match self.options.addresses.as_slice() {
            [] => any,
            some => *some.iter().find(|ip| ip.is_ipv4() == any.is_ipv4())?,
        };
        // Both families on one port, where that is free.
        let port = Some(self.shared.port.load(Ordering::Relaxed)).filter(|port| *port > 0).or(port);
        let mut side = Side {
            addr: SocketAddr::new(ip, port.unwrap_or(0)),
            node: Node::new(self.id, family, self.random.next(), self.shared.now()),
            socket: None,
            held: None,
            reopen: Duration::ZERO,
            reopen_wait: REOPEN_FIRST,
        };
        self.open(&mut side);
        Some(side)
    }

    fn open(&self, side: &mut Side) {
        let now = self.shared.now();
        let bound = self.egress.bind_udp(side.addr).or_else(|error| match side.addr.port() {
            0 => Err(error),
            _ => self.egress.bind_udp(SocketAddr::new(side.addr.ip(), 0)),
        });
        match bound.and_then(|socket| Ok((socket.local_addr()?, socket))) {
            Ok((local, socket)) => {
                debug!(addr = %local, "the DHT listens");
                side.addr.set_port(local.port());
                // Where the two have different ports, peers are told that of IPv4.
                if local.is_ipv4() || self.shared.port.load(Ordering::Relaxed) == 0 {
                    self.shared.port.store(local.port(), Ordering::Relaxed);
                }
                side.socket = Some(socket);
            }
            Err(error) => {
                debug!(addr = %side.addr, %error, "the DHT cannot listen");
                side.socket = None;
            }
        }
        side.reopen = now + side.reopen_wait;
    }

    /// The way out is another one: sockets of the old one are of no use.
    fn reopen(&mut self, now: Duration) {
        for side in self.sides.iter_mut().flatten() {
            side.socket = None;
            side.reopen = now;
        }
        // Nobody may have been reached for a while.
        self.next_resolve = now + REOPEN_FIRST;
    }

    fn add_entry(&mut self, addr: SocketAddr, now: Duration) {
        for side in self.sides.iter_mut().flatten() {
            side.node.add_entry(addr, now);
        }
    }

    pub(super) async fn run(mut self, mut named: mpsc::Receiver<SocketAddr>) {
        let shared = Arc::clone(&self.shared);
        let mut standing = self.egress.watch();
        let mut generation = standing.borrow_and_update().generation;
        let (resolved, mut entries) = mpsc::channel::<Vec<SocketAddr>>(4);
        let mut buffers = [vec![0; DATAGRAM_BYTES_MAX], vec![0; DATAGRAM_BYTES_MAX]];
        loop {
            let now = shared.now();
            self.turn(now, &resolved);
            let wake = sleep_until(shared.begun + self.next_timeout(now).max(now + Duration::from_millis(5)));
            let [v4, v6] = &self.sides;
            let [buffer4, buffer6] = &mut buffers;
            let arrived = tokio::select! {
                () = shared.stop.notified() => break,
                () = shared.changed.notified() => { self.next_due = Duration::ZERO; None }
                () = wake => None,
                () = has_room(v4.as_ref()) => None,
                () = has_room(v6.as_ref()) => None,
                () = changed(&mut standing) => {
                    let new = standing.borrow_and_update().generation;
                    if generation != new {
                        generation = new;
                        self.reopen(now);
                    }
                    None
                }
                Some(addr) = named.recv() => { self.add_entry(addr, now); None }
                Some(addrs) = entries.recv() => {
                    addrs.into_iter().for_each(|addr| self.add_entry(addr, now));
                    None
                }
                received = receive(v4.as_ref(), buffer4) => Some((0, received)),
                received = receive(v6.as_ref(), buffer6) => Some((1, received)),
            };
            if let Some((which, received)) = arrived {
                self.arrived(which, received, &mut buffers[which]);
            }
        }
        self.save().await;
    }

    /// Takes what came, and what waits behind it.
    fn arrived(&mut self, which: usize, received: io::Result<(usize, SocketAddr)>, buffer: &mut [u8]) {
        let now = self.shared.now();
        let Some(side) = &mut self.sides[which] else { return };
        let mut received = received;
        for _ in 0..BATCH {
            match received {
                Ok((length, from)) => side.node.handle_datagram(from, &buffer[..length], now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return side.lost(&error, now),
            }
            let Some(socket) = &side.socket else { return };
            received = socket.try_recv_from(buffer);
        }
    }

    fn next_timeout(&self, now: Duration) -> Duration {
        let sides = self.sides.iter().flatten().map(|side| {
            let open = if side.socket.is_none() { side.reopen } else { Duration::MAX };
            side.node.next_timeout(now).min(open)
        });
        sides.fold(self.next_due.min(self.next_save).min(self.next_resolve), Duration::min)
    }

    /// What is to be done now: time passes, searches begin, datagrams leave, peers are handed on.
    fn turn(&mut self, now: Duration, resolved: &mpsc::Sender<Vec<SocketAddr>>) {
        let mut sides = std::mem::take(&mut self.sides);
        for side in sides.iter_mut().flatten() {
            if side.socket.is_none() && side.reopen <= now {
                self.open(side);
            }
            if side.node.next_timeout(now) <= now {
                side.node.handle_timeout(now);
            }
        }
        self.sides = sides;
        if self.next_due <= now {
            self.begin_searches(now);
        }
        if self.next_resolve <= now {
            self.next_resolve = now + RESOLVE_AGAIN;
            if self.sides.iter().flatten().any(|side| side.node.len() == 0) {
                self.resolve(resolved.clone());
            }
        }
        if self.next_save <= now {
            self.next_save = now + SAVE_EVERY;
            let save = self.save();
            tokio::spawn(save);
        }
        for side in self.sides.iter_mut().flatten() {
            side.send(now);
            while let Some(found) = side.node.poll_found() {
                match found {
                    Found::Peers(info_hash, peers) => {
                        if let Some(sought) = self.shared.sought().get(&info_hash) {
                            (sought.sink)(peers);
                        }
                    }
                    Found::Done(info_hash, answered) => debug!(%info_hash, answered, "DHT search done"),
                }
            }
        }
        let nodes = self.sides.iter().flatten().map(|side| side.node.len()).sum();
        if nodes > 0 && self.shared.nodes.swap(nodes, Ordering::Relaxed) == 0 {
            info!("the DHT is entered");
        }
    }

    fn begin_searches(&mut self, now: Duration) {
        let mut next = Duration::MAX;
        let mut due = Vec::new();
        for (info_hash, sought) in self.shared.sought().iter_mut() {
            if sought.due <= now {
                // By chance earlier or later, so that a thousand torrents do not march in step.
                let sixth = self.random.below(150);
                sought.due = now + AGAIN_AFTER + Duration::from_secs(sixth as u64);
                sought.begun = Some(now);
                due.push(*info_hash);
            }
            next = next.min(sought.due);
        }
        self.next_due = next;
        let outer = self.shared.outer.lock().unwrap_or_else(PoisonError::into_inner);
        let outer = outer.as_ref().and_then(|outer| *outer.borrow());
        let announce = self.options.announce.map(|port| outer.unwrap_or(port));
        let forgotten = std::mem::take(&mut *self.shared.forgotten());
        for side in self.sides.iter_mut().flatten() {
            forgotten.iter().for_each(|info_hash| side.node.forget(*info_hash));
            for info_hash in &due {
                side.node.search(*info_hash, announce, now);
            }
        }
    }

    /// Asks for the addresses of those the DHT is entered by.
    fn resolve(&self, resolved: mpsc::Sender<Vec<SocketAddr>>) {
        let (egress, given) = (self.egress.clone(), self.options.bootstrap.clone());
        tokio::spawn(async move {
            let known = given.is_empty().then_some(WELL_KNOWN).into_iter().flatten().copied();
            for host in known.chain(given.iter().map(String::as_str)) {
                let Some((name, port)) = host.rsplit_once(':') else { continue };
                let Ok(port) = port.parse() else { continue };
                let name = name.trim_start_matches('[').trim_end_matches(']');
                match timeout(RESOLVE_WAIT, egress.resolve(name, port)).await {
                    Ok(Ok(addrs)) => {
                        let addrs = addrs.into_iter().take(8).collect();
                        if resolved.send(addrs).await.is_err() {
                            return;
                        }
                    }
                    Ok(Err(error)) => debug!(host, %error, "no way into the DHT"),
                    Err(_) => debug!(host, "no way into the DHT: no answer"),
                }
            }
        });
    }

    fn save(&self) -> impl Future<Output = ()> + Send + use<> {
        let saved = Saved {
            id: self.id,
            port: Some(self.shared.port.load(Ordering::Relaxed)).filter(|port| *port > 0),
            nodes: self.sides.iter().flatten().flat_map(|side| side.node.nodes()).collect(),
        };
        // A table that knows nobody does not replace one that did.
        let path = self.options.file.clone().filter(|path| !saved.nodes.is_empty() || !path.exists());
        async move {
            let Some(path) = path else { return };
            let shown = path.display().to_string();
            let outcome = tokio::task::spawn_blocking(move || file::save(&path, &saved)).await;
            if let Ok(Err(error)) = outcome {
                debug!(path = shown, %error, "the DHT's table is not saved");
            }
        }
    }
}

impl Side {
    /// Sends what is ready, until the socket has no room.
    fn send(&mut self, now: Duration) {
        while let Some((addr, datagram)) = self.held.take().or_else(|| self.node.poll_datagram()) {
            let Some(socket) = &self.socket else { continue };
            match socket.try_send_to(&datagram, addr) {
                Ok(_) => self.reopen_wait = REOPEN_FIRST,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.held = Some((addr, datagram));
                    return;
                }
                Err(error) if is_of_the_socket(&error) => self.lost(&error, now),
                Err(_) => {}
            }
        }
    }

    /// Closes a socket that is of no use: its interface may have gone, and another of its name may come.
    fn lost(&mut self, error: &io::Error, now: Duration) {
        if !is_of_the_socket(error) {
            return;
        }
        debug!(addr = %self.addr, %error, "the DHT's socket is opened anew");
        self.socket = None;
        self.reopen = now + self.reopen_wait;
        self.reopen_wait = (self.reopen_wait * 2).min(REOPEN_LAST);
    }
}

/// Whether an error is the socket's own, and not that of one address that was written to.
fn is_of_the_socket(error: &io::Error) -> bool {
    /// Linux: no such device.
    const ENODEV: i32 = 19;
    use io::ErrorKind::{AddrNotAvailable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), NetworkDown | NetworkUnreachable | AddrNotAvailable)
        || error.raw_os_error() == Some(ENODEV)
}

/// When the way out is another one; never, once it is gone.
async fn changed(standing: &mut watch::Receiver<Standing>) {
    if standing.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// When a side that holds a datagram back can send it; never, where none is held.
async fn has_room(side: Option<&Side>) {
    match side.and_then(|side| side.socket.as_ref().filter(|_| side.held.is_some())) {
        // An error shows when it is sent.
        Some(socket) => drop(socket.writable().await),
        None => std::future::pending().await,
    }
}

/// The next datagram of a side that has a socket; never, of one that has none.
async fn receive(side: Option<&Side>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match side.and_then(|side| side.socket.as_ref()) {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}
