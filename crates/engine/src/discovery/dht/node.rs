//! One node of the DHT as a value (BEP 5, 32): datagrams and time in, datagrams and peers out.
//!
//! Call `handle_datagram` for each datagram and `handle_timeout` when [`Node::next_timeout`] has come, then drain
//! [`Node::poll_datagram`] and [`Node::poll_found`]. Which torrents are searched for, and when again, is decided in `task`.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use metainfo::InfoHash;

use seeded::Rng;

use super::{
    krpc::{self, Answer, Body, Family, METHOD_UNKNOWN, Message, NodeId, PROTOCOL_ERROR, Query},
    lookup::Lookup,
    store::Store,
    table::{K, Table},
};

/// A question without an answer for so long failed.
const ANSWER_WAIT: Duration = Duration::from_secs(6);

/// Questions on their way, at most.
const QUESTIONS_MAX: usize = 1_024;

/// Searches at once; others wait for their turn.
const LOOKUPS_MAX: usize = 16;

/// Answers a second, and the burst: more are not given, so that nobody uses us against others.
const ANSWERS_PER_SECOND: u32 = 200;

/// Datagrams that wait to be sent, at most; further ones are dropped, as the network would.
const DATAGRAMS_MAX: usize = 1_024;

/// How often the table is looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(10);

/// How often a search for fresh nodes is made (BEP 5: a bucket that did not change for 15 minutes).
const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);

/// While nobody is known, how often those who might be are asked.
const JOIN_EVERY: Duration = Duration::from_secs(5);

/// Addresses to enter by, at most.
const ENTRIES_MAX: usize = 64;

/// Peers handed out in one answer: what fits a datagram that is not cut.
const PEERS_PER_ANSWER: usize = 40;

/// What a question was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Ping,
    Lookup(u32),
    Announce,
}

#[derive(Debug)]
struct Pending {
    id: Option<NodeId>,
    purpose: Purpose,
}

#[derive(Debug)]
struct Search {
    lookup: Lookup,
    /// Peers are asked for, not only nodes; with the port to announce.
    peers: Option<(InfoHash, Option<u16>)>,
}

/// What a node found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Peers(InfoHash, Vec<SocketAddr>),
    /// The search is over; whether anybody answered.
    Done(InfoHash, bool),
}

/// A node of one family.
#[derive(Debug)]
pub(super) struct Node {
    id: NodeId,
    family: Family,
    random: Rng,
    table: Table,
    store: Store,
    pending: HashMap<(SocketAddr, u16), Pending>,
    /// The same in the order they were asked, since all wait equally long.
    expiring: VecDeque<(Duration, (SocketAddr, u16))>,
    searches: HashMap<u32, Search>,
    waiting: VecDeque<Search>,
    searches_begun: u32,
    /// Where the DHT is entered while the table is empty.
    entries: VecDeque<SocketAddr>,
    next_upkeep: Duration,
    next_refresh: Duration,
    answers_left: u32,
    answers_since: Duration,
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    found: VecDeque<Found>,
}

impl Node {
    /// A node that knows nobody.
    pub(super) fn new(id: NodeId, family: Family, seed: u64, now: Duration) -> Self {
        let mut random = Rng::new(seed);
        Self {
            id,
            family,
            table: Table::new(id),
            store: Store::new(random.next(), now),
            random,
            pending: HashMap::new(),
            expiring: VecDeque::new(),
            searches: HashMap::new(),
            waiting: VecDeque::new(),
            searches_begun: 0,
            entries: VecDeque::new(),
            next_upkeep: now,
            next_refresh: now,
            answers_left: ANSWERS_PER_SECOND,
            answers_since: now,
            datagrams: VecDeque::new(),
            found: VecDeque::new(),
        }
    }

    /// Nodes in the table.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The nodes of the table, for the file that keeps them.
    pub(super) fn nodes(&self) -> Vec<(NodeId, SocketAddr)> {
        self.table.iter().map(|entry| (entry.id, entry.addr)).collect()
    }

