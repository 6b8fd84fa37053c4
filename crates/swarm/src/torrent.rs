//! The torrent value: takes an [`Input`], asks the module that knows, collects [`Output`]s. Dispatches; does not think.
//!
//! Its methods by concern: `connect` (who is met and who is dropped), `receive` (messages), `fetch` (requests, blocks, pieces,
//! readers), `serve` (choking, requests of others, haves), `exchange` (metadata, peers), `timers`, `report`.

use core::net::{IpAddr, SocketAddr};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use metainfo::{Bitfield, BlockIndex, InfoHash, PieceIndex, PieceLayout};
use peer_wire::{Message, MetadataMessage};
use piece_picker::{Picker, Priority};

use seeded::Rng;

use crate::{
    Config, Counters, Hello, Info, Input, Output, PeerKey, Privacy, ReadBlock, Reason, Source, Stored,
    WriteBlock,
    blame::Blame,
    candidates::Candidates,
    choker::Choker,
    metadata::Fetch,
    peers::{Kind, Peer, Peers},
    pex::Exchange,
    rate::Meter,
    readers::Readers,
    superseed::SuperSeed,
};

/// Over how long the torrent's rates are measured.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Pipelines stay short for so long after a reader closed: a player that seeks closes one request and opens the next, and
/// what was asked for in between would have to come first.
pub(crate) const REWATCH: Duration = Duration::from_secs(5);

/// What the torrent knows once its info dictionary is there.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) layout: PieceLayout,
    pub(crate) metadata: Bytes,
    pub(crate) picker: Picker,
    /// Something was downloaded since it is there.
    pub(crate) downloaded: bool,
    /// [`Output::Finished`] was given and nothing wanted has become missing since.
    pub(crate) finished: bool,
    /// What peers were told of us taking anything (BEP 21).
    pub(crate) upload_only: bool,
}

/// Whether the torrent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    Paused,
    Failed,
}

/// One torrent.
///
/// Calling order: [`handle`](Self::handle) (or [`accept`](Self::accept), [`add_web_seed`](Self::add_web_seed)) with the
/// time since the engine's start, then [`poll_output`](Self::poll_output) until it gives `None`, then wait for the next
/// input or [`next_timeout`](Self::next_timeout), whichever is first. Time never goes back.
///
/// Peers are known by keys. The torrent makes them: in [`Output::Connect`], [`accept`](Self::accept) and
/// [`add_web_seed`](Self::add_web_seed). Inputs for a key that has ended are ignored, so that nothing is lost or wrong
/// when a connection's last messages cross an [`Output::Disconnect`].
#[derive(Debug)]
pub struct Torrent {
    pub(crate) config: Config,
    pub(crate) phase: Phase,
    pub(crate) content: Option<Content>,
    pub(crate) wanted: Vec<(std::ops::Range<u32>, Priority)>,
    pub(crate) sequential: bool,
    pub(crate) upload: bool,
    pub(crate) may_connect: bool,
    pub(crate) peers: Peers,
    pub(crate) candidates: Candidates,
    pub(crate) choker: Choker,
    pub(crate) fetch: Fetch,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) readers: Readers,
    /// The last reader closed so recently that another one is likely: see [`REWATCH`].
    pub(crate) watched_until: Duration,
    pub(crate) blame: Blame,
    /// Suspect pieces that are fetched before others, and how much they were wanted before.
    pub(crate) hurried: BTreeMap<PieceIndex, Priority>,
    /// Addresses of peers that left while pieces they contributed to are undecided.
    pub(crate) departed: BTreeMap<PeerKey, IpAddr>,
    pub(crate) super_seed: Option<SuperSeed>,
    pub(crate) rng: Rng,
    pub(crate) counters: Counters,
    pub(crate) down: Meter,
    pub(crate) up: Meter,
    /// Verified pieces that others have not been told of, and when they are.
    pub(crate) news: Vec<PieceIndex>,
    pub(crate) news_due: Option<Duration>,
    pub(crate) next_tick: Option<Duration>,
    pub(crate) next_wish: Duration,
    /// Wishes for more peers since one was heard of.
    pub(crate) wishes: u32,
    /// Peers to offer requests to before this input is done with.
    pub(crate) refill: Vec<PeerKey>,
    pub(crate) refill_all: bool,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) writes: Vec<WriteBlock>,
    pub(crate) reads: Vec<ReadBlock>,
    pub(crate) verified: Vec<PieceIndex>,
    /// Peers whose outbox has something.
    pub(crate) dirty: VecDeque<PeerKey>,
    /// Peers that have requests of ours under way, as of the last tick.
    pub(crate) uploading: usize,
    /// The time of the last input.
    pub(crate) now: Duration,
    /// Kept for its memory.
    pub(crate) picked: Vec<BlockIndex>,
    pub(crate) cancels: Vec<(PeerKey, BlockIndex)>,
}

