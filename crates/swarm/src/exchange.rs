//! Extensions: the handshake (BEP 10), metadata both ways (BEP 9), peers (BEP 11).

use core::net::SocketAddr;
use std::{collections::BTreeMap, time::Duration};

use peer_wire::{ExtendedHandshake, Extensions, Message, MetadataMessage, Pex, PexFlags};

use crate::{
    Output, PeerKey, Reason, Source,
    candidates::End,
    metadata::{METADATA_BLOCK, Progress},
    peers::{Kind, Speaks},
    torrent::{Phase, Torrent},
    upload,
};

/// A peer is given the info dictionary this many times over at most.
const METADATA_GIVEN_MAX: u64 = 4;

impl Torrent {
    /// What we say of ourselves to `key`.
    pub(crate) fn our_extended(&self, key: PeerKey) -> ExtendedHandshake {
        let content = self.content.as_ref();
        let size =
            content.and_then(|content| u32::try_from(content.metadata.len()).ok()).filter(|size| *size > 0);
        ExtendedHandshake {
            extensions: Extensions {
                metadata: true,
                pex: self.exchange.is_some(),
                dont_have: true,
                upload_only: true,
            },
            client: Some(self.config.client.clone()),
            port: self.config.listen_port,
            request_queue: u32::try_from(upload::QUEUE_MAX).ok(),
            metadata_size: size,
            your_ip: self.peers.get(key).and_then(|peer| peer.addr).map(|addr| addr.ip()),
            upload_only: self.needs_nothing() && self.super_seed.is_none(),
            ..ExtendedHandshake::default()
        }
    }

    pub(crate) fn extended(&mut self, now: Duration, key: PeerKey, theirs: ExtendedHandshake) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let ExtendedHandshake { extensions, client, port, request_queue, metadata_size, upload_only, .. } =
            theirs;
        peer.speaks = Speaks {
            metadata: extensions.metadata,
            dont_have: extensions.dont_have,
            upload_only: extensions.upload_only,
        };
        let untold = peer.untold.take().filter(|_| peer.speaks.dont_have).unwrap_or_default();
        peer.client = client.or(peer.client.take());
        peer.upload_only = upload_only;
        if let Some(reqq) = request_queue {
            peer.pipeline.set_reqq(usize::try_from(reqq).unwrap_or(usize::MAX));
        }
        let listens = port.filter(|_| peer.kind == Kind::Incoming && peer.listens.is_none());
        if let (Some(port), Some(addr)) = (listens, peer.addr) {
            let listens = SocketAddr::new(addr.ip(), port);
            peer.listens = Some(listens);
            self.add_candidates(Source::Incoming, &[listens]);
            self.candidates.take(listens, key);
            self.candidates.answered(listens);
        }
        if extensions.pex
            && let Some(exchange) = &mut self.exchange
        {
            exchange.joined(now, key);
        }
        if self.content.is_none()
            && extensions.metadata
            && let Some(size) = metadata_size
        {
            self.fetch.joined(key, size);
            self.request_metadata(now);
        }
        // What we said we had and has left since.
        for piece in untold {
            if self.have().is_some_and(|have| !have.has(piece)) {
                self.send(now, key, Message::DontHave(piece.0));
            }
        }
        self.drop_if_useless(now, key);
    }

    pub(crate) fn request_metadata(&mut self, now: Duration) {
        if self.content.is_some() || self.phase != Phase::Running {
            return;
        }
        let mut requests = Vec::new();
        self.fetch.requests(now, &mut requests);
        for (key, piece) in requests {
            self.send(now, key, Message::Metadata(MetadataMessage::Request { piece }));
            self.tick_by(now + Duration::from_secs(1));
        }
    }

    pub(crate) fn metadata_came(&mut self, now: Duration, key: PeerKey, piece: u32, total: u32, data: &[u8]) {
        if self.content.is_some() {
            return;
        }
        match self.fetch.received(key, piece, total, data) {
            Progress::Complete(bytes) => return self.outputs.push_back(Output::MetadataComplete(bytes)),
            Progress::Guilty(guilty) => self.ban(now, guilty),
            Progress::Partly | Progress::Again | Progress::Unasked => {}
        }
        self.request_metadata(now);
    }

    pub(crate) fn metadata_requested(&mut self, now: Duration, key: PeerKey, piece: u32) {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.speaks.metadata) else { return };
        let metadata = self.content.as_ref().map(|content| &content.metadata);
        let start = u64::from(piece) * u64::from(METADATA_BLOCK);
        let answer = match metadata {
            Some(whole) if start < whole.len() as u64 => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                let end = whole.len().min(start + METADATA_BLOCK as usize);
                peer.metadata_given += (end - start) as u64;
                let total = u32::try_from(whole.len()).unwrap_or(u32::MAX);
                let enough = whole.len() as u64 * METADATA_GIVEN_MAX;
                (peer.metadata_given <= enough).then(|| MetadataMessage::Data {
                    piece,
                    total,
                    data: whole.slice(start..end),
                })
            }
            _ => None,
        };
        let answer = answer.unwrap_or(MetadataMessage::Reject { piece });
        self.send(now, key, Message::Metadata(answer));
    }

    pub(crate) fn peers_exchanged(&mut self, now: Duration, key: PeerKey, pex: &Pex) {
        if let Some(exchange) = &mut self.exchange {
            let addrs = exchange.received(now, key, pex);
            self.add_candidates(Source::Pex, &addrs);
        }
    }

    /// Tells peers of peers where that is due.
    pub(crate) fn exchange_peers(&mut self, now: Duration) {
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.next_timeout().is_none_or(|due| due > now) {
            return;
        }
        let pieces = self.content.as_ref().map(|content| content.layout.pieces());
        let mut connected = BTreeMap::new();
        for peer in self.peers.iter().filter(|peer| peer.is_up()) {
            let Some(addr) = peer.listens else { continue };
            let has = self.content.as_ref().map(|content| content.picker.peer_pieces(peer.key));
            let mut flags = PexFlags::default();
            for (set, flag) in [
                (peer.hello.encrypted, PexFlags::ENCRYPTION),
                (peer.upload_only || has.is_some() && has == pieces, PexFlags::SEED),
                (peer.hello.utp, PexFlags::UTP),
                (peer.kind == Kind::Outgoing, PexFlags::REACHABLE),
            ] {
                if set {
                    flags = flags.with(flag);
                }
            }
            connected.insert(addr, (peer.key, flags));
        }
        for (key, pex) in exchange.due(now, &connected) {
            self.send(now, key, Message::Pex(Box::new(pex)));
        }
    }

    /// Nothing came over a connection for too long.
    pub(crate) fn drop_silent(&mut self, now: Duration, key: PeerKey) {
        self.disconnect(now, key, Reason::Silent, End::Served);
    }
}