    /// Somebody who might be a node: from a file, a torrent, a peer, or a name that everybody knows.
    pub(super) fn add_entry(&mut self, addr: SocketAddr, now: Duration) {
        if Family::of(&addr) != self.family || !krpc::is_usable(&addr) || self.entries.contains(&addr) {
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(addr);
        // One that comes when nobody is known is asked at once.
        if self.table.len() < K {
            self.ask(addr, None, Query::FindNode { target: self.id }, Purpose::Ping, now);
        }
    }

    /// Searches for peers of a torrent, and announces us to the nodes nearest to it, if there is a port.
    pub(super) fn search(&mut self, info_hash: InfoHash, announce: Option<u16>, now: Duration) {
        let wanted = |search: &Search| search.peers.is_some_and(|(hash, _)| hash == info_hash);
        if self.searches.values().any(wanted) || self.waiting.iter().any(wanted) {
            return;
        }
        let known = self.store.peers(&NodeId(info_hash.0), PEERS_PER_ANSWER, &mut self.random);
        if !known.is_empty() {
            self.found.push_back(Found::Peers(info_hash, known));
        }
        let lookup = Lookup::new(NodeId(info_hash.0));
        self.waiting.push_back(Search { lookup, peers: Some((info_hash, announce)) });
        self.begin(now);
    }

    /// Ends the search for a torrent.
    pub(super) fn forget(&mut self, info_hash: InfoHash) {
        let other = |search: &Search| search.peers.is_none_or(|(hash, _)| hash != info_hash);
        self.waiting.retain(other);
        self.searches.retain(|_, search| other(search));
    }

    /// The next datagram to send.
    pub(super) fn poll_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.datagrams.pop_front()
    }

    /// The next thing found.
    pub(super) fn poll_found(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn next_timeout(&self, now: Duration) -> Duration {
        let lookups = self.searches.values().filter_map(|search| search.lookup.next_timeout(now));
        let expiring = self.expiring.front().map(|(at, _)| *at);
        lookups.chain(expiring).fold(self.next_upkeep, Duration::min)
    }

    /// Lets time have passed.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        while let Some((at, key)) = self.expiring.front().copied()
            && at <= now
        {
            self.expiring.pop_front();
            if let Some(pending) = self.pending.remove(&key) {
                if let Some(id) = pending.id {
                    self.table.failed(&key.0, &id);
                }
                self.settle(pending.purpose, |lookup| lookup.failed(&key.0));
            }
        }
        if self.next_upkeep <= now {
            self.upkeep(now);
        }
        self.advance(now);
    }

    fn upkeep(&mut self, now: Duration) {
        self.store.tick(now);
        self.next_upkeep = now + UPKEEP_EVERY;
        if self.table.len() < K {
            // Alone: those who might be nodes are asked for more.
            self.next_upkeep = now + JOIN_EVERY;
            for addr in self.entries.clone() {
                self.ask(addr, None, Query::FindNode { target: self.id }, Purpose::Ping, now);
            }
        }
        for (id, addr) in self.table.questionable(now, K) {
            self.ask(addr, Some(id), Query::Ping, Purpose::Ping, now);
        }
        if self.next_refresh <= now && self.table.len() > 0 {
            self.next_refresh = now + REFRESH_EVERY;
            // Ourselves, so that our neighbours are known, and anywhere, so that the rest is.
            for target in [self.id, NodeId(self.random.bytes())] {
                self.waiting.push_front(Search { lookup: Lookup::new(target), peers: None });
            }
            self.begin(now);
        }
    }

    /// Begins searches while there is room for them and somebody to ask.
    fn begin(&mut self, now: Duration) {
        while self.searches.len() < LOOKUPS_MAX && self.table.len() > 0 {
            let Some(mut search) = self.waiting.pop_front() else { break };
            for (id, addr) in self.table.nearest(&search.lookup.target, 2 * K) {
                search.lookup.add(Some(id), addr);
            }
            self.searches_begun = self.searches_begun.wrapping_add(1);
            self.searches.insert(self.searches_begun, search);
        }
        self.advance(now);
    }

