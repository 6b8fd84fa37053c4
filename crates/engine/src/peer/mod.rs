//! One connection's task: bytes of a socket to batches of messages and back.
//!
//! [`dial`] makes connections, [`incoming`] takes them, [`io`] moves their bytes. What messages mean is `swarm`'s affair.

pub(crate) mod dial;
pub(crate) mod incoming;
pub(crate) mod io;

use std::sync::Arc;

use metainfo::InfoHash;
use peer_wire::{Encryption, Handshake, Message, PeerId, Reserved};
use swarm::{Hello, PeerKey};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    rate::Limiter,
    session::Core,
    torrent::inbox::{Inbox, InboxSender},
};

/// Anything that carries a connection: TCP, uTP, a proxy's stream.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// What was received is acknowledged now. A peer that gathers small writes (RFC 896) holds the end of a block back until
    /// all before it is acknowledged, which the system would do 40 ms later if we have nothing to send.
    fn acknowledge(&self) {}
}

impl Transport for TcpStream {
    fn acknowledge(&self) {
        // Nothing is lost where it cannot be done.
        let _ = rustix::net::sockopt::set_tcp_quickack(self, true);
    }
}

/// Batches for a connection's task that have not been taken yet. The task takes them without waiting for its socket, so a
/// full queue means that it is not run.
pub(crate) const COMMANDS_MAX: usize = 256;

/// Bytes of messages that wait for a socket; a peer that takes so little is dropped.
pub(crate) const OUTPUT_BYTES_MAX: usize = 16 << 20;

/// What a torrent tells a connection's task. That nobody can tell it anything any more ends it.
#[derive(Debug)]
pub(crate) enum PeerCommand {
    /// Send these, in order.
    Send(Vec<Message>),
    /// The number of pieces is known now.
    Pieces(u32),
}

/// What a connection's task tells its torrent.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// An attempt succeeded.
    Connected(Box<Hello>),
    /// Messages came, payload left.
    Progress {
        /// What came, in order.
        messages: Vec<Message>,
        /// Payload bytes that were handed to the socket.
        sent: u64,
    },
    /// The attempt failed or the connection ended.
    Closed {
        /// Whether the peer broke the protocol.
        misbehaved: bool,
    },
}

/// What the connections of one torrent share.
pub(crate) struct PeerContext {
    pub(crate) core: Arc<Core>,
    pub(crate) info_hash: InfoHash,
    pub(crate) reserved: Reserved,
    pub(crate) inbox: InboxSender,
    pub(crate) down: Limiter,
    pub(crate) up: Limiter,
}

impl PeerContext {
    pub(crate) fn handshake(&self) -> Handshake {
        Handshake { reserved: self.reserved, info_hash: self.info_hash, peer_id: PeerId(self.core.peer_id) }
    }

    /// Tells the torrent; whether it is still there.
    pub(crate) async fn tell(&self, peer: PeerKey, event: PeerEvent) -> bool {
        self.inbox.send(Inbox::Peer(peer, event)).await.is_ok()
    }
}

/// What the handshake says, for the torrent.
pub(crate) fn hello(handshake: &Handshake, encryption: Encryption, utp: bool) -> Hello {
    Hello {
        peer_id: handshake.peer_id.0,
        fast: handshake.reserved.fast(),
        extended: handshake.reserved.extended(),
        dht: handshake.reserved.dht(),
        encrypted: encryption != Encryption::None,
        utp,
    }
}

pub(crate) type Commands = mpsc::Receiver<PeerCommand>;
