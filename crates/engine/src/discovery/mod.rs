//! Finding peers without a tracker: DHT (BEP 5, 32), the local network (BEP 14), and the router's port.
//!
//! Only public torrents have a [`Finder`], so that nobody hears of the others here. What finds peers by sockets of its own is off
//! behind a proxy, which carries no such thing.

mod dht;
mod lsd;
mod mapping;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use metainfo::{HostPort, InfoHash};
use tokio::sync::watch;

use self::mapping::{Protocol, Want};
use crate::{
    Config, EngineError,
    egress::Egress,
    filter::IpFilter,
    torrent::inbox::{Inbox, InboxSender},
};

pub(crate) use self::dht::fuzz::hear as hear_in_dht;

/// The file of the state directory that keeps the DHT's table.
const DHT_FILE: &str = "dht";

/// The session's means of discovery.
pub(crate) struct Discovery {
    dht: Option<dht::Dht>,
    lsd: Option<lsd::Lsd>,
    mapping: Option<mapping::Mapping>,
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
        let loopback =
            !config.listen_addresses.is_empty() && config.listen_addresses.iter().all(IpAddr::is_loopback);
        let lsd = (config.lsd && direct)
            .then(|| lsd::Lsd::start(Egress::clone(egress), port, loopback, crate::random::seed()));
        let mapping = (config.port_mapping && direct && !loopback)
            .then(|| wants(config, port, dht.as_ref()))
            .filter(|wants| !wants.is_empty())
            .map(|wants| mapping::Mapping::start(Egress::clone(egress), wants, crate::random::seed()));
        if let (Some(dht), Some(mapping)) = (&dht, &mapping) {
            dht.announce_as(mapping.outer_port());
        }
        Ok(Self { dht, lsd, mapping, filter: Arc::clone(filter) })
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
        let lsd = self.lsd.as_ref().map(|lsd| lsd.search(info_hash, Box::new(sink(swarm::Source::Lsd))));
        Finder { dht, lsd }
    }

    /// Takes the nodes that a public torrent names as ways into the DHT.
    pub(crate) fn enter_by(&self, nodes: &[HostPort]) {
        if let Some(dht) = self.dht.as_ref().filter(|_| !nodes.is_empty()) {
            dht.enter_by(nodes);
        }
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

    /// The port that peers out there reach us by, where a router maps it: for trackers.
    pub(crate) fn outer_port(&self) -> watch::Receiver<Option<u16>> {
        self.mapping.as_ref().map_or_else(|| watch::channel(None).1, mapping::Mapping::outer_port)
    }

    /// Saves the table, takes the port mapping back. Bounded.
    pub(crate) async fn stop(&self) {
        let dht = async {
            if let Some(dht) = &self.dht {
                dht.stop().await;
            }
        };
        let mapping = async {
            if let Some(mapping) = &self.mapping {
                mapping.stop().await;
            }
        };
        tokio::join!(dht, mapping);
    }
}

/// What the router is asked for: the port of peers over TCP and uTP, and the DHT's.
fn wants(config: &Config, port: Option<u16>, dht: Option<&dht::Dht>) -> Vec<Want> {
    let want = |protocol, port: Option<u16>| port.map(|port| Want { protocol, port });
    [
        want(Protocol::Tcp, port.filter(|_| config.tcp)),
        want(Protocol::Udp, port.filter(|_| config.utp)),
        want(Protocol::Udp, dht.and_then(dht::Dht::port)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The search for one public torrent's peers. A private torrent has none.
pub(crate) struct Finder {
    dht: Option<dht::Search>,
    lsd: Option<lsd::Search>,
}

impl Finder {
    /// Whether it looks in the DHT.
    pub(crate) fn has_dht(&self) -> bool {
        self.dht.is_some()
    }

    /// Whether it looks in the local network.
    pub(crate) fn has_lsd(&self) -> bool {
        self.lsd.is_some()
    }

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
