//! A torrent's task: one loop that feeds what happens to the torrent's value and carries out what it decides. Idle, it waits
//! for one timer, if the value wants one.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, atomic::Ordering},
    time::{Duration, SystemTime},
};

use metainfo::Metainfo;
use storage::Store;
use swarm::{Input, PeerKey};
use tokio::sync::{mpsc, watch};

use super::{
    Plan, Shared,
    inbox::{Answer, INBOX_MAX, Inbox},
    readers::Readers,
    room,
    saved::Saved,
    watching::Watch,
};
use crate::{
    Event, Priority, Select, Snapshot, State,
    discovery::Finder,
    peer::{PeerCommand, PeerContext, PeerEvent},
    rate::{Bucket, Limiter},
    session::Core,
    trackers::{self, Trackers},
};

/// Messages taken from the inbox at a time.
const BATCH_MAX: usize = 8;

/// How often a torrent that changes is seen to.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(500);

/// How often the state of a torrent that changes is written.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// How often the seeding time of a torrent that nobody asks anything of is written.
const SAVE_SEEDING_EVERY: Duration = Duration::from_secs(3_600);

/// How often a torrent that the session's limit keeps from connecting looks for room.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(5);

/// Peers that trackers are asked for.
const PEERS_WANTED: u32 = 100;

/// How far a torrent is, pauses aside.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Its metadata is not here.
    Metadata,
    /// Its files are being opened.
    Opening,
    /// What is on disk is being hashed: pieces done, of all.
    Checking(u32, u32),
    /// Running.
    Ready,
    /// Stopped by an error.
    Failed(String),
}

/// Where peers may be looked for. A private torrent holds no means to look anywhere but at its trackers.
pub(super) enum Reach {
    /// Trackers only (BEP 27).
    Private,
    /// Everywhere.
    Public(Finder),
}

pub(super) struct Peer {
    pub(super) commands: mpsc::Sender<PeerCommand>,
    /// Counted among the session's connections.
    pub(super) counted: bool,
}

pub(super) struct Task {
    pub(super) core: Arc<Core>,
    pub(super) shared: Arc<Shared>,
    pub(super) context: Arc<PeerContext>,
    pub(super) inbox: mpsc::Receiver<Inbox>,
    pub(super) stored: mpsc::UnboundedReceiver<Vec<storage::Event>>,
    pub(super) stored_sender: mpsc::UnboundedSender<Vec<storage::Event>>,
    pub(super) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(super) swarm: swarm::Torrent,
    pub(super) peers: HashMap<PeerKey, Peer>,
    pub(super) web_seeds: Vec<PeerKey>,
    pub(super) reach: Reach,
    pub(super) trackers: Trackers,
    pub(super) saved: Saved,
    pub(super) name: Option<String>,
    pub(super) added: SystemTime,
    pub(super) metainfo: Option<Arc<Metainfo>>,
    pub(super) private: Option<bool>,
    pub(super) priorities: Vec<Priority>,
    pub(super) select: Option<Select>,
    pub(super) wanted: u64,
    pub(super) wanted_piece_bytes: u64,
    pub(super) store: Option<Store>,
    pub(super) phase: Phase,
    pub(super) recheck: bool,
    pub(super) checks_all: bool,
    pub(super) fetch_anew: bool,
    /// The swarm knows the metadata.
    pub(super) informed: bool,
    /// Wanted files that have not got their final name, and since when nothing else is missing.
    pub(super) unnamed: HashSet<metainfo::FileIndex>,
    pub(super) whole_since: Option<Duration>,
    /// Everything wanted came to be here since the last look.
    pub(super) finished: bool,
    /// The seeding goal is reached.
    pub(super) resting: bool,
    /// The user wants it seeded past its goal.
    pub(super) goal_ignored: bool,
    pub(super) seeding_since: Option<Duration>,
    pub(super) watch: Watch,
    /// Where readers' windows are, for a storage with little room.
    pub(super) windows: room::Windows,
    /// The session has no room for more connections; wait for some.
    pub(super) waits_for_room: bool,
    pub(super) down: Arc<Bucket>,
    pub(super) up: Arc<Bucket>,
    /// Reads asked of the disk, by token.
    pub(super) reads: HashMap<u64, swarm::ReadBlock>,
    pub(super) next_token: u64,
    pub(super) job: Option<tokio::task::AbortHandle>,
    /// What of this run's counters the session's totals hold.
    pub(super) counted: (u64, u64),
    /// What of this run's counters `saved` holds.
    pub(super) remembered: swarm::Counters,
    /// When the state was taken that was written last.
    pub(super) saving: Arc<Mutex<Duration>>,
    pub(super) changed: bool,
    pub(super) unsaved: bool,
    snapshot_at: Duration,
    pub(super) saved_at: Duration,
    pub(super) ending: Option<Answer<()>>,
    pub(super) ends_with: (bool, bool),
}

