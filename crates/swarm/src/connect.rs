//! Who is met and who is dropped: dialling, accepting, limits, bans, the first words, the end.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use metainfo::Bitfield;
use peer_wire::{Message, allowed_fast, peer_priority};

use crate::{
    Hello, Limits, Output, PeerKey, Priority, Privacy, Reason, Source,
    candidates::{End, canonical},
    peers::{Kind, Peer, Peers},
    pex::Exchange,
    superseed::SuperSeed,
    torrent::{Phase, Torrent},
};

/// Pieces a peer may have of us while it is choked (BEP 6).
const ALLOWED_FAST: usize = 8;
/// Connections below which more are wished for.
const PEERS_WISHED: usize = 40;
/// Between the first two wishes for more; doubles while nobody new is heard of.
const WISH: Duration = Duration::from_secs(30);
/// The longest time between wishes.
const WISH_MAX: Duration = Duration::from_secs(900);
/// A connection younger than this is not given up for another.
const EVICTION_AGE: Duration = Duration::from_secs(20);
/// A connection over which nothing of use went for this long may be given up for another.
const USELESS: Duration = Duration::from_secs(60);
/// Two connections with one peer within this time were dialled from both ends at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Peers remembered that left while pieces they contributed to were undecided.
const DEPARTED_MAX: usize = 1_024;

impl Torrent {
    /// Whether nobody can give us anything we want. Who chose no file at all, or reads at present, may want something the
    /// next moment.
    pub(crate) fn needs_nothing(&self) -> bool {
        self.content.as_ref().is_some_and(|content| {
            content.picker.progress().is_finished()
                && !content.picker.urgent()
                && (content.picker.have().is_full() || self.readers.is_empty() && !self.waits_for_readers())
        })
    }

    /// Whether no piece is wanted but what readers ask for.
    fn waits_for_readers(&self) -> bool {
        let pieces = self.content.as_ref().map_or(0, |content| content.layout.pieces());
        self.wanted.last().is_some_and(|(range, _)| range.end >= pieces)
            && self.wanted.iter().all(|(_, priority)| *priority == Priority::Skip)
    }

    /// Whether somebody watches whom nobody serves any more that served us: they are tried again soon.
    fn is_forsaken(&self, now: Duration) -> bool {
        self.candidates.may_hurry()
            && self.is_watched(now)
            && self.content.as_ref().is_some_and(|content| content.picker.urgent())
            && !self.peers.iter().any(|peer| peer.up && peer.interesting && !peer.choking)
    }

    /// How early `addr` is dialled among equals (BEP 40).
    pub(crate) fn dial_priority(&self, addr: SocketAddr) -> u32 {
        let port = self.config.listen_port.unwrap_or(0);
        let same = |ip: &&IpAddr| ip.is_ipv4() == canonical(addr).is_ipv4();
        let ours = self.config.external.iter().find(same).copied();
        let ours = ours.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        peer_priority(SocketAddr::new(ours, port), addr)
    }

    /// Dials as many as limits and candidates allow.
    pub(crate) fn dial(&mut self, now: Duration) {
        if self.phase != Phase::Running || !self.may_connect {
            return;
        }
        let done = self.needs_nothing();
        let hurry = self.is_forsaken(now);
        while self.peers.attempts() < self.config.limits.half_open_max
            && self.peers.connected() + self.peers.attempts() < self.config.limits.connections_max
        {
            let Some((addr, source)) = self.candidates.next(now, !done, hurry) else {
                let few = self.peers.connected() + self.peers.attempts()
                    < PEERS_WISHED.min(self.config.limits.connections_max);
                if few && !done && now >= self.next_wish {
                    let wait = WISH.saturating_mul(1 << self.wishes.min(16)).min(WISH_MAX);
                    self.next_wish = now + wait;
                    self.wishes = self.wishes.saturating_add(1);
                    self.outputs.push_back(Output::PeersWanted);
                }
                return;
            };
            let Some(peer) = self.peers.insert(now, Kind::Outgoing, Some(addr), Some(source)) else { return };
            self.candidates.take(addr, peer);
            self.outputs.push_back(Output::Connect { peer, addr });
            self.tick_by(now + Duration::from_secs(1));
        }
    }

    /// When [`dial`](Self::dial) may do something, for the shell's timer.
    pub(crate) fn dial_due(&self, now: Duration) -> Option<Duration> {
        let full = self.peers.attempts() >= self.config.limits.half_open_max
            || self.peers.connected() + self.peers.attempts() >= self.config.limits.connections_max;
        if self.phase != Phase::Running || !self.may_connect || full {
            return None;
        }
        let done = self.needs_nothing();
        let few = self.peers.connected() + self.peers.attempts()
            < PEERS_WISHED.min(self.config.limits.connections_max);
        let wish = (few && !done).then_some(self.next_wish);
        self.candidates.next_ready(now, !done, self.is_forsaken(now)).into_iter().chain(wish).min()
    }

