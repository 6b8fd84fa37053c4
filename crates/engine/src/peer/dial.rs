//! Attempts to reach a peer: TCP or uTP, encrypted or not, in the order that the policy says.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use peer_wire::{Connection, EncryptionPolicy, Event};
use swarm::{Hello, PeerKey};
use tokio::time::timeout;

use super::{
    Commands, PeerCommand, PeerContext, PeerEvent, Transport, hello,
    io::{Ended, Io},
};
use crate::{Encryption, session::Core};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long TCP is alone before uTP is tried beside it.
const UTP_AFTER: Duration = Duration::from_millis(400);

/// How long uTP is waited for where TCP was refused: most likely nobody is there, and the next attempt comes the sooner.
const UTP_AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Dials `addr` and speaks with it until the connection ends. The torrent hears how it went, unless it ended it itself.
pub(crate) async fn dial(
    peer: PeerKey,
    addr: SocketAddr,
    context: Arc<PeerContext>,
    mut commands: Commands,
    mut pieces: Option<u32>,
) {
    let ended = {
        let attempt = attempt(addr, &context);
        tokio::pin!(attempt);
        let reached = loop {
            tokio::select! {
                reached = &mut attempt => break reached,
                command = commands.recv() => match command {
                    Some(PeerCommand::Pieces(count)) => pieces = Some(count),
                    Some(PeerCommand::Send(_)) => {}
                    None => return,
                },
            }
        };
        match reached {
            Ok((mut io, hello)) => {
                if let Some(pieces) = pieces {
                    io.connection_mut().set_pieces(pieces);
                }
                if !context.tell(peer, PeerEvent::Connected(Box::new(hello))).await {
                    return;
                }
                io.run(peer, &context, commands).await
            }
            Err(ended) => ended,
        }
    };
    tracing::debug!(%addr, reason = %ended, "connection ended");
    if !matches!(ended, Ended::Dropped) {
        context.tell(peer, PeerEvent::Closed { misbehaved: ended.misbehaved() }).await;
    }
}

/// Policies to dial with, in order.
fn policies(encryption: Encryption) -> &'static [EncryptionPolicy] {
    match encryption {
        Encryption::Prefer => &[EncryptionPolicy::Prefer, EncryptionPolicy::Disable],
        Encryption::Require => &[EncryptionPolicy::Require],
        Encryption::Disable => &[EncryptionPolicy::Disable],
    }
}

async fn attempt(addr: SocketAddr, context: &PeerContext) -> Result<(Io, Hello), Ended> {
    let core = &context.core;
    if core.filter.refuses(addr.ip()) {
        return Err(Ended::Refused("on the IP filter"));
    }
    let mut last = Ended::Closed;
    for over in [Over::Either, Over::Utp] {
        let mut closed = false;
        for policy in policies(core.config.encryption) {
            let permit = core.half_open.acquire().await.map_err(|_| Ended::Dropped)?;
            let (stream, utp) = match timeout(CONNECT_TIMEOUT, connect(core, addr, over)).await {
                Ok(connected) => connected?,
                Err(_) => return Err(Ended::TimedOut(CONNECT_TIMEOUT)),
            };
            drop(permit);
            let connection = Connection::outgoing(context.handshake(), *policy, crate::random::seed());
            let mut io = Io::new(stream, connection);
            last = match timeout(HANDSHAKE_TIMEOUT, io.handshake_event()).await {
                Ok(Ok(Event::Handshaken(handshake, encryption))) => {
                    return Ok((io, hello(&handshake, encryption, utp)));
                }
                Ok(Ok(_)) => Ended::Refused("no handshake"),
                Ok(Err(ended)) => ended,
                Err(_) => Ended::TimedOut(HANDSHAKE_TIMEOUT),
            };
            closed = !utp && matches!(last, Ended::Closed | Ended::Io(_));
        }
        // Who speaks uTP alone takes a TCP connection and closes it.
        if !closed || core.utp.is_none() {
            break;
        }
    }
    Err(last)
}

/// What a connection may go over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// TCP, and uTP when that takes long or fails.
    Either,
    Utp,
}

/// A connection to `addr`; whether it is uTP.
async fn connect(core: &Core, addr: SocketAddr, over: Over) -> io::Result<(Box<dyn Transport>, bool)> {
    let tcp = async {
        let stream = core.egress.connect_tcp(addr).await?;
        stream.set_nodelay(true)?;
        Ok::<Box<dyn Transport>, io::Error>(Box::new(stream))
    };
    let Some(utp) = core.utp.as_ref() else { return tcp.await.map(|stream| (stream, false)) };
    if !core.config.tcp || over == Over::Utp {
        return utp.connect(addr).await.map(|stream| (stream, true));
    }
    tokio::pin!(tcp);
    if let Ok(reached) = timeout(UTP_AFTER, &mut tcp).await {
        return match reached {
            Ok(stream) => Ok((stream, false)),
            Err(refused) => match timeout(UTP_AFTER_REFUSAL, utp.connect(addr)).await {
                Ok(reached) => reached.map(|stream| (stream, true)),
                Err(_) => Err(refused),
            },
        };
    }
    let utp = utp.connect(addr);
    tokio::pin!(utp);
    tokio::select! {
        Ok(stream) = &mut tcp => Ok((stream, false)),
        Ok(stream) = &mut utp => Ok((stream, true)),
        else => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}
