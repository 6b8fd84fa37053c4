//! The world: nodes, connections, and events in the order of their times.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use peer_wire::Message;
use swarm::{BlockRead, PeerKey, Stored};

use crate::{
    fake::Fake,
    link::{Line, Portion, Stream, payload_bytes, transfer},
    real::Real,
    rng::Rng,
};

/// A message takes up to the latency's part longer than the last one.
const JITTER: u32 = 5;

/// A node by its number.
pub(crate) type NodeId = usize;

/// A connection by its number; never used again.
pub(crate) type ConnId = usize;

/// What may happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message came to one end of a connection.
    Arrives {
        conn: ConnId,
        to: usize,
        message: Message,
    },
    /// A message came to the downlink of one end of a connection.
    AtDoor {
        conn: ConnId,
        to: usize,
        message: Message,
        bytes: u64,
        began: Duration,
    },
    /// A message went out over a node's uplink.
    Left {
        node: NodeId,
    },
    /// The handshakes of a connection are done.
    Established {
        conn: ConnId,
    },
    /// One end learns that the connection is gone.
    Closed {
        conn: ConnId,
        to: usize,
    },
    /// A real torrent's timer, if it is still the same one.
    Timer {
        node: NodeId,
        number: u64,
    },
    /// An attempt to connect came to nothing.
    Refused {
        node: NodeId,
        peer: PeerKey,
    },
    Stored {
        node: NodeId,
        results: Vec<Stored>,
    },
    Read {
        node: NodeId,
        blocks: Vec<BlockRead>,
    },
    /// A player of a real node goes on.
    Plays {
        node: NodeId,
        player: usize,
    },
    /// Pieces became whole for a player.
    Takes {
        node: NodeId,
        player: usize,
    },
    /// A fake peer changes its mind (chokes, leaves, comes back).
    Changes {
        node: NodeId,
    },
}

#[derive(Debug)]
struct Planned {
    at: Duration,
    number: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: NodeId,
    /// What the real torrent there calls it.
    pub(crate) key: Option<PeerKey>,
    pub(crate) stream: Stream,
}

