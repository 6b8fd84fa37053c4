//! `serve`: joins library, media, torrents and HTTP, and runs them until a signal.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use http_api::{AppState, HostPolicy, Server, Shutdown, Torrents};
use library::Library;
use media::{
    CacheConfig, Media, MediaConfig,
    transcode::{Encoders, TranscodeConfig, Transcoder},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::{ConfigError, Layers, Settings},
    failure::Failure,
    say,
    torrent::engine_config,
};

/// Threads that may block at once (disks); each is let go after ten idle seconds.
const BLOCKING_THREADS_MAX: usize = 32;
const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(10);
/// Descriptors asked of the system: a film and a socket for every connection, and some.
const DESCRIPTORS_WANTED: u64 = 8_192;

/// The address to listen on, if it may be listened on.
pub(crate) fn may_listen(settings: &Settings, layers: &Layers) -> Result<SocketAddr, ConfigError> {
    let address = settings.address(layers)?;
    if address.ip().is_loopback() || settings.allow_unauthenticated {
        return Ok(address);
    }
    Err(ConfigError(format!(
        "server.host is {} ({}): beyond loopback everyone who reaches it could watch, for there are no users yet; \
         set server.allow_unauthenticated = true (HEADWATER_ALLOW_UNAUTHENTICATED=true) if that is meant",
        settings.host,
        layers.origin("server.host"),
    )))
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_IDLE)
        .build()
        .context("starting threads")
        .map_err(Failure::from)
}

pub(crate) fn serve(settings: &Settings, layers: &Layers) -> Result<(), Failure> {
    let address = may_listen(settings, layers)?;
    raise_descriptor_limit();
    runtime()?.block_on(async {
        let mut stop = StopSignals::listen()?;
        let running = Running::start(settings, address).await?;
        let local = running.address;
        say(format_args!("Headwater listens on http://{local}"));
        if settings.paths.is_empty() {
            tracing::warn!("no folder with films: name one with --target-path DIR or library.paths");
        }
        if !local.ip().is_loopback() {
            tracing::warn!(%local, "everyone who reaches this address can watch: there is no login");
        }
        let interrupted = stop.wait().await;
        tracing::info!("stopping");
        tokio::select! {
            () = running.stop() => {}
            // A second signal means it.
            _ = stop.wait() => {}
        }
        if interrupted { Err(Failure::Interrupted) } else { Ok(()) }
    })
}

/// A server that runs in the background of this runtime.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    media: Media,
    torrents: Torrents,
    shutdown: Shutdown,
    serving: tokio::task::JoinHandle<()>,
    keeping: tokio::task::JoinHandle<()>,
}

impl Running {
    /// With the engine that the settings say, which remembers its torrents.
    pub(crate) async fn start(settings: &Settings, address: SocketAddr) -> Result<Self, Failure> {
        let state_dir = settings.data_dir.join("torrents");
        let engine = engine_config(settings, settings.torrent.download_dir.clone(), state_dir);
        let engine = engine::Config { restore: true, ..engine };
        Self::with(settings, address, engine, settings.transcode.pool()).await
    }

    /// With another engine, which starts when the first torrent needs it, and without workers that encode.
    pub(crate) async fn with_engine(
        settings: &Settings,
        address: SocketAddr,
        engine: engine::Config,
    ) -> Result<Self, Failure> {
        Self::with(settings, address, engine, None).await
    }

    async fn with(
        settings: &Settings,
        address: SocketAddr,
        engine: engine::Config,
        workers: Option<TranscodeConfig>,
    ) -> Result<Self, Failure> {
        // First the socket: a port in use is the commonest reason not to start, and nothing is written by then.
        let server = Server::bind(address).await.context("listen: choose another with --host or --port")?;
        let cache = settings
            .cache_enabled
            .then(|| CacheConfig { dir: settings.cache_path.clone(), limit_bytes: settings.cache_limit });
        let encoders = workers.map(|pool| Arc::new(Transcoder::new(pool)) as Arc<dyn Encoders>);
        let idle_close = settings.idle_after;
        let media = Media::new(MediaConfig { cache, idle_close, encoders, ..MediaConfig::default() })
            .context("choose another with --cache-path, or --cache false")?;
        let library = Arc::new(Library::new(settings.paths.clone()));
        let restore = engine.restore;
        let torrents = Torrents::new(engine, settings.torrent.fetch_private);
        if restore && let Err(error) = torrents.restore().await {
            // Films of the library need no swarm.
            tracing::error!(%error, "the torrent engine does not start; it is tried again when a torrent is added");
        }
        let shutdown = Shutdown::default();
        let hosts = HostPolicy::new(settings.allowed_hosts.iter().cloned().chain([settings.host.clone()]));
        let state = AppState::new(
            media.clone(),
            Arc::clone(&library),
            Some(torrents.clone()),
            hosts,
            shutdown.clone(),
        );
        let local = server.address();
        let keeping = tokio::spawn(Arc::clone(&library).keep(settings.rescan));
        let serving = tokio::spawn(server.run(state));
        Ok(Self { address: local, media, torrents, shutdown, serving, keeping })
    }

    /// Its torrents.
    pub(crate) fn torrents(&self) -> &Torrents {
        &self.torrents
    }

    /// Lets what is in flight end, writes what is to be written.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        let _ = self.serving.await;
        self.torrents.stop().await;
        self.keeping.abort();
        self.media.flush().await;
    }
}

/// SIGINT and SIGTERM.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Whether it was SIGINT.
    pub(crate) async fn wait(&mut self) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => false,
        }
    }
}

/// The soft limit is often 1,024: as many as there may be connections.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|now| now < DESCRIPTORS_WANTED) {
        limit.current = Some(limit.maximum.map_or(DESCRIPTORS_WANTED, |max| max.min(DESCRIPTORS_WANTED)));
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
}