    pub(crate) fn try_accept(
        &mut self,
        now: Duration,
        addr: SocketAddr,
        hello: Hello,
    ) -> Result<PeerKey, Reason> {
        if self.phase != Phase::Running {
            return Err(Reason::Stopped);
        }
        if self.candidates.is_banned(addr.ip()) || self.candidates.is_banned_id(hello.peer_id) {
            return Err(Reason::Banned);
        }
        self.stranger(now, addr, &hello, Kind::Incoming)?;
        if self.peers.connected() >= self.config.limits.connections_max {
            let worst = self.worst(now).ok_or(Reason::Limit)?;
            self.disconnect(now, worst, Reason::Limit, End::Served);
        }
        let key = self.peers.insert(now, Kind::Incoming, Some(canonical(addr)), None).ok_or(Reason::Limit)?;
        self.introduce(now, key, hello);
        Ok(key)
    }

    /// Not ourselves, and nobody who is here already. When both ends dial at once, both keep the connection that the end with
    /// the greater peer id dialled.
    fn stranger(&mut self, now: Duration, addr: SocketAddr, hello: &Hello, kind: Kind) -> Result<(), Reason> {
        if hello.peer_id == self.config.peer_id {
            return Err(Reason::Ourselves);
        }
        let ip = canonical(addr).ip();
        let same = |peer: &&Peer| {
            peer.is_up()
                && peer.hello.peer_id == hello.peer_id
                && peer.addr.is_some_and(|addr| addr.ip() == ip)
        };
        let Some(known) = self.peers.iter().find(same) else { return Ok(()) };
        let kept = if self.config.peer_id > hello.peer_id { Kind::Outgoing } else { Kind::Incoming };
        let at_once = now.saturating_sub(known.since) < AT_ONCE;
        if known.kind == kind || kind != kept || !at_once {
            return Err(Reason::Duplicate);
        }
        let key = known.key;
        self.disconnect(now, key, Reason::Duplicate, End::Served);
        Ok(())
    }

    pub(crate) fn connected(&mut self, now: Duration, key: PeerKey, hello: Hello) {
        let Some(addr) = self.peers.get(key).filter(|peer| !peer.up).and_then(|peer| peer.addr) else {
            return;
        };
        if self.candidates.is_banned_id(hello.peer_id) {
            return self.disconnect(now, key, Reason::Banned, End::Hostile);
        }
        match self.stranger(now, addr, &hello, Kind::Outgoing) {
            Err(Reason::Ourselves) => self.disconnect(now, key, Reason::Ourselves, End::Hostile),
            Err(reason) => self.disconnect(now, key, reason, End::Failed),
            Ok(()) => {
                self.candidates.answered(addr);
                self.introduce(now, key, hello);
            }
        }
    }

    /// The handshake is through: what we say first.
    fn introduce(&mut self, now: Duration, key: PeerKey, hello: Hello) {
        self.tell_news(now);
        self.peers.set_up(key);
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.hello = hello;
        peer.since = now;
        peer.last_received = now;
        peer.last_useful = now;
        let ip = peer.addr.map(|addr| addr.ip());
        if let Some(content) = &mut self.content {
            content.picker.peer_joined(key, &piece_picker::Availability::None);
            let have = content.picker.have();
            let hides = self.super_seed.is_some();
            let say = if hides || have.count() == 0 {
                hello.fast.then_some(Message::HaveNone)
            } else if have.is_full() && hello.fast {
                Some(Message::HaveAll)
            } else {
                Some(Message::Bitfield(have.as_bytes().to_vec().into()))
            };
            if let Some(say) = say {
                self.send(now, key, say);
            }
        } else if hello.fast {
            self.send(now, key, Message::HaveNone);
        }
        if hello.extended {
            let ours = self.our_extended(key);
            self.send(now, key, Message::ExtendedHandshake(Box::new(ours)));
        }
        if let Some(port) = self.config.dht_port
            && hello.dht
            && self.config.privacy == Privacy::Public
        {
            self.send(now, key, Message::Port(port));
        }
        if let (Some(ip), true) = (ip, hello.fast) {
            self.allow_fast(now, key, ip);
        }
        if let Some(seed) = &mut self.super_seed {
            seed.joined(key);
            self.offer(now, key);
        }
        self.tick_by(now + Duration::from_secs(1));
    }

