//! The connections of a torrent and what is known of each. Keys are never used twice.

use core::net::SocketAddr;
use std::time::Duration;

use metainfo::PieceIndex;
use peer_wire::Message;

use crate::{Hello, PeerKey, Source, pipeline::Pipeline, rate::Meter, upload::Uploads};

/// Bits of a key that number the place in the table; the rest counts how often the place was used.
const SLOT_BITS: u32 = 12;
/// Connections, attempts and web seeds at a time.
pub(crate) const PEERS_MAX: usize = 1 << SLOT_BITS;
/// Over how long the rates are measured that people see and the choker goes by.
const RATE_WINDOW: Duration = Duration::from_secs(8);
/// Haves kept of a peer while the number of pieces is not known.
const EARLY_HAVES_MAX: usize = 8_192;

/// What kind of connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// We dialled.
    Outgoing,
    /// It dialled.
    Incoming,
    /// A web seed (BEP 19).
    Web,
}

/// What a peer says it has before the number of pieces is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Early {
    pub(crate) all: bool,
    pub(crate) bitfield: Option<bytes::Bytes>,
    pub(crate) haves: Vec<u32>,
}

impl Early {
    /// Whether it has anything.
    pub(crate) fn is_some(&self) -> bool {
        self.all
            || !self.haves.is_empty()
            || self.bitfield.as_ref().is_some_and(|bits| bits.iter().any(|b| *b != 0))
    }

    pub(crate) fn have(&mut self, piece: u32) {
        if self.haves.len() < EARLY_HAVES_MAX {
            self.haves.push(piece);
        }
    }
}

/// What a peer speaks (BEP 10).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Speaks {
    pub(crate) metadata: bool,
    pub(crate) dont_have: bool,
    pub(crate) upload_only: bool,
}

/// One connection, or an attempt at one.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) key: PeerKey,
    pub(crate) kind: Kind,
    /// The handshake is through.
    pub(crate) up: bool,
    pub(crate) addr: Option<SocketAddr>,
    /// Where it can be dialled: `addr` when we did, else what it said.
    pub(crate) listens: Option<SocketAddr>,
    pub(crate) source: Option<Source>,
    pub(crate) hello: Hello,
    pub(crate) client: Option<String>,
    pub(crate) speaks: Speaks,
    /// Pieces that left before it said what it speaks; `None` once it did.
    pub(crate) untold: Option<Vec<PieceIndex>>,
    pub(crate) early: Early,
    /// It chokes us.
    pub(crate) choking: bool,
    /// It wants something of us.
    pub(crate) interested: bool,
    /// We choke it.
    pub(crate) choked: bool,
    /// When that last changed.
    pub(crate) choke_changed: Duration,
    /// Bytes given since we unchoked it.
    pub(crate) turn_bytes: u64,
    /// We want something of it and said so.
    pub(crate) interesting: bool,
    /// It downloads nothing (BEP 21).
    pub(crate) upload_only: bool,
    pub(crate) since: Duration,
    pub(crate) last_received: Duration,
    pub(crate) last_sent: Duration,
    /// When a payload byte last went either way, or it was interesting.
    pub(crate) last_useful: Duration,
    pub(crate) pipeline: Pipeline,
    pub(crate) down: Meter,
    pub(crate) up_meter: Meter,
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    /// Bytes of blocks that were not asked for.
    pub(crate) unasked: u64,
    /// A piece it contributed to was right.
    pub(crate) proven: bool,
    /// Blocks it sent before it was proven, and how many it may.
    pub(crate) unproven_blocks: usize,
    pub(crate) trust_blocks: usize,
    /// It is asked for nothing before: somebody else's verdict decides on it.
    pub(crate) suspended_until: Option<Duration>,
    /// Since when it has used up `trust_blocks`.
    pub(crate) trust_used_up: Option<Duration>,
    /// The rate the picker was last told.
    pub(crate) told_rate: u64,
    /// Pieces it serves while it chokes us (BEP 6).
    pub(crate) allowed_in: Vec<PieceIndex>,
    /// Pieces we serve it while we choke it.
    pub(crate) allowed_out: Vec<PieceIndex>,
    pub(crate) uploads: Uploads,
    /// Blocks of metadata we gave it.
    pub(crate) metadata_given: u64,
    pub(crate) outbox: Vec<Message>,
}