impl Task {
    pub(super) fn new(core: &Arc<Core>, plan: Plan) -> (Arc<Shared>, Self) {
        let (inbox_sender, inbox) = mpsc::channel(INBOX_MAX);
        let (stored_sender, stored) = mpsc::unbounded_channel();
        let down = Arc::new(Bucket::new(plan.saved.limits.download));
        let up = Arc::new(Bucket::new(plan.saved.limits.upload));
        let private = plan.private_until_known;
        let context = Arc::new(PeerContext {
            core: core.clone(),
            info_hash: plan.info_hash,
            reserved: peer_wire::Reserved::ours(core.discovery.has_dht() && !private),
            inbox: inbox_sender.clone(),
            down: Limiter::new(core.down.clone(), down.clone()),
            up: Limiter::new(core.up.clone(), up.clone()),
        });
        let config = swarm::Config {
            listen_port: core.listen_port,
            dht_port: core.discovery.dht_port(),
            client: crate::CLIENT.into(),
            privacy: if private { swarm::Privacy::Private } else { swarm::Privacy::Public },
            exchange: core.config.pex,
            limits: swarm::Limits {
                connections_max: core.config.peers_per_torrent_max,
                window_bytes_max: room::window_bytes_max(&core.config),
                ..swarm::Limits::default()
            },
            super_seeding: plan.saved.super_seed,
            ..swarm::Config::new(plan.info_hash, core.peer_id, crate::random::seed())
        };
        let reach = if private {
            Reach::Private
        } else {
            Reach::Public(core.discovery.finder(plan.info_hash, inbox_sender.clone()))
        };
        let mut trackers = Trackers::of(&context, &plan.saved.trackers, private);
        if plan.saved.owes_completed {
            trackers.completed();
        }
        let readers = Arc::new(Readers::new());
        let now = core.now();
        let mut swarm = swarm::Torrent::new(config);
        // With metadata it waits until it is known what is on disk: peers would be asked for what we have.
        if plan.saved.paused || plan.saved.idle || plan.metainfo.is_some() {
            swarm.handle(now, Input::Pause);
        }
        let mut peers = plan.peers;
        peers.extend(&plan.saved.peers);
        if !peers.is_empty() {
            swarm.handle(now, Input::Candidates { source: swarm::Source::User, addrs: peers });
        }
        let (snapshot, snapshots) =
            watch::channel(Arc::new(super::summary::empty(plan.info_hash, plan.added)));
        let shared = Arc::new(Shared {
            info_hash: plan.info_hash,
            inbox: inbox_sender,
            snapshot: snapshots,
            metainfo: OnceLock::new(),
            priorities: Mutex::new(Vec::new()),
            trackers: Mutex::new(plan.saved.trackers.clone()),
            readers,
            context: context.clone(),
        });
        let mut task = Self {
            core: core.clone(),
            shared: shared.clone(),
            context,
            inbox,
            stored,
            stored_sender,
            snapshot,
            swarm,
            peers: HashMap::new(),
            web_seeds: Vec::new(),
            reach,
            trackers,
            saved: plan.saved,
            name: plan.name,
            added: plan.added,
            metainfo: None,
            private: None,
            priorities: Vec::new(),
            select: plan.select,
            wanted: 0,
            wanted_piece_bytes: 0,
            store: None,
            phase: Phase::Metadata,
            recheck: plan.recheck,
            checks_all: false,
            fetch_anew: plan.fetch_anew,
            informed: false,
            unnamed: HashSet::new(),
            whole_since: None,
            finished: false,
            resting: false,
            goal_ignored: false,
            seeding_since: None,
            watch: Watch::new(now),
            windows: room::Windows::default(),
            waits_for_room: false,
            down,
            up,
            reads: HashMap::new(),
            next_token: 0,
            job: None,
            counted: (0, 0),
            remembered: swarm::Counters::default(),
            saving: Arc::new(Mutex::new(Duration::ZERO)),
            changed: true,
            unsaved: false,
            snapshot_at: Duration::ZERO,
            saved_at: now,
            ending: None,
            ends_with: (false, false),
        };
        if let Some(metainfo) = plan.metainfo {
            task.learn(metainfo);
        }
        // Handles see the torrent as it is from the first moment.
        task.publish(now);
        (shared, task)
    }