impl Torrent {
    /// A torrent without peers. A magnet waits for metadata from peers; otherwise [`Input::Info`] comes first.
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        config.limits = config.limits.within_table();
        let mut rng = Rng::new(config.seed);
        Self {
            phase: Phase::Running,
            content: None,
            wanted: Vec::new(),
            sequential: false,
            upload: true,
            may_connect: true,
            peers: Peers::default(),
            candidates: Candidates::default(),
            choker: Choker::default(),
            fetch: Fetch::new(config.info_hash),
            exchange: Exchange::for_torrent(&config),
            readers: Readers::default(),
            watched_until: Duration::ZERO,
            blame: Blame::new(rng.next()),
            hurried: BTreeMap::new(),
            departed: BTreeMap::new(),
            super_seed: None,
            rng,
            counters: Counters::default(),
            down: Meter::new(RATE_WINDOW),
            up: Meter::new(RATE_WINDOW),
            news: Vec::new(),
            news_due: None,
            next_tick: None,
            next_wish: Duration::ZERO,
            wishes: 0,
            refill: Vec::new(),
            refill_all: false,
            outputs: VecDeque::new(),
            writes: Vec::new(),
            reads: Vec::new(),
            verified: Vec::new(),
            dirty: VecDeque::new(),
            uploading: 0,
            now: Duration::ZERO,
            picked: Vec::new(),
            cancels: Vec::new(),
            config,
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Duration, input: Input) {
        match input {
            Input::Candidates { source, addrs } => self.add_candidates(source, &addrs),
            Input::Connected { peer, hello } => self.connected(now, peer, hello),
            Input::Disconnected { peer, misbehaved } => self.disconnected(now, peer, misbehaved),
            Input::Messages { peer, batch } => self.messages(now, peer, batch),
            Input::Sent { peer, bytes } => self.sent(now, peer, bytes),
            Input::Stored(results) => {
                for stored in results {
                    match stored {
                        Stored::Verified(piece) => self.piece_verified(now, piece),
                        Stored::Corrupt(piece) => self.piece_corrupt(now, piece),
                        Stored::Lost(piece) => self.piece_lost(now, piece),
                        Stored::Failed { reason } => self.storage_failed(now, reason),
                    }
                }
            }
            Input::BlocksRead(blocks) => self.blocks_read(now, blocks),
            Input::Info(info) => self.begin(now, *info),
            Input::Rechecked(have) => self.rechecked(now, have),
            Input::Restored(pieces) => {
                if let Some(content) = &mut self.content {
                    for (piece, blocks) in &pieces {
                        content.picker.restored(*piece, blocks);
                    }
                }
            }
            Input::ReaderOpened { reader, at } => self.reader_opened(now, reader, at),
            Input::ReaderMoved { reader, at } => self.reader_moved(now, reader, at),
            Input::ReaderClosed { reader } => self.reader_closed(now, reader),
            Input::Wanted(wanted) => self.set_wanted(wanted),
            Input::Sequential(sequential) => {
                self.sequential = sequential;
                if let Some(content) = &mut self.content {
                    content.picker.set_sequential(sequential);
                }
            }
            Input::Pause => self.stop(now, Phase::Paused),
            Input::Resume => self.resume(now),
            Input::Limits(limits) => self.set_limits(now, limits),
            Input::SuperSeeding(on) => self.set_super_seeding(now, on),
            Input::Upload(on) => self.set_upload(now, on),
            Input::MayConnect(may) => self.may_connect = may,
            Input::Timeout => {}
        }
        self.settle(now);
    }

