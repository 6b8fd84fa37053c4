//! What all tasks of a session share.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use peer_wire::EncryptionPolicy;
use storage::{Options, Storage};
use tokio::sync::{Notify, Semaphore, broadcast, watch};

use super::registry::Registry;
use crate::{
    Config, Encryption, EngineError, Event, Limits, SessionStats,
    discovery::Discovery,
    egress::{Egress, listening::Listener},
    filter::IpFilter,
    rate::Bucket,
    trackers::carry::Carrier,
    utp::Utp,
};

/// How many events a slow listener may be behind before it loses the oldest.
const EVENTS_MAX: usize = 1024;

/// Attempts to connect at a time, over all torrents.
const HALF_OPEN_MAX: usize = 100;

/// Ports tried after the one that was asked for, when it is taken.
const PORTS_TRIED: u16 = 8;

/// Bytes on their way to the disk before sockets are read no more.
const BYTES_IN_FLIGHT_MAX: u64 = 8 << 20;

pub(crate) struct Core {
    pub(crate) config: Config,
    clock: Instant,
    pub(crate) peer_id: [u8; 20],
    pub(crate) egress: Arc<Egress>,
    pub(crate) carrier: Arc<Carrier>,
    pub(crate) utp: Option<Arc<Utp>>,
    pub(crate) storage: Storage,
    pub(crate) filter: Arc<IpFilter>,
    pub(crate) discovery: Discovery,
    pub(crate) half_open: Semaphore,
    /// Connections over all torrents, and who waits for there to be fewer.
    pub(crate) connections: AtomicUsize,
    pub(crate) room: Notify,
    pub(crate) torrents: Registry,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) down: Arc<Bucket>,
    pub(crate) up: Arc<Bucket>,
    /// Payload since the start.
    pub(crate) downloaded: AtomicU64,
    pub(crate) uploaded: AtomicU64,
    pub(crate) listen_port: Option<u16>,
    pub(crate) listeners: std::sync::Mutex<Vec<Listener>>,
    pub(crate) stopping: watch::Sender<bool>,
}

impl Core {
    pub(crate) async fn start(config: Config) -> Result<Arc<Self>, EngineError> {
        for dir in [&config.download_dir, &config.state_dir] {
            std::fs::create_dir_all(dir).map_err(|error| EngineError::io(dir.display(), error))?;
        }
        let egress = Arc::new(Egress::new(&config)?);
        let filter = Arc::new(IpFilter::load(&config.ip_filters)?);
        let (listeners, listen_port) =
            if config.listen { listen(&config, &egress)? } else { (Vec::new(), None) };
        let addresses = addresses(&config, listen_port.unwrap_or(config.listen_port));
        let utp = Utp::start(&config, &egress, &addresses).await?;
        let options = Options {
            bytes_in_flight_max: BYTES_IN_FLIGHT_MAX,
            state_directory: Some(config.state_dir.clone()),
            ..Options::default()
        };
        let storage =
            Storage::start(options).map_err(|error| EngineError::io(config.state_dir.display(), error))?;
        let discovery = Discovery::start(&config, &egress, &filter, listen_port).await?;
        Ok(Arc::new(Self {
            clock: Instant::now(),
            peer_id: crate::random::peer_id(),
            carrier: Arc::new(Carrier::new(Egress::clone(&egress))),
            egress,
            utp,
            storage,
            filter,
            discovery,
            half_open: Semaphore::new(HALF_OPEN_MAX),
            connections: AtomicUsize::new(0),
            room: Notify::new(),
            torrents: Registry::default(),
            events: broadcast::channel(EVENTS_MAX).0,
            down: Arc::new(Bucket::new(config.limits.download)),
            up: Arc::new(Bucket::new(config.limits.upload)),
            downloaded: AtomicU64::new(0),
            uploaded: AtomicU64::new(0),
            listen_port,
            listeners: std::sync::Mutex::new(listeners),
            stopping: watch::channel(false).0,
            config,
        }))
    }

    /// Time since the engine's start: what the pure crates are told.
    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// The time of a moment.
    pub(crate) fn moment(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.clock)
    }

    /// When that time is, for timers.
    pub(crate) fn instant(&self, at: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.clock + at)
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listening is no error.
        let _ = self.events.send(event);
    }

    pub(crate) fn encryption_policy(&self) -> EncryptionPolicy {
        match self.config.encryption {
            Encryption::Prefer => EncryptionPolicy::Prefer,
            Encryption::Require => EncryptionPolicy::Require,
            Encryption::Disable => EncryptionPolicy::Disable,
        }
    }

    /// Whether the session has room for one connection more.
    pub(crate) fn has_room(&self) -> bool {
        self.connections.load(Ordering::Relaxed) < self.config.peers_max
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        // Only the step from full to not full is news.
        if self.connections.fetch_sub(1, Ordering::Relaxed) == self.config.peers_max {
            self.room.notify_waiters();
        }
    }

    pub(crate) fn stats(&self) -> SessionStats {
        let torrents = self.torrents.all();
        let (mut down, mut up) = (0, 0);
        for torrent in &torrents {
            let snapshot = torrent.snapshot();
            (down, up) = (down + snapshot.download_rate, up + snapshot.upload_rate);
        }
        SessionStats {
            torrents: torrents.len(),
            peers: self.connections.load(Ordering::Relaxed),
            download_rate: down,
            upload_rate: up,
            downloaded: self.downloaded.load(Ordering::Relaxed),
            uploaded: self.uploaded.load(Ordering::Relaxed),
            listen_port: self.listen_port,
            dht_nodes: self.discovery.dht_nodes(),
            blocked: self.egress.blocked(),
            limits: Limits { download: self.down.rate(), upload: self.up.rate() },
        }
    }
}

/// Where to listen.
fn addresses(config: &Config, port: u16) -> Vec<SocketAddr> {
    if config.listen_addresses.is_empty() {
        return vec![([0, 0, 0, 0], port).into(), ([0; 8], port).into()];
    }
    config.listen_addresses.iter().map(|ip| (*ip, port).into()).collect()
}

/// Opens the port: the one asked for, or one of the next few. A family that the machine does not have is no error, nor is a
/// way out that is closed as yet; a proxy carries nothing in.
fn listen(config: &Config, egress: &Egress) -> Result<(Vec<Listener>, Option<u16>), EngineError> {
    if let Err(reason) = egress.direct() {
        tracing::info!(reason, "nobody can connect to us");
        return Ok((Vec::new(), None));
    }
    let mut failure = None;
    for offset in 0..if config.listen_port == 0 { 1 } else { PORTS_TRIED } {
        let mut port = config.listen_port.saturating_add(offset);
        let mut listeners = Vec::new();
        for at in 0..addresses(config, port).len() {
            let addr = addresses(config, port)[at];
            match Listener::bind(egress, addr) {
                // The first decides the port of the others when any will do.
                Ok(listener) => {
                    port = listener.port();
                    listeners.push(listener);
                }
                Err(error) => failure = Some((addr, error)),
            }
        }
        if !listeners.is_empty() {
            return Ok((listeners, Some(port)));
        }
    }
    match failure {
        Some((addr, error)) => Err(EngineError::io(format_args!("listening on {addr}"), error)),
        None => Ok((Vec::new(), None)),
    }
}
