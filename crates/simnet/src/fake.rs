//! Peers that are not ours: they serve requests in order, and some of them choke, lie, stall or leave.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    time::Duration,
};

use metainfo::{Bitfield, PieceLayout};
use peer_wire::{ExtendedHandshake, Message, RawBlock};

use crate::{
    real::block_data,
    world::{ConnId, Event, NodeId, World},
};

/// How a fake peer behaves.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Serves whoever asks.
    Honest,
    /// Serves for a while, chokes for a while.
    Chokes { serves: Range<Duration>, chokes: Range<Duration> },
    /// Sends a wrong block once in so many.
    Lies { one_in: u64 },
    /// Sends nothing any more once it has sent so many blocks after it was told to (by the scenario).
    Stalls { after_blocks: u64 },
    /// Is there for a while, away for a while.
    Leaves { stays: Range<Duration>, away: Range<Duration> },
}

#[derive(Debug, Default)]
struct Client {
    end: usize,
    choked: bool,
    requests: VecDeque<RawBlock>,
}

/// A fake peer. It never downloads.
#[derive(Debug)]
pub(crate) struct Fake {
    layout: PieceLayout,
    has: Bitfield,
    pub(crate) manner: Manner,
    clients: BTreeMap<ConnId, Client>,
    serving: bool,
    /// For [`Manner::Stalls`]: it may, now.
    pub(crate) armed: bool,
    sent_armed: u64,
    stalled: bool,
    /// Who is told when it comes back: nodes that keep asking for peers.
    pub(crate) known_to: Vec<NodeId>,
}

impl Fake {
    pub(crate) fn new(layout: PieceLayout, manner: Manner) -> Self {
        Self {
            layout,
            has: Bitfield::all(layout.pieces()),
            manner,
            clients: BTreeMap::new(),
            serving: true,
            armed: false,
            sent_armed: 0,
            stalled: false,
            known_to: Vec::new(),
        }
    }

    /// Whether what it sends counts towards what the links allow.
    pub(crate) fn serves_rightly(&self) -> bool {
        self.serving && !self.stalled && !matches!(self.manner, Manner::Lies { .. })
    }

    /// It stops to send, or goes on.
    pub(crate) fn set_stalled(&mut self, stalled: bool) {
        (self.stalled, self.armed, self.sent_armed) = (stalled, false, 0);
    }

    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.clients.remove(&conn);
    }
}

impl World {
    pub(crate) fn fake_connected(&mut self, conn: ConnId, end: usize) {
        let node = self.conns[conn].ends[end].node;
        let Some(fake) = self.fake(node) else { return };
        fake.clients.insert(conn, Client { end, choked: true, requests: VecDeque::new() });
        let all = if fake.has.is_full() {
            Message::HaveAll
        } else {
            Message::Bitfield(fake.has.as_bytes().to_vec().into())
        };
        let handshake = ExtendedHandshake { request_queue: Some(500), ..ExtendedHandshake::default() };
        self.send(conn, end, [all, Message::ExtendedHandshake(Box::new(handshake))]);
    }

    pub(crate) fn fake_received(&mut self, conn: ConnId, end: usize, message: &Message) {
        let node = self.conns[conn].ends[end].node;
        let Some(fake) = self.fake(node) else { return };
        let serving = fake.serving;
        let Some(client) = fake.clients.get_mut(&conn) else { return };
        match message {
            Message::Interested if client.choked && serving => {
                client.choked = false;
                self.send(conn, end, [Message::Unchoke]);
            }
            Message::Request(block) if client.choked => self.send(conn, end, [Message::Reject(*block)]),
            Message::Request(block) => {
                client.requests.push_back(*block);
                self.feed(conn, end);
            }
            Message::Cancel(block) => {
                let before = client.requests.len();
                client.requests.retain(|request| request != block);
                if client.requests.len() < before {
                    self.send(conn, end, [Message::Reject(*block)]);
                }
            }
            _ => {}
        }
    }

    /// A fake peer writes blocks to its socket while that takes some.
    pub(crate) fn feed(&mut self, conn: ConnId, end: usize) {
        let node = self.conns[conn].ends[end].node;
        loop {
            if !self.socket_has_room(conn, end) {
                return;
            }
            let lies = match self.fake(node).map(|fake| fake.manner.clone()) {
                Some(Manner::Lies { one_in }) => self.rng.once_in(one_in),
                _ => false,
            };
            let Some(fake) = self.fake(node) else { return };
            if let Manner::Stalls { after_blocks } = fake.manner
                && fake.armed
                && !fake.stalled
            {
                fake.stalled = fake.sent_armed >= after_blocks;
                fake.sent_armed += 1;
            }
            if fake.stalled {
                return;
            }
            let Some(block) = fake.clients.get_mut(&conn).and_then(|client| client.requests.pop_front())
            else {
                return;
            };
            let Some(index) = fake.layout.block_at(block.piece, block.begin, block.length) else { continue };
            let data = block_data(fake.layout.block(index).length, !lies);
            self.send(conn, end, [Message::Piece { piece: block.piece, begin: block.begin, data }]);
        }
    }

    /// A fake peer does what its manner says is next.
    pub(crate) fn changes(&mut self, node: NodeId) {
        let now = self.now;
        let Some(fake) = self.fake(node) else { return };
        match fake.manner.clone() {
            Manner::Chokes { serves, chokes } => {
                fake.serving = !fake.serving;
                let serving = fake.serving;
                let mut said = Vec::new();
                for (conn, client) in &mut fake.clients {
                    client.choked = !serving;
                    let refused = std::mem::take(&mut client.requests);
                    said.push((*conn, client.end, refused));
                }
                for (conn, end, refused) in said {
                    let word = if serving { Message::Unchoke } else { Message::Choke };
                    self.send(conn, end, [word]);
                    self.send(conn, end, refused.into_iter().map(Message::Reject));
                }
                let next = now + self.rng.time(if serving { serves } else { chokes });
                self.plan(next, Event::Changes { node });
            }
            Manner::Leaves { stays, away } => {
                let next = if self.nodes[node].up {
                    self.take_down(node);
                    now + self.rng.time(away)
                } else {
                    self.nodes[node].up = true;
                    if let Some(fake) = self.fake(node) {
                        fake.clients.clear();
                    }
                    self.announce(node);
                    now + self.rng.time(stays)
                };
                self.plan(next, Event::Changes { node });
            }
            Manner::Honest | Manner::Lies { .. } | Manner::Stalls { .. } => {}
        }
    }

    /// Tells those who look for peers of a node.
    pub(crate) fn announce(&mut self, node: NodeId) {
        let addr = self.nodes[node].addr;
        let known_to = self.fake(node).map(|fake| fake.known_to.clone()).unwrap_or_default();
        for other in known_to {
            let input = swarm::Input::Candidates { source: swarm::Source::Tracker, addrs: vec![addr] };
            self.handle(other, input);
        }
    }
}
