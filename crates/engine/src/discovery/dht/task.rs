//! The DHT's handles, and what they share with the task behind them (`worker`).

mod worker;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use metainfo::{HostPort, InfoHash};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::worker::Worker;
use crate::egress::Egress;

/// A torrent that wants peers is searched for again once the last search is so long ago.
const WANTED_AFTER: Duration = Duration::from_secs(30);

/// How long names are waited for.
const RESOLVE_WAIT: Duration = Duration::from_secs(20);

/// Nodes named by torrents and peers that wait to be looked at, at most.
const NAMED_MAX: usize = 64;

/// How long the end may take.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// What a DHT is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Addresses to listen on; of each family the first counts. Empty is any.
    pub(crate) addresses: Vec<IpAddr>,
    /// Where peers reach us, to be announced; `None` announces nothing.
    pub(crate) announce: Option<u16>,
    /// Where it is entered, as `host:port`; empty is the well-known nodes.
    pub(crate) bootstrap: Vec<String>,
    /// The file that keeps the table; `None` keeps nothing.
    pub(crate) file: Option<PathBuf>,
    /// For identifiers, transactions and tokens.
    pub(crate) seed: u64,
}

/// What a search calls with each batch of peers. Must not wait.
type Sink = Box<dyn Fn(Vec<SocketAddr>) + Send + Sync>;

struct Sought {
    key: u64,
    sink: Sink,
    due: Duration,
    begun: Option<Duration>,
}

struct Shared {
    sought: Mutex<HashMap<InfoHash, Sought>>,
    /// Torrents that nobody seeks any more, until the worker has seen it.
    forgotten: Mutex<Vec<InfoHash>>,
    keys: Mutex<u64>,
    changed: Notify,
    named: mpsc::Sender<SocketAddr>,
    nodes: AtomicUsize,
    port: AtomicU16,
    /// What is announced instead of our own port, while a router maps it.
    outer: Mutex<Option<watch::Receiver<Option<u16>>>>,
    begun: Instant,
    stop: Notify,
}

impl Shared {
    fn sought(&self) -> MutexGuard<'_, HashMap<InfoHash, Sought>> {
        self.sought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forgotten(&self) -> MutexGuard<'_, Vec<InfoHash>> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// A running DHT.
pub(crate) struct Dht {
    shared: Arc<Shared>,
    egress: Egress,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Dht {
    /// Opens the sockets, or keeps trying to, and enters the DHT.
    pub(crate) async fn start(egress: Egress, options: Options) -> Self {
        let (named, inbox) = mpsc::channel(NAMED_MAX);
        let shared = Arc::new(Shared {
            sought: Mutex::default(),
            forgotten: Mutex::default(),
            keys: Mutex::default(),
            changed: Notify::new(),
            named,
            nodes: AtomicUsize::new(0),
            port: AtomicU16::new(0),
            outer: Mutex::default(),
            begun: Instant::now(),
            stop: Notify::new(),
        });
        let worker = Worker::new(egress.clone(), options, Arc::clone(&shared)).await;
        let task = Mutex::new(Some(tokio::spawn(worker.run(inbox))));
        Self { shared, egress, task }
    }

    /// Searches for peers of a torrent, at once and then now and again, until the search is dropped.
    pub(crate) fn search(&self, info_hash: InfoHash, sink: Sink) -> Search {
        let key = {
            let mut keys = self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
            *keys += 1;
            *keys
        };
        let due = Duration::ZERO;
        self.shared.sought().insert(info_hash, Sought { key, sink, due, begun: None });
        self.shared.changed.notify_one();
        Search { info_hash, key, shared: Arc::clone(&self.shared) }
    }

    /// Where else it can be entered: the nodes that a public torrent names (BEP 5).
    pub(crate) fn enter_by(&self, nodes: &[HostPort]) {
        let nodes: Vec<_> = nodes.iter().take(NAMED_MAX / 4).cloned().collect();
        let (egress, named) = (self.egress.clone(), self.shared.named.clone());
        tokio::spawn(async move {
            for node in nodes {
                let resolved = timeout(RESOLVE_WAIT, egress.resolve(&node.host, node.port)).await;
                for addr in resolved.into_iter().flatten().flatten().take(2) {
                    if named.send(addr).await.is_err() {
                        return;
                    }
                }
            }
        });
    }

    /// Announces the port that `outer` holds from now on, where it holds one.
    pub(crate) fn announce_as(&self, outer: watch::Receiver<Option<u16>>) {
        *self.shared.outer.lock().unwrap_or_else(PoisonError::into_inner) = Some(outer);
    }

    /// Nodes in the tables.
    pub(crate) fn nodes(&self) -> usize {
        self.shared.nodes.load(Ordering::Relaxed)
    }

    /// The UDP port; `None` while there is no socket.
    pub(crate) fn port(&self) -> Option<u16> {
        Some(self.shared.port.load(Ordering::Relaxed)).filter(|port| *port > 0)
    }

    /// Saves the table and ends.
    pub(crate) async fn stop(&self) {
        self.shared.stop.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && timeout(STOP_WAIT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Dht {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
    }
}

/// The search for one torrent's peers, until it is dropped.
pub(crate) struct Search {
    info_hash: InfoHash,
    key: u64,
    shared: Arc<Shared>,
}

impl Search {
    /// More peers are wanted now.
    pub(crate) fn wanted(&self) {
        let now = self.shared.now();
        let mut sought = self.shared.sought();
        if let Some(sought) = sought.get_mut(&self.info_hash) {
            let soonest = sought.begun.map_or(now, |begun| begun + WANTED_AFTER);
            if sought.due > soonest {
                sought.due = soonest;
                self.shared.changed.notify_one();
            }
        }
    }

    /// Somebody who might be a node.
    pub(crate) fn node(&self, addr: SocketAddr) {
        // More than wait already are not needed.
        let _ = self.shared.named.try_send(addr);
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        let mut sought = self.shared.sought();
        if sought.get(&self.info_hash).is_some_and(|sought| sought.key == self.key) {
            sought.remove(&self.info_hash);
            self.shared.forgotten().push(self.info_hash);
            self.shared.changed.notify_one();
        }
    }
}