    /// Asks whom the searches want asked; ends those that are done.
    fn advance(&mut self, now: Duration) {
        let keys: Vec<u32> = self.searches.keys().copied().collect();
        let mut ended = false;
        for key in keys {
            while let Some(search) = self.searches.get_mut(&key)
                && let Some((id, addr)) = search.lookup.next(now)
            {
                let target = search.lookup.target;
                let query = match search.peers {
                    Some(_) => Query::GetPeers { info_hash: target },
                    None => Query::FindNode { target },
                };
                if !self.ask(addr, id, query, Purpose::Lookup(key), now) {
                    self.settle(Purpose::Lookup(key), |lookup| lookup.failed(&addr));
                }
            }
            if self.searches.get(&key).is_some_and(|search| search.lookup.is_done())
                && let Some(search) = self.searches.remove(&key)
            {
                ended = true;
                self.end(&search, now);
            }
        }
        if ended && !self.waiting.is_empty() {
            self.begin(now);
        }
    }

    fn end(&mut self, search: &Search, now: Duration) {
        let Some((info_hash, announce)) = search.peers else { return };
        if let Some(port) = announce {
            for (id, addr, token) in search.lookup.tokens() {
                let (info_hash, token) = (search.lookup.target, token.to_vec());
                let query = Query::AnnouncePeer { info_hash, port: Some(port), token };
                self.ask(addr, Some(id), query, Purpose::Announce, now);
            }
        }
        self.found.push_back(Found::Done(info_hash, search.lookup.has_answers()));
    }

    /// Sends a question; whether it could be sent.
    fn ask(
        &mut self,
        addr: SocketAddr,
        id: Option<NodeId>,
        query: Query,
        purpose: Purpose,
        now: Duration,
    ) -> bool {
        if self.pending.len() >= QUESTIONS_MAX || self.datagrams.len() >= DATAGRAMS_MAX {
            return false;
        }
        let [high, low, ..] = self.random.next().to_be_bytes();
        let transaction = u16::from_be_bytes([high, low]);
        let key = (addr, transaction);
        if self.pending.contains_key(&key) {
            return false;
        }
        self.pending.insert(key, Pending { id, purpose });
        self.expiring.push_back((now + ANSWER_WAIT, key));
        let datagram = krpc::write_query(&transaction.to_be_bytes(), &self.id, &query, self.family);
        self.datagrams.push_back((addr, datagram));
        true
    }

    fn settle(&mut self, purpose: Purpose, change: impl FnOnce(&mut Lookup)) {
        if let Purpose::Lookup(key) = purpose
            && let Some(search) = self.searches.get_mut(&key)
        {
            change(&mut search.lookup);
        }
    }

