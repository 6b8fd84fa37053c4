//! Finding peers without a tracker: DHT (BEP 5, 32), the local network (BEP 14), and the router's port.
//!
//! Only public torrents have a [`Finder`], so that nobody hears of the others here. What finds peers by sockets of its own is off
//! behind a proxy, which carries no such thing.

mod dht;

use std::{net::SocketAddr, sync::Arc};

use metainfo::InfoHash;

use crate::{
    Config, EngineError,
    egress::Egress,
    filter::IpFilter,
    torrent::inbox::{Inbox, InboxSender},
};

/// The file of the state directory that keeps the DHT's table.
const DHT_FILE: &str = "dht";

/// The session's means of discovery.
pub(crate) struct Discovery {
    dht: Option<dht::Dht>,
    filter: Arc<IpFilter>,
}

impl Discovery {
    /// Starts what the configuration says; `port` is where peers reach us. That nobody can be reached yet is no error.
    pub(crate) async fn start(
        config: &Config,
        egress: &Arc<Egress>,
        filter: &Arc<IpFilter>,
        port: Option<u16>,
    ) -> Result<Self, EngineError> {
        let direct = match egress.direct() {
            Ok(()) => true,
            Err(reason) => {
                tracing::info!(reason, "no DHT, no local discovery, no port mapping");
                false
            }
        };
        let dht = if config.dht && direct {
            let options = dht::Options {
                addresses: config.listen_addresses.clone(),
                announce: port,
                bootstrap: config.dht_bootstrap.clone(),
                file: Some(config.state_dir.join(DHT_FILE)),
                seed: crate::random::seed(),
            };
            Some(dht::Dht::start(Egress::clone(egress), options).await)
        } else {
            None
        };
        Ok(Self { dht, filter: Arc::clone(filter) })
    }

    /// Looks for peers of one public torrent until the finder is dropped; they come as [`Inbox::Found`].
    pub(crate) fn finder(&self, info_hash: InfoHash, inbox: InboxSender) -> Finder {
        let sink = |source: swarm::Source| {
            let (inbox, filter) = (inbox.clone(), Arc::clone(&self.filter));
            move |mut addrs: Vec<SocketAddr>| {
                addrs.retain(|addr| !filter.refuses(addr.ip()));
                if !addrs.is_empty() {
                    // A torrent that is too busy to hear of peers needs none; they are found again.
                    let _ = inbox.try_send(Inbox::Found { source, addrs });
                }
            }
        };
        let dht = self.dht.as_ref().map(|dht| dht.search(info_hash, Box::new(sink(swarm::Source::Dht))));
        Finder { dht }
    }

    /// Whether we have a DHT node: said in handshakes.
    pub(crate) fn has_dht(&self) -> bool {
        self.dht.is_some()
    }

    /// The UDP port of our DHT node, for `Message::Port`.
    pub(crate) fn dht_port(&self) -> Option<u16> {
        self.dht.as_ref().and_then(dht::Dht::port)
    }

    /// Nodes in the DHT's table.
    pub(crate) fn dht_nodes(&self) -> usize {
        self.dht.as_ref().map_or(0, dht::Dht::nodes)
    }

    /// Saves the table, takes the port mapping back. Bounded.
    pub(crate) async fn stop(&self) {
        if let Some(dht) = &self.dht {
            dht.stop().await;
        }
    }
}

/// The search for one public torrent's peers. A private torrent has none.
pub(crate) struct Finder {
    dht: Option<dht::Search>,
}

impl Finder {
    /// More peers are wanted now.
    pub(crate) fn wanted(&self) {
        if let Some(dht) = &self.dht {
            dht.wanted();
        }
    }

    /// Nodes of the DHT that a peer or a torrent named.
    pub(crate) fn nodes(&self, nodes: &[SocketAddr]) {
        if let Some(dht) = &self.dht {
            nodes.iter().for_each(|node| dht.node(*node));
        }
    }
}