    /// Takes a connection that came in and whose handshake names this torrent.
    ///
    /// # Errors
    /// Why it is refused; the shell closes it.
    pub fn accept(&mut self, now: Duration, addr: SocketAddr, hello: Hello) -> Result<PeerKey, Reason> {
        let accepted = self.try_accept(now, addr, hello);
        self.settle(now);
        accepted
    }

    /// Takes a web seed (BEP 19): a peer without an address that has every piece and unchokes us. It is sent `Request`
    /// and `Cancel` only and answers with `Piece`, `Reject` or, of pieces that it turns out not to have, `DontHave`; when it fails for good it is [`Input::Disconnected`].
    /// `None` when there is no room, which takes thousands of peers, or the info dictionary is not known.
    pub fn add_web_seed(&mut self, now: Duration) -> Option<PeerKey> {
        let key = self.insert_web_seed(now);
        self.settle(now);
        key
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        while let Some(peer) = self.dirty.pop_front() {
            if let Some(entry) = self.peers.get_mut(peer)
                && !entry.outbox.is_empty()
            {
                return Some(Output::Send { peer, messages: std::mem::take(&mut entry.outbox) });
            }
        }
        if !self.writes.is_empty() {
            return Some(Output::Write(std::mem::take(&mut self.writes)));
        }
        if !self.reads.is_empty() {
            return Some(Output::Read(std::mem::take(&mut self.reads)));
        }
        if !self.verified.is_empty() {
            return Some(Output::PiecesVerified(std::mem::take(&mut self.verified)));
        }
        None
    }

