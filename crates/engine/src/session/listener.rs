//! Takes connections, TCP and uTP, and has each served by a task of its own. The IP filter is asked first.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::Core;
use crate::{
    EngineError,
    egress::listening::Listener,
    peer::{Transport, incoming},
    torrent::inbox::Command,
};

/// Incoming connections that have not said what they want.
const UNKNOWN_MAX: usize = 128;

/// How long to wait when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) fn start(core: &Arc<Core>) -> Result<(), EngineError> {
    let unknown = Arc::new(Semaphore::new(UNKNOWN_MAX));
    let listeners = std::mem::take(&mut *core.listeners.lock().unwrap_or_else(PoisonError::into_inner));
    for listener in listeners {
        if core.config.tcp {
            tokio::spawn(tcp(core.clone(), listener, unknown.clone()));
        }
    }
    if core.utp.is_some() {
        tokio::spawn(utp(core.clone(), unknown));
    }
    tokio::spawn(come_back(core.clone()));
    Ok(())
}

/// When the way out is open again, or another: trackers hear of it before their back-off ends, and connections of the old one end. They
/// end also when nothing leaves by the new one: what leaves by the old one is against the setting.
async fn come_back(core: Arc<Core>) {
    let (mut standing, mut stopping) = (core.egress.watch(), core.stopping.subscribe());
    let mut epoch = standing.borrow_and_update().epoch;
    loop {
        tokio::select! {
            _ = standing.changed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let now = standing.borrow_and_update().clone();
        let broken = now.epoch != epoch;
        epoch = now.epoch;
        if now.blocked.is_some() && !broken {
            continue;
        }
        for torrent in core.torrents.all() {
            // One that is gone meanwhile has nobody to tell.
            let _ = torrent.ask(|done| Command::WayChanged { broken, done }).await;
        }
    }
}

async fn tcp(core: Arc<Core>, mut listener: Listener, unknown: Arc<Semaphore>) {
    let mut stopping = core.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, addr)) => {
                let _ = stream.set_nodelay(true);
                take(&core, Box::new(stream), addr, false, &unknown);
            }
            Err(error) => {
                tracing::debug!(%error, "accepting failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn utp(core: Arc<Core>, unknown: Arc<Semaphore>) {
    let mut stopping = core.stopping.subscribe();
    let Some(socket) = core.utp.clone() else { return };
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, addr)) => take(&core, stream, addr, true, &unknown),
            Err(error) => {
                tracing::debug!(%error, "accepting failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn take(core: &Arc<Core>, stream: Box<dyn Transport>, addr: SocketAddr, utp: bool, unknown: &Arc<Semaphore>) {
    let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
    if core.filter.refuses(addr.ip()) || !core.has_room() {
        return;
    }
    let Ok(permit) = unknown.clone().try_acquire_owned() else { return };
    let core = core.clone();
    tokio::spawn(incoming::serve(core, stream, addr, utp, permit));
}