    fn allow_fast(&mut self, now: Duration, key: PeerKey, ip: IpAddr) {
        let Some(content) = &self.content else { return };
        if self.super_seed.is_some() || !self.upload {
            return;
        }
        let set = allowed_fast(&self.config.info_hash, ip, content.layout.pieces(), ALLOWED_FAST);
        let pieces: Vec<_> = set
            .into_iter()
            .filter_map(|number| content.layout.piece(number))
            .filter(|piece| content.picker.have().has(*piece))
            .collect();
        for piece in &pieces {
            self.send(now, key, Message::AllowedFast(piece.0));
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.allowed_out = pieces;
        }
    }

    pub(crate) fn disconnected(&mut self, now: Duration, key: PeerKey, misbehaved: bool) {
        let end = match self.peers.get(key) {
            _ if misbehaved => End::Hostile,
            Some(peer) if peer.up && (peer.downloaded > 0 || peer.uploaded > 0) => End::Served,
            _ => End::Failed,
        };
        self.forget(now, key, end);
    }

    /// Ends a connection.
    pub(crate) fn disconnect(&mut self, now: Duration, key: PeerKey, reason: Reason, end: End) {
        if self.peers.get(key).is_some() {
            self.outputs.push_back(Output::Disconnect { peer: key, reason });
            self.forget(now, key, end);
        }
    }

    /// A peer broke the rules: it is dropped and not dialled again.
    pub(crate) fn drop_hostile(&mut self, now: Duration, key: PeerKey, what: &'static str) {
        self.disconnect(now, key, Reason::Protocol(what), End::Hostile);
    }

    fn forget(&mut self, now: Duration, key: PeerKey, end: End) {
        let Some(peer) = self.peers.remove(key) else { return };
        if let Some(content) = &mut self.content {
            self.refill_all |= content.picker.in_flight(key) > 0;
            content.picker.peer_left(key, now);
        }
        self.fetch.left(key);
        if let Some(exchange) = &mut self.exchange {
            exchange.left(key);
        }
        if let Some(seed) = &mut self.super_seed {
            seed.left(key);
        }
        if let Some(addr) = peer.addr
            && peer.downloaded > 0
        {
            self.departed.insert(key, addr.ip());
            if self.departed.len() > DEPARTED_MAX {
                self.departed.pop_first();
            }
        }
        if let Some(addr) = peer.listens {
            if peer.downloaded > 0 {
                self.candidates.served(addr);
            }
            self.candidates.ended(now, addr, key, end);
        }
        if peer.interested && !peer.choked {
            self.fill_slots(now);
        }
    }

    /// Never again this peer's address. An address of this machine stands for many peers, and only this one is meant.
    pub(crate) fn ban(&mut self, now: Duration, key: PeerKey) {
        let Some(ip) = self.ip_of(key) else {
            // A web seed: whoever feeds it is told by the end of the connection.
            return self.disconnect(now, key, Reason::Banned, End::Hostile);
        };
        if ip.is_loopback() {
            if let Some(peer) = self.peers.get(key) {
                self.candidates.ban_id(peer.hello.peer_id);
            }
            return self.disconnect(now, key, Reason::Banned, End::Hostile);
        }
        if self.candidates.ban(ip) {
            self.outputs.push_back(Output::Banned { ip });
        }
        let same = |peer: &Peer| peer.addr.is_some_and(|addr| addr.ip() == ip);
        for key in self.keys_where(same) {
            self.disconnect(now, key, Reason::Banned, End::Hostile);
        }
    }

    /// The connection that is of least use, if one may be given up.
    fn worst(&self, now: Duration) -> Option<PeerKey> {
        let busy = |peer: &Peer| peer.interesting && !peer.choking || peer.interested && !peer.choked;
        self.peers
            .iter()
            .filter(|peer| peer.is_up() && now.saturating_sub(peer.since) > EVICTION_AGE)
            .filter(|peer| !busy(peer) || now.saturating_sub(peer.last_useful) > USELESS)
            .min_by_key(|peer| {
                (peer.interesting, peer.interested, peer.downloaded + peer.uploaded, peer.last_useful)
            })
            .map(|peer| peer.key)
    }

    pub(crate) fn set_limits(&mut self, now: Duration, limits: Limits) {
        self.config.limits = limits.within_table();
        while self.peers.connected() > limits.connections_max {
            let value = |peer: &&Peer| (peer.interesting, peer.interested, peer.downloaded + peer.uploaded);
            let worst = self.peers.iter().filter(|peer| peer.is_up()).min_by_key(value).map(|peer| peer.key);
            let Some(worst) = worst else { break };
            self.disconnect(now, worst, Reason::Limit, End::Served);
        }
        self.choke_round(now);
    }