impl Peer {
    fn new(now: Duration, kind: Kind, addr: Option<SocketAddr>, source: Option<Source>) -> Self {
        let hello = Hello {
            peer_id: [0; 20],
            fast: false,
            extended: false,
            dht: false,
            encrypted: false,
            utp: false,
        };
        let mut down = Meter::new(RATE_WINDOW);
        down.restart(now);
        Self {
            key: PeerKey(0),
            kind,
            up: false,
            addr,
            listens: addr.filter(|_| kind == Kind::Outgoing),
            source,
            hello,
            client: None,
            speaks: Speaks::default(),
            untold: Some(Vec::new()),
            early: Early::default(),
            choking: true,
            interested: false,
            choked: true,
            choke_changed: now,
            turn_bytes: 0,
            interesting: false,
            upload_only: false,
            since: now,
            last_received: now,
            last_sent: now,
            last_useful: now,
            pipeline: Pipeline::new(now),
            up_meter: down.clone(),
            down,
            downloaded: 0,
            uploaded: 0,
            unasked: 0,
            proven: false,
            unproven_blocks: 0,
            trust_blocks: 0,
            trust_used_up: None,
            suspended_until: None,
            told_rate: 0,
            allowed_in: Vec::new(),
            allowed_out: Vec::new(),
            uploads: Uploads::new(),
            metadata_given: 0,
            outbox: Vec::new(),
        }
    }

    /// Whether others' verdict is waited for.
    pub(crate) fn is_suspended(&self, now: Duration) -> bool {
        self.suspended_until.is_some_and(|until| now < until)
    }

    pub(crate) fn is_web(&self) -> bool {
        self.kind == Kind::Web
    }

    /// A connection that speaks the peer protocol and is through its handshake.
    pub(crate) fn is_up(&self) -> bool {
        self.up && self.kind != Kind::Web
    }
}

#[derive(Debug, Default)]
struct Slot {
    uses: u32,
    peer: Option<Box<Peer>>,
}

/// The table of connections.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    slots: Vec<Slot>,
    free: Vec<usize>,
    attempts: usize,
    connected: usize,
}

fn slot_of(key: PeerKey) -> usize {
    key.0 as usize & (PEERS_MAX - 1)
}

impl Peers {
    /// A new connection or attempt; `None` when the table is full.
    pub(crate) fn insert(
        &mut self,
        now: Duration,
        kind: Kind,
        addr: Option<SocketAddr>,
        source: Option<Source>,
    ) -> Option<PeerKey> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < PEERS_MAX => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
            None => return None,
        };
        let entry = &mut self.slots[slot];
        entry.uses = entry.uses.wrapping_add(1);
        let key = PeerKey((entry.uses << SLOT_BITS) | u32::try_from(slot).ok()?);
        let mut peer = Peer::new(now, kind, addr, source);
        peer.key = key;
        entry.peer = Some(Box::new(peer));
        if kind != Kind::Web {
            self.attempts += 1;
        }
        Some(key)
    }

    /// The handshake of `key` is through.
    pub(crate) fn set_up(&mut self, key: PeerKey) {
        if let Some(peer) = self.get_mut(key)
            && !peer.up
        {
            peer.up = true;
            if !peer.is_web() {
                self.attempts -= 1;
                self.connected += 1;
            }
        }
    }

    pub(crate) fn remove(&mut self, key: PeerKey) -> Option<Box<Peer>> {
        self.get(key)?;
        let peer = self.slots[slot_of(key)].peer.take()?;
        if !peer.is_web() {
            if peer.up {
                self.connected -= 1;
            } else {
                self.attempts -= 1;
            }
        }
        self.free.push(slot_of(key));
        Some(peer)
    }

    pub(crate) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.slots.get(slot_of(key))?.peer.as_deref().filter(|peer| peer.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.slots.get_mut(slot_of(key))?.peer.as_deref_mut().filter(|peer| peer.key == key)
    }

    /// Every connection and attempt, in a fixed order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> + '_ {
        self.slots.iter().filter_map(|slot| slot.peer.as_deref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> + '_ {
        self.slots.iter_mut().filter_map(|slot| slot.peer.as_deref_mut())
    }

    pub(crate) fn keys(&self) -> Vec<PeerKey> {
        self.iter().map(|peer| peer.key).collect()
    }

    /// Attempts under way.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts
    }

    /// Connections, web seeds not counted.
    pub(crate) fn connected(&self) -> usize {
        self.connected
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }
}