    /// Boxed: a future holds its arguments and what it awaits beside each other, and there are a thousand of it.
    pub(super) async fn run(mut self: Box<Self>, save: bool) {
        if save {
            self.unsaved = true;
            self.save_metainfo();
            self.save_now();
        }
        if !self.saved.paused && self.phase == Phase::Metadata {
            self.trackers.resume(self.core.now());
        }
        let core = self.core.clone();
        let readers = self.shared.readers.clone();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut stored = Vec::new();
        let sleep = tokio::time::sleep_until(core.instant(core.now()));
        tokio::pin!(sleep);
        while self.ending.is_none() {
            let now = core.now();
            self.carry_out(now);
            if self.knows_what_is_left() {
                let counters = self.counters(now);
                self.trackers.poll(now, &counters);
            }
            self.see_to(now);
            let deadline = self.deadline(now);
            if let Some(deadline) = deadline {
                let at = core.instant(deadline);
                if sleep.deadline() != at {
                    sleep.as_mut().reset(at);
                }
            }
            tokio::select! {
                biased;
                taken = self.stored.recv_many(&mut stored, BATCH_MAX) => {
                    debug_assert!(taken > 0, "the task holds a sender");
                    let now = core.now();
                    self.take_stored(now, stored.drain(..).flatten());
                }
                taken = self.inbox.recv_many(&mut batch, BATCH_MAX) => {
                    debug_assert!(taken > 0, "the task holds a sender");
                    let now = core.now();
                    for message in batch.drain(..) {
                        self.take(now, message);
                    }
                }
                () = readers.changed() => self.take_readers(core.now()),
                () = core.room.notified(), if self.waits_for_room => {
                    self.waits_for_room = false;
                    self.swarm.handle(core.now(), Input::MayConnect(true));
                }
                () = &mut sleep, if deadline.is_some() => {
                    let now = core.now();
                    if self.swarm.next_timeout().is_some_and(|due| due <= now) {
                        self.swarm.handle(now, Input::Timeout);
                    }
                }
            }
        }
        Box::pin(self.end()).await;
    }

    /// When the loop has something to do although nothing happens.
    fn deadline(&self, now: Duration) -> Option<Duration> {
        let announce = self.trackers.next_timeout(now).filter(|_| self.knows_what_is_left());
        // Word of room may cross the look for it.
        let room = self.waits_for_room.then_some(now + LOOK_FOR_ROOM);
        let mut due = [self.swarm.next_timeout(), announce, None, None, room, self.idle_due(now)];
        if self.changed {
            due[2] = Some(self.snapshot_at + SNAPSHOT_EVERY);
        }
        if self.unsaved {
            due[3] = Some(self.saved_at + SAVE_EVERY);
        } else if self.seeding_since.is_some() {
            let goal = self.goal_due(now).unwrap_or(Duration::MAX);
            due[3] = Some(goal.min(self.saved_at + SAVE_SEEDING_EVERY));
        }
        due.into_iter().flatten().min()
    }

    /// What is due by the clock: the snapshot, the goals, the saved state.
    fn see_to(&mut self, now: Duration) {
        if self.waits_for_room && self.core.has_room() {
            self.waits_for_room = false;
            self.swarm.handle(now, Input::MayConnect(true));
            self.carry_out(now);
        }
        if std::mem::take(&mut self.finished) || (self.changed && now >= self.snapshot_at + SNAPSHOT_EVERY) {
            self.publish(now);
        }
        let every = if self.unsaved { SAVE_EVERY } else { SAVE_SEEDING_EVERY };
        if (self.unsaved || self.seeding_since.is_some()) && now >= self.saved_at + every {
            self.remember(now);
            self.save_now();
        }
        if self.seeding_since.is_some() && self.goal_is_reached(now) {
            self.rest(now);
        }
        self.look_at_idle(now);
    }