    /// Both ends have no use for each other.
    pub(crate) fn drop_if_useless(&mut self, now: Duration, key: PeerKey) -> bool {
        let Some(content) = &self.content else { return false };
        let Some(peer) = self.peers.get(key).filter(|peer| peer.is_up()) else { return false };
        let whole = content.picker.peer_pieces(key) == content.layout.pieces();
        if !(whole || peer.upload_only && !peer.interested) || !self.needs_nothing() {
            return false;
        }
        self.disconnect(now, key, Reason::BothSeeds, End::Useless);
        true
    }

    /// The metadata says so, or the user: whoever was found by other means than trackers goes.
    pub(crate) fn become_private(&mut self, now: Duration) {
        self.config.privacy = Privacy::Private;
        self.exchange = None;
        let foreign = |source: Source| matches!(source, Source::Pex | Source::Dht | Source::Lsd);
        self.candidates.forget_sources(foreign);
        for key in self.keys_where(|peer| peer.source.is_some_and(foreign)) {
            self.disconnect(now, key, Reason::Stopped, End::Hostile);
        }
        for key in self.keys_where(|peer| peer.is_up() && peer.hello.extended) {
            let ours = self.our_extended(key);
            self.send(now, key, Message::ExtendedHandshake(Box::new(ours)));
        }
    }

    pub(crate) fn become_public(&mut self) {
        self.config.privacy = Privacy::Public;
        self.exchange = Exchange::for_torrent(&self.config);
    }

    /// Drops everybody.
    pub(crate) fn stop(&mut self, now: Duration, phase: Phase) {
        self.phase = phase;
        for key in self.peers.keys() {
            if self.peers.get(key).is_some_and(|peer| !peer.is_web()) {
                self.disconnect(now, key, Reason::Stopped, End::Ours);
            } else if let Some(content) = &mut self.content {
                content.picker.snubbed(key, now);
            }
        }
        self.news.clear();
        self.news_due = None;
    }

    pub(crate) fn resume(&mut self, now: Duration) {
        if self.phase != Phase::Running {
            self.phase = Phase::Running;
            self.next_wish = now;
            self.wishes = 0;
            self.refill_all = true;
        }
    }

    pub(crate) fn rechecked(&mut self, now: Duration, have: Bitfield) {
        let phase = self.phase.clone();
        let webs = self.keys_where(Peer::is_web);
        self.stop(now, Phase::Paused);
        self.phase = phase;
        self.renew_picker(now, have, &webs);
        if let Some(content) = &mut self.content {
            content.downloaded = false;
            content.finished = false;
        }
        self.candidates.revive(now);
        self.refill_all = true;
    }

    /// Begins anew with what is verified: blocks of other pieces are gone.
    pub(crate) fn renew_picker(&mut self, now: Duration, have: Bitfield, webs: &[PeerKey]) {
        let seed = self.rng.next();
        let demands = self.readers.demands(now);
        let Some(content) = &mut self.content else { return };
        let mut picker = piece_picker::Picker::new(content.layout, have, seed);
        picker.set_sequential(self.sequential);
        for (reader, demand) in demands {
            picker.reader_opened(reader, demand, now);
        }
        for key in webs {
            picker.peer_joined(*key, &piece_picker::Availability::All);
        }
        content.picker = picker;
        self.blame.clear();
        self.hurried.clear();
        self.apply_wanted();
    }

    pub(crate) fn set_super_seeding(&mut self, now: Duration, on: bool) {
        self.config.super_seeding = on;
        self.update_super_seed(now);
    }

    /// Begins or ends super seeding where that is due: a seed only.
    pub(crate) fn update_super_seed(&mut self, now: Duration) {
        let due = self.config.super_seeding && self.is_seed();
        if due == self.super_seed.is_some() {
            return;
        }
        let Some(content) = &self.content else { return };
        self.super_seed = due.then(|| SuperSeed::new(&content.layout, self.rng.next()));
        // Who was told what we have cannot be told that we have it not, and the other way round a whole bitfield is too late:
        // they are met again.
        for key in self.keys_where(Peer::is_up) {
            self.disconnect(now, key, Reason::Stopped, End::Ours);
        }
    }

    /// Whether there is nobody to wait for.
    pub(crate) fn is_alone(&self) -> bool {
        Peers::is_empty(&self.peers)
    }
}