    /// Takes a datagram.
    pub(super) fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Duration) {
        let Some(message) = krpc::read(datagram, self.family) else { return };
        match message.body {
            Body::Query { id, ref query, read_only } => {
                self.answer(from, id, query, &message.transaction, read_only, now);
            }
            Body::Answer { id, ref answer } => self.answered(from, &message, id, answer, now),
            Body::Error { .. } => {
                if let Some(pending) = self.take(from, &message) {
                    self.settle(pending.purpose, |lookup| lookup.failed(&from));
                    self.advance(now);
                }
            }
        }
    }

    /// The question that a message answers.
    fn take(&mut self, from: SocketAddr, message: &Message) -> Option<Pending> {
        let transaction = message.transaction.as_slice().try_into().ok().map(u16::from_be_bytes)?;
        self.pending.remove(&(from, transaction))
    }

    fn answered(&mut self, from: SocketAddr, message: &Message, id: NodeId, answer: &Answer, now: Duration) {
        let Some(pending) = self.take(from, message) else { return };
        if id == self.id {
            return;
        }
        match pending.id {
            // Somebody else lives there now.
            Some(expected) if expected != id => self.table.failed(&from, &expected),
            _ => self.table.answered(id, from, now),
        }
        match pending.purpose {
            Purpose::Lookup(key) => {
                if let Some(search) = self.searches.get_mut(&key) {
                    search.lookup.answered(id, from, answer.token.clone());
                    for (id, addr) in &answer.nodes {
                        if *id != self.id && Family::of(addr) == self.family {
                            search.lookup.add(Some(*id), *addr);
                        }
                    }
                    if let Some((info_hash, _)) = search.peers
                        && !answer.peers.is_empty()
                    {
                        self.found.push_back(Found::Peers(info_hash, answer.peers.clone()));
                    }
                }
            }
            // An entry named nodes: whoever fits is asked, until the table has a few.
            Purpose::Ping => {
                for (id, addr) in answer.nodes.iter().take(K) {
                    if self.table.len() < 2 * K && self.table.has_room_for(id, addr) {
                        self.ask(*addr, Some(*id), Query::Ping, Purpose::Ping, now);
                    }
                }
            }
            Purpose::Announce => {}
        }
        if self.next_refresh <= now {
            self.next_upkeep = now;
        }
        self.begin(now);
    }

    fn answer(
        &mut self,
        from: SocketAddr,
        id: NodeId,
        query: &Query,
        transaction: &[u8],
        read_only: bool,
        now: Duration,
    ) {
        if now.saturating_sub(self.answers_since) >= Duration::from_secs(1) {
            (self.answers_since, self.answers_left) = (now, ANSWERS_PER_SECOND);
        }
        if self.answers_left == 0 || self.datagrams.len() >= DATAGRAMS_MAX || !krpc::is_usable(&from) {
            return;
        }
        self.answers_left -= 1;
        let nodes = |table: &Table, target: &NodeId| {
            let mut nodes = table.nearest(target, K + 1);
            // Whoever asks knows itself.
            nodes.retain(|(_, addr)| *addr != from);
            nodes.truncate(K);
            nodes
        };
        let outcome = match query {
            Query::Ping => Ok(Answer::default()),
            Query::FindNode { target } | Query::Other { target: Some(target) } => {
                Ok(Answer { nodes: nodes(&self.table, target), ..Answer::default() })
            }
            Query::GetPeers { info_hash } => Ok(Answer {
                nodes: nodes(&self.table, info_hash),
                peers: self.store.peers(info_hash, PEERS_PER_ANSWER, &mut self.random),
                token: Some(self.store.token(from.ip())),
            }),
            Query::AnnouncePeer { info_hash, port, token } => {
                if self.store.is_token(from.ip(), token) {
                    let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                    self.store.add(*info_hash, peer, now);
                    // It may be a torrent of ours.
                    self.found.push_back(Found::Peers(InfoHash(info_hash.0), vec![peer]));
                    Ok(Answer::default())
                } else {
                    Err((PROTOCOL_ERROR, "token is not ours, or too old"))
                }
            }
            Query::Other { target: None } => Err((METHOD_UNKNOWN, "method is not known")),
        };
        let datagram = match outcome {
            Ok(answer) => krpc::write_answer(transaction, &self.id, &answer, self.family, &from),
            Err((code, text)) => krpc::write_error(transaction, code, text),
        };
        self.datagrams.push_back((from, datagram));
        // Whoever asks may be worth knowing; an answer of its own proves that it can be reached.
        if !read_only && self.pending.len() < QUESTIONS_MAX / 2 && self.table.has_room_for(&id, &from) {
            let known = self.pending.iter().any(|((addr, _), _)| *addr == from);
            if !known {
                self.ask(from, Some(id), Query::Ping, Purpose::Ping, now);
            }
        }
    }
}