    fn take(&mut self, now: Duration, message: Inbox) {
        match message {
            Inbox::Peer(peer, event) => self.take_peer(now, peer, event),
            Inbox::Incoming(incoming) => self.take_incoming(now, *incoming),
            Inbox::Found { source, addrs } => {
                self.swarm.handle(now, Input::Candidates { source, addrs });
                self.changed = true;
            }
            Inbox::Tracker(reply) => {
                let addrs = self.trackers.handle(now, *reply);
                if !addrs.is_empty() {
                    self.swarm.handle(now, Input::Candidates { source: swarm::Source::Tracker, addrs });
                }
                self.changed = true;
            }
            Inbox::Opened(opened) => self.take_opened(now, *opened),
            Inbox::Checked(checked) => self.take_checked(now, checked),
            Inbox::Command(command) => self.command(now, *command),
        }
    }

    fn take_peer(&mut self, now: Duration, peer: PeerKey, event: PeerEvent) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        self.changed = true;
        match event {
            PeerEvent::Progress { messages, sent } => {
                if sent > 0 {
                    self.swarm.handle(now, Input::Sent { peer, bytes: sent });
                    self.unsaved = true;
                }
                if !messages.is_empty() {
                    self.swarm.handle(now, Input::Messages { peer, batch: messages });
                }
            }
            PeerEvent::Connected(hello) => {
                known.counted = true;
                self.core.connection_opened();
                self.swarm.handle(now, Input::Connected { peer, hello: *hello });
            }
            PeerEvent::Closed { misbehaved } => {
                self.forget_peer(peer);
                self.swarm.handle(now, Input::Disconnected { peer, misbehaved });
            }
        }
    }

    /// Ends what is held of a connection; its task ends by it.
    pub(super) fn forget_peer(&mut self, peer: PeerKey) {
        if let Some(gone) = self.peers.remove(&peer) {
            if gone.counted {
                self.core.connection_closed();
            }
            self.web_seeds.retain(|seed| *seed != peer);
        }
    }

    fn take_incoming(&mut self, now: Duration, incoming: crate::peer::incoming::Incoming) {
        if !self.core.has_room() || self.is_at_rest() {
            return;
        }
        match self.swarm.accept(now, incoming.addr, incoming.hello) {
            Ok(peer) => {
                let pieces = self.metainfo.as_ref().map(|metainfo| metainfo.info().layout().pieces());
                self.peers.insert(peer, Peer { commands: incoming.commands, counted: true });
                self.core.connection_opened();
                // A task that is gone already is noticed when something is sent to it.
                if incoming.taken.send((peer, pieces)).is_err() {
                    self.forget_peer(peer);
                    self.swarm.handle(now, Input::Disconnected { peer, misbehaved: false });
                }
                self.changed = true;
            }
            Err(reason) => tracing::debug!(addr = %incoming.addr, %reason, "incoming connection refused"),
        }
    }

    fn take_readers(&mut self, now: Duration) {
        if self.resting && !self.swarm.is_seed() && self.shared.readers().open_count() > 0 {
            self.resting = false;
            self.go_on(now);
        }
        let changes = self.shared.readers.take_changes();
        if changes.values().any(|change| change.at.is_some()) {
            self.wake_from_idle(now);
        }
        for (reader, change) in changes {
            match (change.opened, change.at, change.closed) {
                (true, Some(at), _) => self.swarm.handle(now, Input::ReaderOpened { reader, at }),
                (_, _, true) => self.swarm.handle(now, Input::ReaderClosed { reader }),
                (false, Some(at), false) => self.swarm.handle(now, Input::ReaderMoved { reader, at }),
                _ => {}
            }
        }
        self.move_windows();
        self.changed = true;
    }

    /// Paused, idle, failed, or through with its goal.
    pub(super) fn is_at_rest(&self) -> bool {
        self.saved.paused || self.saved.idle || self.resting || matches!(self.phase, Phase::Failed(_))
    }

    pub(super) fn state(&self) -> State {
        match &self.phase {
            Phase::Failed(_) => State::Failed,
            Phase::Opening | Phase::Checking(..) => State::Checking,
            _ if self.saved.paused => State::Paused,
            Phase::Metadata => State::Metadata,
            Phase::Ready if self.saved.idle => State::Idle,
            Phase::Ready if self.resting => State::Finished,
            Phase::Ready if !self.swarm.is_finished() || !self.unnamed.is_empty() => State::Downloading,
            Phase::Ready if self.wanted == 0 && !self.has_any() => State::Idle,
            Phase::Ready => State::Seeding,
        }
    }

    fn has_any(&self) -> bool {
        self.swarm.have().is_some_and(|have| have.count() > 0)
    }

    /// Makes a snapshot now, and says what is new in it.
    pub(super) fn publish(&mut self, now: Duration) {
        self.look_at_names(now);
        self.look_at_watched(now);
        let state = self.state();
        // Of what nobody wants there is nothing to seed: it is a reader's that are here.
        match (state == State::Seeding && self.wanted > 0, self.seeding_since) {
            (true, None) => self.seeding_since = Some(now),
            (false, Some(since)) => {
                self.saved.seeding_time += now.saturating_sub(since).as_secs_f64();
                self.seeding_since = None;
            }
            _ => {}
        }
        let stats = self.swarm.stats(now);
        let counters = stats.counters;
        self.core.downloaded.fetch_add(counters.downloaded.saturating_sub(self.counted.0), Ordering::Relaxed);
        self.core.uploaded.fetch_add(counters.uploaded.saturating_sub(self.counted.1), Ordering::Relaxed);
        self.counted = (counters.downloaded, counters.uploaded);
        let mut snapshot = self.summarize(now, state, &stats);
        snapshot.playback = self.playback(now, state, &stats);
        // Rates fall and waits grow without anything happening: look again until they are down.
        let waits = snapshot.playback.as_ref().is_some_and(|playback| !playback.readers.is_empty());
        self.changed =
            snapshot.download_rate > 0 || snapshot.upload_rate > 0 || self.whole_since.is_some() || waits;
        self.snapshot_at = now;
        let before = self.snapshot.borrow().clone();
        if *before == snapshot {
            return;
        }
        let (info_hash, reason) = (snapshot.info_hash, snapshot.reason.clone());
        self.snapshot.send_replace(Arc::new(snapshot));
        if before.state != state {
            tracing::info!(%info_hash, ?state, "torrent");
            self.core.tell(Event::State { info_hash, state, reason });
        }
    }

    pub(super) fn touch(&mut self) {
        self.changed = true;
        self.unsaved = true;
    }

    /// A tracker is told how much is left: not before what is on disk was looked at. Of a magnet nobody knows.
    fn knows_what_is_left(&self) -> bool {
        self.informed || self.ending.is_some() || matches!(self.phase, Phase::Metadata | Phase::Failed(_))
    }

    fn counters(&self, now: Duration) -> trackers::Counters {
        // Only worth making when an announce is due.
        if self.trackers.next_timeout(now).is_none_or(|due| due > now) {
            return trackers::Counters::default();
        }
        let stats = self.swarm.stats(now);
        let seeking = !self.swarm.is_finished() && self.ending.is_none();
        trackers::Counters {
            uploaded: stats.counters.uploaded,
            downloaded: stats.counters.downloaded,
            left: stats.left,
            peers_wanted: if seeking && !self.is_at_rest() { PEERS_WANTED } else { 0 },
        }
    }

    /// This run's counters and those of all before.
    pub(super) fn totals(&self, counters: &swarm::Counters) -> swarm::Counters {
        let (saved, before) = (&self.saved, &self.remembered);
        swarm::Counters {
            uploaded: saved.uploaded + counters.uploaded.saturating_sub(before.uploaded),
            downloaded: saved.downloaded + counters.downloaded.saturating_sub(before.downloaded),
            wasted: saved.wasted + counters.wasted.saturating_sub(before.wasted),
            corrupt: saved.corrupt + counters.corrupt.saturating_sub(before.corrupt),
        }
    }
}