/// A connection; end 0 made it.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) ends: [End; 2],
    pub(crate) latency: Duration,
    pub(crate) open: bool,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Real(Box<Real>),
    Fake(Box<Fake>),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    pub(crate) line: Line,
    pub(crate) kind: Kind,
    /// Whether it is there at all.
    pub(crate) up: bool,
    /// Streams with something to send, in turn: connection and end.
    sending: VecDeque<(ConnId, usize)>,
    busy: bool,
    portion: Portion,
    down_free: Duration,
    /// Payload that came to it, ever.
    pub(crate) payload_in: u64,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) nodes: Vec<Node>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) rng: Rng,
    addrs: BTreeMap<IpAddr, NodeId>,
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Duration::from_secs(1),
            nodes: Vec::new(),
            conns: Vec::new(),
            rng: Rng::new(seed),
            addrs: BTreeMap::new(),
            events: BinaryHeap::new(),
            planned: 0,
        }
    }

    /// Adds a node; addresses count up, one network each.
    pub(crate) fn add(&mut self, line: Line, kind: Kind) -> NodeId {
        let id = self.nodes.len();
        let octet = |n: usize| u8::try_from(n % 250 + 1).unwrap_or(1);
        let ip = IpAddr::V4(Ipv4Addr::new(20, octet(id / 250), octet(id), 1));
        self.addrs.insert(ip, id);
        self.nodes.push(Node {
            addr: SocketAddr::new(ip, 6881),
            line,
            kind,
            up: true,
            sending: VecDeque::new(),
            busy: false,
            portion: Portion::default(),
            down_free: Duration::ZERO,
            payload_in: 0,
        });
        id
    }

    pub(crate) fn plan(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        self.events.push(Reverse(Planned { at: at.max(self.now), number: self.planned, event }));
    }

    pub(crate) fn real(&mut self, node: NodeId) -> Option<&mut Real> {
        match &mut self.nodes[node].kind {
            Kind::Real(real) => Some(real),
            Kind::Fake(_) => None,
        }
    }

    pub(crate) fn fake(&mut self, node: NodeId) -> Option<&mut Fake> {
        match &mut self.nodes[node].kind {
            Kind::Fake(fake) => Some(fake),
            Kind::Real(_) => None,
        }
    }

    /// Lets one event happen; false when none is left or the next is after `until`.
    pub(crate) fn step(&mut self, until: Duration) -> bool {
        if self.events.peek().is_none_or(|Reverse(next)| next.at > until) {
            self.now = self.now.max(until);
            return false;
        }
        let Some(Reverse(planned)) = self.events.pop() else { return false };
        self.now = planned.at;
        match planned.event {
            Event::Arrives { conn, to, message } => self.arrives(conn, to, message),
            Event::AtDoor { conn, to, message, bytes, began } => {
                self.at_door(conn, to, message, bytes, began)
            }
            Event::Left { node } => {
                self.nodes[node].busy = false;
                self.send_next(node);
            }
            Event::Established { conn } => self.established(conn),
            Event::Closed { conn, to } => self.told_closed(conn, to),
            Event::Timer { node, number } => self.timer(node, number),
            Event::Refused { node, peer } => self.refused(node, peer),
            Event::Stored { node, results } => self.stored(node, results),
            Event::Read { node, blocks } => self.blocks_read(node, blocks),
            Event::Plays { node, player } => self.plays(node, player),
            Event::Takes { node, player } => self.take(node, player),
            Event::Changes { node } => self.changes(node),
        }
        true
    }

    /// A node dials an address.
    pub(crate) fn connect(&mut self, from: NodeId, addr: SocketAddr, key: Option<PeerKey>) {
        let target = self.addrs.get(&addr.ip()).copied();
        let Some(to) = target.filter(|to| self.nodes[*to].up && *to != from) else {
            if let Some(peer) = key {
                self.plan(self.now + Duration::from_secs(3), Event::Refused { node: from, peer });
            }
            return;
        };
        let latency = self.nodes[from].line.latency + self.nodes[to].line.latency;
        let end = |node, key| End { node, key, stream: Stream::default() };
        self.conns.push(Conn { ends: [end(from, key), end(to, None)], latency, open: false });
        // TCP's handshake, then one message each way.
        self.plan(self.now + latency * 4, Event::Established { conn: self.conns.len() - 1 });
    }

    fn established(&mut self, conn: ConnId) {
        let [from, to] = [0, 1].map(|end| self.conns[conn].ends[end].node);
        let key = self.conns[conn].ends[0].key;
        if !self.nodes[from].up || !self.nodes[to].up || !self.accept(conn, to, from) {
            if let Some(peer) = key {
                self.plan(self.now, Event::Refused { node: from, peer });
            }
            return;
        }
        self.conns[conn].open = true;
        self.connected(conn, from, 0);
        self.connected(conn, to, 1);
    }

    /// One end closes; the other learns it later. What was under way to it is lost.
    pub(crate) fn close(&mut self, conn: ConnId, by: usize) {
        if std::mem::take(&mut self.conns[conn].open) {
            let at = self.now + self.conns[conn].latency;
            self.plan(at, Event::Closed { conn, to: 1 - by });
        }
    }

    /// Hands messages to one end of a connection.
    pub(crate) fn send(&mut self, conn: ConnId, from: usize, messages: impl IntoIterator<Item = Message>) {
        if self.conns[conn].open {
            self.conns[conn].ends[from].stream.waiting.extend(messages);
            self.pump(conn, from);
        }
    }

    /// Writes to the socket what fits.
    fn pump(&mut self, conn: ConnId, from: usize) {
        let node = self.conns[conn].ends[from].node;
        let limit = self.nodes[node].line.socket_bytes;
        let stream = &mut self.conns[conn].ends[from].stream;
        let mut written = 0;
        while stream.has_room(limit) {
            let Some(message) = stream.waiting.pop_front() else { break };
            written += payload_bytes(&message);
            stream.write(message);
        }
        if !stream.is_empty() && !stream.queued {
            stream.queued = true;
            self.nodes[node].sending.push_back((conn, from));
            self.send_next(node);
        }
        if written > 0 {
            self.written(conn, from, written);
        }
    }

    /// Whether the socket of one end takes another block.
    pub(crate) fn socket_has_room(&self, conn: ConnId, from: usize) -> bool {
        let end = &self.conns[conn].ends[from];
        end.stream.waiting.is_empty() && end.stream.has_room(self.nodes[end.node].line.socket_bytes)
    }

    /// The uplink is free: the next stream in turn sends a message.
    fn send_next(&mut self, node: NodeId) {
        if self.nodes[node].busy {
            return;
        }
        while let Some((conn, from)) = self.nodes[node].sending.pop_front() {
            let open = self.conns[conn].open;
            let stream = &mut self.conns[conn].ends[from].stream;
            let Some((message, bytes)) = stream.leave().filter(|_| open) else {
                stream.queued = false;
                continue;
            };
            let more = !stream.is_empty();
            stream.queued = more;
            if more {
                self.nodes[node].sending.push_back((conn, from));
            }
            self.nodes[node].busy = true;
            let now = self.now;
            let sender = &mut self.nodes[node];
            let gone = sender.line.leaves(now, bytes, &mut sender.portion);
            self.plan(gone, Event::Left { node });
            self.on_the_way(conn, from, message, bytes, gone);
            self.pump(conn, from);
            self.feed(conn, from);
            return;
        }
    }

    /// A message that left at `gone` comes to the other end.
    fn on_the_way(&mut self, conn: ConnId, from: usize, message: Message, bytes: u64, gone: Duration) {
        let other = self.conns[conn].ends[1 - from].node;
        let latency = self.conns[conn].latency;
        let sender = self.conns[conn].ends[from].node;
        let one_in = self.nodes[sender].line.lost_one_in.max(self.nodes[other].line.lost_one_in);
        let lost = bytes > 1_000 && self.rng.once_in(one_in);
        let jitter = self.rng.time(Duration::ZERO..latency / JITTER);
        let here = gone + latency + jitter + if lost { latency * 3 } else { Duration::ZERO };
        // In order on each connection.
        let here = here.max(self.conns[conn].ends[from].stream.not_before);
        self.conns[conn].ends[from].stream.not_before = here;
        self.plan(
            here,
            Event::AtDoor { conn, to: 1 - from, message, bytes, began: here.saturating_sub(gone - self.now) },
        );
    }

    /// The last byte of a message is before a node's downlink; the first was at `began`. It passes what came in meanwhile.
    fn at_door(&mut self, conn: ConnId, to: usize, message: Message, bytes: u64, began: Duration) {
        let node = &mut self.nodes[self.conns[conn].ends[to].node];
        let through = transfer(bytes, node.line.down_bytes_per_s);
        let at = self.now.max(node.down_free.max(began) + through);
        node.down_free = at;
        if at == self.now {
            self.arrives(conn, to, message);
        } else {
            self.plan(at, Event::Arrives { conn, to, message });
        }
    }

    fn arrives(&mut self, conn: ConnId, to: usize, message: Message) {
        if self.conns[conn].open {
            let node = self.conns[conn].ends[to].node;
            self.nodes[node].payload_in += payload_bytes(&message);
            self.received(conn, to, message);
        }
    }

    /// A node vanishes: its connections end.
    pub(crate) fn take_down(&mut self, node: NodeId) {
        self.nodes[node].up = false;
        for conn in 0..self.conns.len() {
            for end in 0..2 {
                if self.conns[conn].ends[end].node == node && self.conns[conn].open {
                    self.close(conn, end);
                }
            }
        }
    }
}
