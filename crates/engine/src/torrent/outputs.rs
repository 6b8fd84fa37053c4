//! Carries out what the torrent's value wants done: connections, messages, disk.

use std::{net::SocketAddr, time::Duration};

use storage::Store;
use swarm::{BlockRead, Input, Output, PeerKey, ReadBlock, Stored, WriteBlock};
use tokio::sync::mpsc;

use super::{
    saved,
    task::{Peer, Phase, Reach, Task},
};
use crate::{
    Event,
    peer::{COMMANDS_MAX, Commands, PeerCommand, dial},
};

impl Task {
    pub(super) fn carry_out(&mut self, now: Duration) {
        while let Some(output) = self.swarm.poll_output() {
            match output {
                Output::Send { peer, messages } => self.send(now, peer, PeerCommand::Send(messages)),
                Output::Write(blocks) => self.write(blocks),
                Output::Read(blocks) => self.read(now, blocks),
                Output::Connect { peer, addr } => self.connect(now, peer, addr),
                Output::Disconnect { peer, reason } => {
                    tracing::debug!(peer = peer.0, %reason, "disconnecting");
                    self.forget_peer(peer);
                }
                Output::MetadataComplete(bytes) => self.take_metadata(now, bytes),
                // Readers heard of it from storage.
                Output::PiecesVerified(_) => {}
                Output::Banned { ip } => self.core.filter.ban(ip),
                Output::Finished { downloaded, whole } => self.finished(downloaded, whole),
                Output::Failed { reason } => self.fail(now, reason),
                Output::DhtNode(node) => {
                    if let Reach::Public(finder) = &self.reach {
                        finder.nodes(&[node]);
                    }
                }
                Output::PeersWanted => {
                    self.trackers.reannounce(now);
                    if let Reach::Public(finder) = &self.reach {
                        finder.wanted();
                    }
                }
            }
        }
    }

    /// Keeps one end of a connection's commands; the other is its task's.
    pub(super) fn hold(&mut self, peer: PeerKey, counted: bool) -> Commands {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        self.peers.insert(peer, Peer { commands: sender, counted });
        commands
    }

    fn connect(&mut self, now: Duration, peer: PeerKey, addr: SocketAddr) {
        if !self.core.has_room() {
            self.waits_for_room = true;
            self.swarm.handle(now, Input::MayConnect(false));
            self.swarm.handle(now, Input::Disconnected { peer, misbehaved: false });
            return;
        }
        let commands = self.hold(peer, false);
        let pieces = self.metainfo.as_ref().map(|metainfo| metainfo.info().layout().pieces());
        tokio::spawn(dial::dial(peer, addr, self.context.clone(), commands, pieces));
    }

    fn send(&mut self, now: Duration, peer: PeerKey, command: PeerCommand) {
        let Some(known) = self.peers.get(&peer) else { return };
        if let Err(error) = known.commands.try_send(command) {
            // It ended and says so itself, or it is not run: then nobody would ever say so.
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                self.forget_peer(peer);
                self.swarm.handle(now, Input::Disconnected { peer, misbehaved: false });
            }
        }
    }

    /// Tells every connection how many pieces there are.
    pub(super) fn tell_pieces(&mut self, pieces: u32) {
        for peer in self.peers.values() {
            // A queue that is full at this point is dropped at the next message.
            let _ = peer.commands.try_send(PeerCommand::Pieces(pieces));
        }
    }

    fn write(&mut self, blocks: Vec<WriteBlock>) {
        let Some(store) = &self.store else { return };
        store.write(blocks.into_iter().map(|write| (write.block, write.data)).collect());
    }

    /// Reads for peers: at once what is in memory, the rest on the storage's threads.
    fn read(&mut self, now: Duration, blocks: Vec<ReadBlock>) {
        let none = |read: &ReadBlock| BlockRead { peer: read.peer, block: read.block, data: None };
        let Some(store) = self.store.clone() else {
            let refused = blocks.iter().map(none).collect();
            self.swarm.handle(now, Input::BlocksRead(refused));
            return;
        };
        let asked: Vec<_> = blocks.iter().map(|read| read.block).collect();
        let mut here = Vec::with_capacity(blocks.len());
        let mut missing = Vec::new();
        for (read, data) in blocks.into_iter().zip(store.try_read(&asked)) {
            match data {
                Some(data) => here.push(BlockRead { peer: read.peer, block: read.block, data: Some(data) }),
                None => missing.push(read),
            }
        }
        if !missing.is_empty() {
            self.request_reads(&store, missing);
        }
        if !here.is_empty() {
            self.swarm.handle(now, Input::BlocksRead(here));
        }
    }

    fn request_reads(&mut self, store: &Store, missing: Vec<ReadBlock>) {
        let requests = missing
            .into_iter()
            .map(|read| {
                let token = self.next_token;
                self.next_token += 1;
                self.reads.insert(token, read);
                (token, read.block)
            })
            .collect();
        store.request_reads(requests);
    }

    /// Results of storage.
    pub(super) fn take_stored(&mut self, now: Duration, events: impl Iterator<Item = storage::Event>) {
        let (mut stored, mut read) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                storage::Event::Verified(piece) => stored.push(Stored::Verified(piece)),
                storage::Event::Corrupt(piece) => stored.push(Stored::Corrupt(piece)),
                storage::Event::Lost(piece) => {
                    self.shared.readers.lost(piece);
                    stored.push(Stored::Lost(piece));
                }
                storage::Event::Failed(error) => stored.push(Stored::Failed { reason: error.to_string() }),
                storage::Event::Read { token, result } => {
                    let Some(asked) = self.reads.remove(&token) else { continue };
                    if let Err(error) = &result {
                        tracing::debug!(%error, "block not read");
                    }
                    read.push(BlockRead { peer: asked.peer, block: asked.block, data: result.ok() });
                }
                storage::Event::FileFinished(file) => {
                    self.finished |= self.unnamed.remove(&file) && self.unnamed.is_empty();
                }
                storage::Event::Checking { checked, of, .. } => {
                    if matches!(self.phase, Phase::Checking(..)) {
                        self.phase = Phase::Checking(checked, of);
                    }
                }
            }
        }
        if !stored.is_empty() {
            self.swarm.handle(now, Input::Stored(stored));
        }
        if !read.is_empty() {
            self.swarm.handle(now, Input::BlocksRead(read));
        }
        self.touch();
    }

    fn finished(&mut self, downloaded: bool, whole: bool) {
        // Nothing is wanted but what is read: nothing can be finished.
        if self.wanted == 0 && !whole {
            return;
        }
        if downloaded && whole {
            self.trackers.completed();
        }
        saved::complete(&mut self.saved);
        if downloaded {
            self.core.tell(Event::Finished { info_hash: self.shared_info_hash() });
        }
        self.finished = true;
        self.touch();
    }
}
