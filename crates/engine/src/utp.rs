//! uTP (BEP 29): streams over the session's UDP port.

use std::{io, net::SocketAddr, sync::Arc};

use crate::{Config, EngineError, egress::Egress, peer::Transport};

/// The session's uTP socket.
pub(crate) struct Utp {}

impl Utp {
    /// Opens it on `addresses`; `None` when it is switched off.
    pub(crate) async fn start(
        config: &Config,
        egress: &Egress,
        addresses: &[SocketAddr],
    ) -> Result<Option<Arc<Self>>, EngineError> {
        let _ = (config, egress, addresses);
        Ok(None)
    }

    pub(crate) async fn connect(&self, addr: SocketAddr) -> io::Result<Box<dyn Transport>> {
        let _ = addr;
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Transport>, SocketAddr)> {
        std::future::pending().await
    }
}
