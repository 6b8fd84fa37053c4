//! uTP (BEP 29): streams over the session's UDP port, so that TCP of the same house goes first and routers that block the one let
//! the other through. The protocol is `librqbit-utp`'s; its datagrams leave by the egress' sockets ([`port`]), its streams go to
//! the same connection tasks as TCP's.

mod port;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
};

use librqbit_utp::{SocketOpts, UtpSocket, UtpSocketUdp};
use tokio::sync::{Mutex, mpsc};

use self::{port::Port, stream::Stream};
use crate::{Config, EngineError, egress::Egress, peer::Transport};

/// Streams that were accepted and that nobody has taken yet.
const ACCEPTED_MAX: usize = 16;

/// What `librqbit-utp` takes time and chance from: it does not export the type, but one that holds it.
type Environment = <UtpSocketUdp as EnvironmentOf>::Environment;

trait EnvironmentOf {
    type Environment;
}

impl<T, E> EnvironmentOf for UtpSocket<T, E> {
    type Environment = E;
}

type Socket = Arc<UtpSocket<Port, Environment>>;

/// The session's uTP sockets, one for each address it listens on. Ends when dropped.
pub(crate) struct Utp {
    sockets: Vec<(SocketAddr, Socket)>,
    accepted: Mutex<mpsc::Receiver<(Stream, SocketAddr)>>,
    _end: tokio_util::sync::DropGuard,
}

impl Utp {
    /// Opens it on `addresses`; `None` when it is switched off or cannot be had. The first decides the port of the others when any
    /// will do.
    pub(crate) async fn start(
        config: &Config,
        egress: &Egress,
        addresses: &[SocketAddr],
    ) -> Result<Option<Arc<Self>>, EngineError> {
        if !config.utp || egress.direct().is_err() {
            return Ok(None);
        }
        let end = tokio_util::sync::CancellationToken::new();
        let (sender, accepted) = mpsc::channel(ACCEPTED_MAX);
        let mut sockets: Vec<(SocketAddr, Socket)> = Vec::new();
        for addr in addresses {
            let mut addr = *addr;
            if let (0, Some((first, _))) = (addr.port(), sockets.first()) {
                addr.set_port(first.port());
            }
            let port = match Port::open(egress, addr, &end) {
                Ok(port) => port,
                Err(error) => {
                    tracing::info!(%addr, %error, "no uTP");
                    continue;
                }
            };
            let addr = librqbit_utp::Transport::bind_addr(&port);
            let options = SocketOpts {
                // Messages are written whole.
                disable_nagle: true,
                cancellation_token: end.clone(),
                max_live_vsocks: NonZeroUsize::new(config.peers_max),
                ..SocketOpts::default()
            };
            let socket = UtpSocket::new_with_opts(port, Environment::default(), options)
                .map_err(|error| EngineError::io(format_args!("uTP on {addr}"), io::Error::other(error)))?;
            tokio::spawn(accept(socket.clone(), sender.clone()));
            sockets.push((addr, socket));
        }
        let (accepted, end) = (Mutex::new(accepted), end.drop_guard());
        Ok((!sockets.is_empty()).then(|| Arc::new(Self { sockets, accepted, _end: end })))
    }

    /// A stream to `addr`, from a socket that can reach it.
    ///
    /// # Cancel safety
    /// Dropping it gives the attempt up.
    pub(crate) async fn connect(&self, addr: SocketAddr) -> io::Result<Box<dyn Transport>> {
        let reaches = |from: IpAddr| {
            from.is_ipv4() == addr.is_ipv4() && (!from.is_loopback() || addr.ip().is_loopback())
        };
        let found = self.sockets.iter().find(|(from, _)| reaches(from.ip()));
        let (_, socket) = found.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let stream = socket.connect(addr).await.map_err(io::Error::other)?;
        Ok(Box::new(Stream::new(stream)))
    }

    /// The next stream of somebody who dialled us, and who it is.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Transport>, SocketAddr)> {
        let accepted = self.accepted.lock().await.recv().await;
        let (stream, addr) = accepted.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((Box::new(stream), addr))
    }
}

async fn accept(socket: Socket, accepted: mpsc::Sender<(Stream, SocketAddr)>) {
    while let Ok(stream) = socket.accept().await {
        let addr = stream.remote_addr();
        if accepted.send((Stream::new(stream), addr)).await.is_err() {
            return;
        }
    }
}