    /// Which torrent this is.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.config.info_hash
    }

    /// The pieces that are verified; `None` before the info dictionary is known.
    #[must_use]
    pub fn have(&self) -> Option<&Bitfield> {
        self.content.as_ref().map(|content| content.picker.have())
    }

    /// The pieces of which some blocks are here or asked for, and that are not verified; in order.
    pub fn begun(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.content.iter().flat_map(|content| content.picker.begun())
    }

    /// Whether the torrent is private, as far as is known (BEP 27).
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.config.privacy == Privacy::Private
    }

    /// Whether every wanted piece is here.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.picker.progress().is_finished())
    }

    /// Whether every piece is here.
    #[must_use]
    pub fn is_seed(&self) -> bool {
        self.have().is_some_and(Bitfield::is_full)
    }

    /// Puts a message in the peer's outbox.
    pub(crate) fn send(&mut self, now: Duration, peer: PeerKey, message: Message) {
        if let Some(entry) = self.peers.get_mut(peer) {
            if entry.outbox.is_empty() {
                self.dirty.push_back(peer);
            }
            entry.last_sent = now;
            entry.outbox.push(message);
        }
    }

    /// Who somebody is, by address, gone or not.
    pub(crate) fn ip_of(&self, peer: PeerKey) -> Option<IpAddr> {
        let present = self.peers.get(peer).and_then(|entry| entry.addr).map(|addr| addr.ip());
        present.or_else(|| self.departed.get(&peer).copied())
    }

    fn messages(&mut self, now: Duration, peer: PeerKey, batch: Vec<Message>) {
        let Some(entry) = self.peers.get_mut(peer).filter(|entry| entry.up) else { return };
        entry.last_received = now;
        let web = entry.is_web();
        let mut bytes = 0;
        for message in batch {
            if let Message::Piece { piece, begin, data } = message {
                bytes += data.len() as u64;
                self.block(now, peer, piece, begin, data);
            } else if !web || matches!(message, Message::Reject(_) | Message::DontHave(_)) {
                self.message(now, peer, message);
            }
            if self.peers.get(peer).is_none() {
                return;
            }
        }
        if bytes > 0 {
            self.blocks_came(now, peer, bytes);
        }
        self.refill.push(peer);
    }

    fn message(&mut self, now: Duration, peer: PeerKey, message: Message) {
        match message {
            Message::KeepAlive | Message::SuggestPiece(_) | Message::UnknownExtended(_) => {}
            Message::Choke => self.they_choke(now, peer),
            Message::Unchoke => self.they_unchoke(peer),
            Message::Interested => self.they_are_interested(now, peer, true),
            Message::NotInterested => self.they_are_interested(now, peer, false),
            Message::Have(piece) => self.they_have(now, peer, piece),
            Message::Bitfield(bits) => self.their_bitfield(now, peer, bits),
            Message::HaveAll => self.they_have_all(now, peer),
            Message::HaveNone => {}
            Message::DontHave(piece) => self.they_lost(peer, piece),
            Message::Request(raw) => self.requested(now, peer, raw),
            Message::Cancel(raw) => self.cancelled(now, peer, raw),
            Message::Reject(raw) => self.rejected(now, peer, raw),
            Message::AllowedFast(piece) => self.they_allow(peer, piece),
            Message::Port(port) => self.their_dht_port(peer, port),
            Message::ExtendedHandshake(theirs) => self.extended(now, peer, *theirs),
            Message::UploadOnly(only) => self.they_only_upload(now, peer, only),
            Message::Pex(pex) => self.peers_exchanged(now, peer, &pex),
            Message::Metadata(MetadataMessage::Request { piece }) => {
                self.metadata_requested(now, peer, piece)
            }
            Message::Metadata(MetadataMessage::Data { piece, total, data }) => {
                self.metadata_came(now, peer, piece, total, &data);
            }
            Message::Metadata(MetadataMessage::Reject { .. }) => self.fetch.rejected(now, peer),
            Message::Piece { .. } => {}
        }
    }

    /// The info dictionary and the disk are known: the picker begins.
    fn begin(&mut self, now: Duration, info: Info) {
        if self.content.is_some() {
            return;
        }
        if info.private && self.config.privacy == Privacy::Public {
            self.become_private(now);
        } else if !info.private && self.config.privacy == Privacy::Private {
            self.become_public();
        }
        let mut picker = Picker::new(info.layout, info.have, self.rng.next());
        picker.set_sequential(self.sequential);
        self.readers.set_room(self.config.limits.window_bytes_max, info.layout.piece_length());
        for (reader, demand) in self.readers.demands(now) {
            picker.reader_opened(reader, demand, now);
        }
        self.content = Some(Content {
            layout: info.layout,
            metadata: info.metadata,
            picker,
            downloaded: false,
            finished: false,
            upload_only: false,
        });
        self.apply_wanted();
        self.content_known(now);
    }

    /// Everything that follows from what was handled: requests, cancels, dialling, what is due.
    fn settle(&mut self, now: Duration) {
        self.now = now;
        self.timers(now);
        self.send_cancels(now);
        self.refill(now);
        self.dial(now);
        self.check_finished(now);
        self.plan_tick(now);
    }

    /// Who everybody is that satisfies `which`.
    pub(crate) fn keys_where(&self, which: impl Fn(&Peer) -> bool) -> Vec<PeerKey> {
        self.peers.iter().filter(|peer| which(peer)).map(|peer| peer.key).collect()
    }

    /// Whether somebody watches, or did a moment ago: pipelines are short.
    pub(crate) fn is_watched(&self, now: Duration) -> bool {
        self.content.is_some() && (!self.readers.is_empty() || now < self.watched_until)
    }

    pub(crate) fn add_candidates(&mut self, source: Source, addrs: &[SocketAddr]) {
        let foreign = matches!(source, Source::Pex | Source::Dht | Source::Lsd);
        if self.config.privacy == Privacy::Private && foreign {
            return;
        }
        for addr in addrs {
            let priority = self.dial_priority(*addr);
            if self.candidates.add(*addr, source, priority) {
                self.wishes = 0;
            }
        }
    }

    fn insert_web_seed(&mut self, now: Duration) -> Option<PeerKey> {
        let content = self.content.as_mut()?;
        let key = self.peers.insert(now, Kind::Web, None, None)?;
        self.peers.set_up(key);
        content.picker.peer_joined(key, &piece_picker::Availability::All);
        if let Some(peer) = self.peers.get_mut(key) {
            (peer.choking, peer.interesting, peer.upload_only) = (false, true, true);
            peer.pipeline.set_reqq(1_024);
        }
        self.refill.push(key);
        Some(key)
    }
}
