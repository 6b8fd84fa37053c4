//! Finding peers without a tracker: DHT (BEP 5, 32), the local network (BEP 14), and the router's port.

use std::{net::SocketAddr, sync::Arc};

use metainfo::InfoHash;

use crate::{Config, EngineError, egress::Egress, filter::IpFilter, torrent::inbox::InboxSender};

/// The session's means of discovery.
pub(crate) struct Discovery {}

impl Discovery {
    /// Starts what the configuration says; `port` is where peers reach us.
    pub(crate) async fn start(
        config: &Config,
        egress: &Arc<Egress>,
        filter: &Arc<IpFilter>,
        port: Option<u16>,
    ) -> Result<Self, EngineError> {
        let _ = (config, egress, filter, port);
        Ok(Self {})
    }

    /// Looks for peers of one public torrent until the finder is dropped; they come as `Inbox::Found`.
    pub(crate) fn finder(&self, info_hash: InfoHash, inbox: InboxSender) -> Finder {
        let _ = (info_hash, inbox);
        Finder {}
    }

    /// Whether we have a DHT node: said in handshakes.
    pub(crate) fn has_dht(&self) -> bool {
        false
    }

    /// The UDP port of our DHT node, for `Message::Port`.
    pub(crate) fn dht_port(&self) -> Option<u16> {
        None
    }

    /// Nodes in the DHT's table.
    pub(crate) fn dht_nodes(&self) -> usize {
        0
    }

    /// Saves the table, takes the port mapping back. Bounded.
    pub(crate) async fn stop(&self) {}
}

/// The search for one public torrent's peers. A private torrent has none.
pub(crate) struct Finder {}

impl Finder {
    /// More peers are wanted now.
    pub(crate) fn wanted(&self) {}

    /// Nodes of the DHT that a peer or a torrent named.
    pub(crate) fn nodes(&self, nodes: &[SocketAddr]) {
        let _ = nodes;
    }
}
