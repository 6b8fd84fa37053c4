//! Connections that came in: which torrent they are about, and whether it takes them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use peer_wire::{Connection, Event};
use swarm::{Hello, PeerKey};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::timeout,
};

use super::{
    Commands, PeerCommand, PeerContext, PeerEvent, Transport, hello,
    io::{Ended, Io},
};
use crate::{session::Core, torrent::inbox::Inbox};

/// How long a peer may take to say what it wants.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection that a torrent is asked to take.
pub(crate) struct Incoming {
    pub(crate) addr: SocketAddr,
    pub(crate) hello: Hello,
    /// The torrent keeps this end.
    pub(crate) commands: mpsc::Sender<PeerCommand>,
    /// Its key and the number of pieces if known; dropped when it is not taken.
    pub(crate) taken: oneshot::Sender<(PeerKey, Option<u32>)>,
}

/// Speaks with whoever connected until the connection ends.
pub(crate) async fn serve(
    core: Arc<Core>,
    stream: Box<dyn Transport>,
    addr: SocketAddr,
    utp: bool,
    permit: OwnedSemaphorePermit,
) {
    let shake = timeout(HANDSHAKE_TIMEOUT, shake(&core, stream, utp));
    let shaken = match core.egress.unless_changed(shake).await {
        Ok(Ok(shaken)) => shaken,
        Ok(Err(_)) => Err(Ended::TimedOut(HANDSHAKE_TIMEOUT)),
        Err(changed) => Err(changed.into()),
    };
    let (mut io, context, hello) = match shaken {
        Ok(shaken) => shaken,
        Err(reason) => {
            tracing::debug!(%addr, %reason, "incoming connection refused");
            return;
        }
    };
    let (sender, commands) = mpsc::channel(super::COMMANDS_MAX);
    let (taken, answer) = oneshot::channel();
    let offer = Incoming { addr, hello, commands: sender, taken };
    if context.inbox.send(Inbox::Incoming(Box::new(offer))).await.is_err() {
        return;
    }
    let Ok((peer, pieces)) = answer.await else { return };
    drop(permit);
    if let Some(pieces) = pieces {
        io.connection_mut().set_pieces(pieces);
    }
    run(io, peer, addr, &context, commands).await;
}

async fn run(io: Io, peer: PeerKey, addr: SocketAddr, context: &PeerContext, commands: Commands) {
    let ended = io.run(peer, context, commands).await;
    tracing::debug!(%addr, reason = %ended, "connection ended");
    if !matches!(ended, Ended::Dropped) {
        context.tell(peer, PeerEvent::Closed { misbehaved: ended.misbehaved() }).await;
    }
}

async fn shake(
    core: &Arc<Core>,
    stream: Box<dyn Transport>,
    utp: bool,
) -> Result<(Io, Arc<PeerContext>, Hello), Ended> {
    let connection = Connection::incoming(core.encryption_policy(), crate::random::seed());
    let mut io = Io::new(stream, connection);
    let context = match io.handshake_event().await? {
        Event::Obfuscated(hidden) => core.torrents.obfuscated(&hidden),
        Event::InfoHash(info_hash) => core.torrents.get(info_hash),
        _ => None,
    };
    let context = context.ok_or(Ended::Refused("no such torrent"))?.context();
    io.connection_mut().accept(context.handshake());
    match io.handshake_event().await? {
        Event::Handshaken(handshake, encryption) => {
            let hello = hello(&handshake, encryption, utp);
            Ok((io, context, hello))
        }
        _ => Err(Ended::Refused("no handshake")),
    }
}
