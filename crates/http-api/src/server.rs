//! Runs the router on a socket: time-outs, limits, and an end that lets go of nobody in mid-sentence.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    limits::{CONNECTIONS_MAX, HEAD_BYTES_MAX, HEADER_READ_TIMEOUT, HEADERS_MAX, SHUTDOWN_GRACE},
    routes::router,
    state::AppState,
};

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {error}")]
pub struct ServerError {
    address: SocketAddr,
    error: std::io::Error,
}

/// A listening socket.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// After an accept failed (usually: no file descriptors left) some connection must end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A peer that is gone without a word is noticed after about this long.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

impl Server {
    /// Listens. Port 0 takes any free one.
    ///
    /// # Errors
    /// The system's, with the address.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let fail = |error| ServerError { address, error };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the state's shutdown begins, then lets answers in flight end within [`SHUTDOWN_GRACE`].
    pub async fn run(self, state: AppState) {
        let (shutdown, metrics) = (state.0.shutdown.clone(), Arc::clone(&state.0.metrics));
        let router = router(state);
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX);
        // Not `pipeline_flush`: it makes hyper copy every body into one flat buffer, which halves the speed of files.
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.listener, &places) => accepted,
                () = shutdown.begun() => break,
            };
            let Some((stream, place)) = accepted else { break };
            tune(&stream);
            let service = TowerToHyperService::new(router.clone());
            let metrics = Arc::clone(&metrics);
            let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                metrics.connections.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection");
                }
                metrics.connections.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }
        drop(self.listener);
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(SHUTDOWN_GRACE) => {
                tracing::info!(grace = ?SHUTDOWN_GRACE, "some answers were still being sent and are cut off");
            }
        }
    }
}

/// The next connection, once there is a place for it; `None` never comes from a healthy process.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Heads leave at once; dead peers are noticed. Neither is worth refusing a connection for.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
}
