//! Peers in the local network (BEP 14): who has a torrent says so to a multicast group, and is connected to by those who hear it.
//!
//! Ours, since `librqbit-lsd` binds every interface at once or one by name, once, and keeps queues without a limit; design 0008.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metainfo::InfoHash;
use tokio::{
    net::UdpSocket,
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::debug;

use crate::egress::Egress;

/// The groups that BEP 14 names.
const GROUPS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 192, 152, 143)), PORT),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f)), PORT),
];
const PORT: u16 = 6771;

/// A torrent is announced again after so long (BEP 14).
const AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// New torrents are announced together after so short a while, so that many make few datagrams.
const GATHER: Duration = Duration::from_millis(200);

/// Interfaces come and go: the sockets are made anew so often.
const REOPEN_EVERY: Duration = Duration::from_secs(5 * 60);

/// Info-hashes in one datagram: it stays under 1,400 bytes (BEP 14).
const HASHES_MAX: usize = 20;

/// A longer datagram is no announce.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// Announces heard in a second, at most, over all torrents.
const HEARD_PER_SECOND: u32 = 100;

/// What a search calls with a peer. Must not wait.
type Sink = Box<dyn Fn(Vec<SocketAddr>) + Send + Sync>;

struct Sought {
    key: u64,
    sink: Sink,
    due: Option<Instant>,
}

struct Shared {
    sought: Mutex<(u64, HashMap<InfoHash, Sought>)>,
    changed: Notify,
    cookie: String,
    heard: Mutex<(Instant, u32)>,
}

impl Shared {
    fn sought(&self) -> MutexGuard<'_, (u64, HashMap<InfoHash, Sought>)> {
        self.sought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more announce is listened to in this second.
    fn has_ear(&self) -> bool {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.0.elapsed() >= Duration::from_secs(1) {
            *heard = (Instant::now(), 0);
        }
        heard.1 += 1;
        heard.1 <= HEARD_PER_SECOND
    }
}

/// Local discovery, running until it is dropped.
pub(super) struct Lsd {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Lsd {
    /// Listens, and announces what is searched for with `port`, if peers can connect at all. With `loopback` this machine is the
    /// local network.
    pub(super) fn start(egress: Egress, port: Option<u16>, loopback: bool, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            sought: Mutex::default(),
            changed: Notify::new(),
            cookie: format!("hw{seed:016x}"),
            heard: Mutex::new((Instant::now(), 0)),
        });
        let task = tokio::spawn(run(egress, Arc::clone(&shared), port, loopback)).abort_handle();
        Self { shared, task }
    }

    /// Announces a torrent and hands on who else has it, until the search is dropped.
    pub(super) fn search(&self, info_hash: InfoHash, sink: Sink) -> Search {
        let mut sought = self.shared.sought();
        sought.0 += 1;
        let key = sought.0;
        sought.1.insert(info_hash, Sought { key, sink, due: None });
        drop(sought);
        self.shared.changed.notify_one();
        Search { info_hash, key, shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Lsd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One torrent's search, until it is dropped.
pub(super) struct Search {
    info_hash: InfoHash,
    key: u64,
    shared: Arc<Shared>,
}

impl Drop for Search {
    fn drop(&mut self) {
        let mut sought = self.shared.sought();
        if sought.1.get(&self.info_hash).is_some_and(|sought| sought.key == self.key) {
            sought.1.remove(&self.info_hash);
        }
    }
}

async fn run(egress: Egress, shared: Arc<Shared>, port: Option<u16>, loopback: bool) {
    let mut standing = egress.watch();
    let mut generation = standing.borrow_and_update().generation;
    let mut ears = JoinSet::new();
    let mut sockets: Vec<(SocketAddr, Arc<UdpSocket>)> = Vec::new();
    let mut reopen = Instant::now();
    let mut next = reopen;
    loop {
        if reopen <= Instant::now() {
            reopen = Instant::now() + REOPEN_EVERY;
            ears.abort_all();
            ears = JoinSet::new();
            sockets = open(&egress, loopback);
            for (_, socket) in &sockets {
                ears.spawn(listen(Arc::clone(socket), Arc::clone(&shared)));
            }
        }
        if next <= Instant::now() {
            let (due, soonest) = due(&shared);
            next = soonest;
            if let Some(port) = port {
                for hashes in due.chunks(HASHES_MAX) {
                    announce(&sockets, &shared.cookie, port, hashes).await;
                }
            }
        }
        tokio::select! {
            () = sleep_until(next.min(reopen)) => {}
            () = shared.changed.notified() => next = next.min(Instant::now() + GATHER),
            changed = standing.changed() => {
                if changed.is_err() {
                    return;
                }
                let new = standing.borrow_and_update().generation;
                if new != generation {
                    (generation, reopen) = (new, Instant::now());
                }
            }
        }
    }
}

fn open(egress: &Egress, loopback: bool) -> Vec<(SocketAddr, Arc<UdpSocket>)> {
    let mut sockets = Vec::new();
    for group in GROUPS {
        match egress.bind_multicast(group, loopback) {
            Ok(bound) => sockets.extend(bound.into_iter().map(|socket| (group, Arc::new(socket)))),
            Err(error) => debug!(%group, %error, "no local discovery"),
        }
    }
    sockets
}

/// The torrents to announce now, and when the next is due.
fn due(shared: &Shared) -> (Vec<InfoHash>, Instant) {
    let now = Instant::now();
    let mut next = now + AGAIN_AFTER;
    let mut due = Vec::new();
    for (info_hash, sought) in &mut shared.sought().1 {
        if sought.due.is_none_or(|at| at <= now) {
            due.push(*info_hash);
            sought.due = Some(now + AGAIN_AFTER);
        }
        next = next.min(sought.due.unwrap_or(next));
    }
    (due, next)
}

async fn announce(sockets: &[(SocketAddr, Arc<UdpSocket>)], cookie: &str, port: u16, hashes: &[InfoHash]) {
    for (group, socket) in sockets {
        let datagram = write(*group, port, hashes, cookie);
        if let Err(error) = socket.send_to(datagram.as_bytes(), group).await {
            debug!(%group, %error, "not announced in the local network");
        }
    }
}

async fn listen(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    // An error is that of an interface which went: the socket is made anew in time.
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Some(heard) = read(&buffer[..length]) else { continue };
        if heard.cookie == Some(&shared.cookie) || !shared.has_ear() {
            continue;
        }
        let sought = shared.sought();
        for info_hash in heard.hashes {
            if let Some(sought) = sought.1.get(&info_hash) {
                let mut peer = from;
                peer.set_port(heard.port);
                (sought.sink)(vec![peer]);
            }
        }
    }
}

fn write(group: SocketAddr, port: u16, hashes: &[InfoHash], cookie: &str) -> String {
    let hashes: String = hashes.iter().map(|hash| format!("Infohash: {hash}\r\n")).collect();
    format!("BT-SEARCH * HTTP/1.1\r\nHost: {group}\r\nPort: {port}\r\n{hashes}cookie: {cookie}\r\n\r\n\r\n")
}

/// An announce that was heard.
#[derive(Debug, PartialEq, Eq)]
struct Heard<'a> {
    port: u16,
    hashes: Vec<InfoHash>,
    cookie: Option<&'a str>,
}

