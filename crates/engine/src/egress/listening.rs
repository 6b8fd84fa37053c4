//! The port that peers connect to, opened again whenever the egress comes back or changes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

use super::{Egress, Standing, random};

/// How long after a failure the port is tried again by itself.
const AGAIN: Duration = Duration::from_secs(5);
/// Ports that no service is registered for (RFC 6335).
const DYNAMIC: u16 = 49_152;

/// Listens on one address for as long as it lives, with pauses while no packet leaves.
#[derive(Debug)]
pub(crate) struct Listener {
    egress: Egress,
    addr: SocketAddr,
    standing: watch::Receiver<Standing>,
    listener: Option<TcpListener>,
}

impl Listener {
    /// Opens the port; while the egress is blocked it is opened later. Port 0 is any free one, and the same from then on.
    ///
    /// # Errors
    /// When the port is taken, or the machine has no such address.
    pub(crate) fn bind(egress: &Egress, mut addr: SocketAddr) -> io::Result<Self> {
        let mut standing = egress.watch();
        standing.mark_unchanged();
        let listener = match egress.listen_tcp(addr) {
            Ok(listener) => {
                addr.set_port(listener.local_addr()?.port());
                Some(listener)
            }
            Err(error) if error.kind() == io::ErrorKind::NetworkDown && egress.direct().is_ok() => {
                if addr.port() == 0 {
                    let offset = random() % u64::from(u16::MAX - DYNAMIC);
                    addr.set_port(DYNAMIC + u16::try_from(offset).unwrap_or(0));
                }
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { egress: egress.clone(), addr, standing, listener })
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The next connection, however long the way out is closed meanwhile.
    ///
    /// # Errors
    /// What the system says of one connection; the next call is as good as any.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub(crate) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match &self.listener {
                Some(listener) => tokio::select! {
                    accepted = listener.accept() => return accepted,
                    _ = self.standing.changed() => {}
                },
                None => tokio::select! {
                    _ = self.standing.changed() => {}
                    () = sleep(AGAIN) => {}
                },
            }
            // The old one goes first: it holds the port.
            self.listener = None;
            match self.egress.listen_tcp(self.addr) {
                Ok(listener) => self.listener = Some(listener),
                Err(error) => tracing::debug!(addr = %self.addr, %error, "not listening"),
            }
        }
    }
}
