//! What reaches a torrent's task. Storage's results have a queue of their own, bounded by what was asked of storage.

use std::net::SocketAddr;

use metainfo::{Bitfield, FileIndex};
use storage::{StorageError, Store};
use swarm::PeerKey;
use tokio::sync::{mpsc, oneshot};

use crate::{
    EngineError, Limits, PeerInfo, Pieces, Priority, SeedGoal, TrackerInfo,
    peer::{PeerEvent, incoming::Incoming},
    trackers,
};

/// Messages that wait for a torrent's task. Each may hold a batch of blocks, so there are few.
pub(crate) const INBOX_MAX: usize = 16;

pub(crate) type InboxSender = mpsc::Sender<Inbox>;

/// Something for a torrent's task.
pub(crate) enum Inbox {
    /// From a connection's task.
    Peer(PeerKey, PeerEvent),
    /// Somebody connected.
    Incoming(Box<Incoming>),
    /// Addresses of peers.
    Found { source: swarm::Source, addrs: Vec<SocketAddr> },
    /// From a tracker.
    Tracker(Box<trackers::Reply>),
    /// The files were opened.
    Opened(Box<Result<Opened, StorageError>>),
    /// The files were checked.
    Checked(Result<Bitfield, StorageError>),
    /// From a handle.
    Command(Box<Command>),
}

/// What opening the files gave.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) have: Bitfield,
    /// Whether pieces have to be hashed before they are trusted.
    pub(crate) doubtful: bool,
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

/// What handles ask for.
pub(crate) enum Command {
    Pause(Answer<()>),
    Resume(Answer<()>),
    Recheck(Answer<()>),
    Reannounce(Answer<()>),
    /// The way out is open again or another; `broken` if connections made before lead nowhere, or where they no longer may.
    WayChanged {
        broken: bool,
        done: Answer<()>,
    },
    SetFiles(Vec<(FileIndex, Priority)>, Answer<()>),
    SetLimits(Limits, Answer<()>),
    SetSeedGoal(Option<SeedGoal>, Answer<()>),
    SetSequential(bool, Answer<()>),
    AddPeers(Vec<SocketAddr>, Answer<()>),
    AddTrackers(Vec<String>, Answer<()>),
    Peers(Answer<Vec<PeerInfo>>),
    Trackers(Answer<Vec<TrackerInfo>>),
    Pieces(Answer<Pieces>),
    /// Ends the task: trackers are told, resume data is written, with `remove` the files go.
    Stop {
        remove: bool,
        forget: bool,
        done: Answer<()>,
    },
}