/// Reads an announce; `None` when it is none.
fn read(datagram: &[u8]) -> Option<Heard<'_>> {
    let text = std::str::from_utf8(datagram).ok()?;
    let mut lines = text.split("\r\n");
    if !lines.next()?.starts_with("BT-SEARCH ") {
        return None;
    }
    let mut heard = Heard { port: 0, hashes: Vec::new(), cookie: None };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "port" => heard.port = value.parse().ok()?,
            "infohash" if heard.hashes.len() < 2 * HASHES_MAX => heard.hashes.push(value.parse().ok()?),
            "cookie" => heard.cookie = Some(value),
            _ => {}
        }
    }
    (heard.port > 0 && !heard.hashes.is_empty()).then_some(heard)
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, time::timeout};

    use super::*;
    use crate::egress::sockets::Way;

    const HASH: InfoHash = InfoHash([0xab; 20]);

    #[test]
    fn an_announce_is_read_as_it_was_written() {
        let hashes: Vec<_> = (0..20).map(|n| InfoHash([n; 20])).collect();
        let text = write(GROUPS[1], 65_535, &hashes, "hw0123456789abcdef");
        assert!(text.len() < 1_400, "{}", text.len());
        assert_eq!(
            read(text.as_bytes()),
            Some(Heard { port: 65_535, hashes, cookie: Some("hw0123456789abcdef") })
        );
    }

    #[test]
    fn what_others_write_is_read_and_nonsense_is_not() {
        let other = format!(
            "BT-SEARCH * HTTP/1.1\r\nhost: 239.192.152.143:6771\r\nport: 6881\r\ninfohash: {}\r\n\r\n\r\n",
            "AB".repeat(20)
        );
        assert_eq!(read(other.as_bytes()), Some(Heard { port: 6_881, hashes: vec![HASH], cookie: None }));
        for text in [
            "",
            "M-SEARCH * HTTP/1.1\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 0\r\nInfohash: abababababababababababababababababababab\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: ab\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"BT-SEARCH \xff"), None);
    }

    #[tokio::test]
    async fn two_on_one_machine_hear_of_each_other_and_not_of_themselves() {
        let egress = || Egress::of(Way::default());
        let (one, other) =
            (Lsd::start(egress(), Some(7_001), true, 1), Lsd::start(egress(), Some(7_002), true, 2));
        let (sender, mut heard) = mpsc::channel(16);
        let hear = |name: u8| {
            let sender = sender.clone();
            // Over IPv6 they hear of each other too.
            Box::new(move |peers: Vec<SocketAddr>| {
                if peers[0].is_ipv4() {
                    sender.try_send((name, peers[0])).unwrap();
                }
            })
        };
        let first = one.search(HASH, hear(1));
        tokio::time::sleep(Duration::from_millis(500)).await;
        let second = other.search(HASH, hear(2));
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(timeout(Duration::from_secs(5), heard.recv()).await.unwrap().unwrap(), (1, at(7_002)));
        drop(first);
        let again = one.search(HASH, hear(1));
        assert_eq!(timeout(Duration::from_secs(5), heard.recv()).await.unwrap().unwrap(), (2, at(7_001)));
        drop((again, second));
    }
}
