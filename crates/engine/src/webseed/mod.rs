//! Web seeds (BEP 19): an HTTP server as a peer that has everything and answers requests with ranges of files.
//!
//! The torrent asks it for blocks as it asks any peer; [`queue`] joins those that follow each other, [`fetch`] gets them from where
//! [`paths`] says. Two lines at a time, so that the server's thinking on one is hidden by the other. A server that fails is left alone
//! for longer and longer; a file it has not got is given back for good; whose bytes are wrong, the torrent drops by ending its
//! commands. Every connection is the egress'.

mod fetch;
mod paths;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use metainfo::{Bitfield, Block, FileIndex, Info, Metainfo, PieceIndex};
use peer_wire::{Message, RawBlock};
use swarm::PeerKey;
use tokio::{sync::Notify, time::Instant};

use self::{
    fetch::{Fault, Line},
    paths::Places,
    queue::{Queue, Run},
};
use crate::{
    egress::Egress,
    peer::{Commands, PeerCommand, PeerContext, PeerEvent},
};

/// After a first failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// After many, and at most when the server says when.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// What is left of a run that nobody wants any more is read to its end when it is no more than this: cheaper than another connection.
const DRAINED_BYTES_MAX: u64 = 128 << 10;

/// Messages told at a time about a file that is missing.
const TOLD_MAX: usize = 1_024;

/// Answers the torrent's requests from `url` until it fails for good or the torrent drops it.
pub(crate) async fn run(
    peer: PeerKey,
    url: String,
    metainfo: Arc<Metainfo>,
    context: Arc<PeerContext>,
    mut commands: Commands,
) {
    if let Some(places) = Places::new(&url, metainfo.info()) {
        let seed = WebSeed::new(context.core.egress.clone(), metainfo, places);
        seed.serve(&mut commands, &Torrent { peer, context: context.clone() }).await;
    } else {
        tracing::debug!("a web seed that is not one of HTTP");
    }
    context.tell(peer, PeerEvent::Closed { misbehaved: false }).await;
}

/// Who asks: a torrent's task, or a test.
trait Asker: Sync {
    /// Gives it messages; whether it is still there.
    fn tell(&self, messages: Vec<Message>) -> impl Future<Output = bool> + Send;

    /// Waits until there is room for so many bytes more.
    fn allow(&self, bytes: usize) -> impl Future<Output = ()> + Send;
}

struct Torrent {
    peer: PeerKey,
    context: Arc<PeerContext>,
}

impl Asker for Torrent {
    async fn tell(&self, messages: Vec<Message>) -> bool {
        self.context.tell(self.peer, PeerEvent::Progress { messages, sent: 0 }).await
    }

    /// As the limits and the disk have it.
    async fn allow(&self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            match self.context.down.take(left) {
                Ok(granted) => left -= granted.min(left),
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
        let storage = &self.context.core.storage;
        while !storage.has_room() {
            storage.room().await;
        }
    }
}

/// What the lines to one server share.
struct WebSeed {
    egress: Arc<Egress>,
    metainfo: Arc<Metainfo>,
    places: Places,
    state: Mutex<State>,
    /// Something waits to be fetched.
    work: Notify,
}

struct State {
    queue: Queue,
    failures: u32,
    /// Nothing is asked before this.
    pause: Option<Instant>,
    /// Pieces that touch a file that is not there.
    lost: Bitfield,
}

impl WebSeed {
    fn new(egress: Arc<Egress>, metainfo: Arc<Metainfo>, places: Places) -> Self {
        let layout = metainfo.info().layout();
        let queue = Queue::new(layout);
        let state = State { queue, failures: 0, pause: None, lost: Bitfield::none(layout.pieces()) };
        Self { egress, metainfo, places, state: Mutex::new(state), work: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn info(&self) -> &Info {
        self.metainfo.info()
    }

    /// Answers requests until there are no more, or no use in going on.
    async fn serve(&self, commands: &mut Commands, asker: &impl Asker) {
        let ended = tokio::select! {
            () = self.take(commands, asker) => "dropped by the torrent",
            reason = self.line(asker) => reason,
            reason = self.line(asker) => reason,
        };
        tracing::debug!(host = self.places.host(), ended, "web seed ended");
    }

    /// Takes the torrent's requests until it has no more.
    async fn take(&self, commands: &mut Commands, asker: &impl Asker) {
        while let Some(command) = commands.recv().await {
            let PeerCommand::Send(messages) = command else { continue };
            let mut refused = Vec::new();
            {
                let mut state = self.state();
                for message in messages {
                    match message {
                        Message::Request(asked) if !state.queue.push(asked) => {
                            refused.push(Message::Reject(asked))
                        }
                        Message::Cancel(asked) => state.queue.cancel(asked),
                        _ => {}
                    }
                }
            }
            self.work.notify_one();
            if !refused.is_empty() && !asker.tell(refused).await {
                return;
            }
        }
    }

    /// Fetches run after run; ends with the reason why there is no use in going on.
    async fn line(&self, asker: &impl Asker) -> &'static str {
        let mut line = Line::default();
        loop {
            let mut run = self.next_run().await;
            let fetched = self.fetch(&mut line, &mut run, asker).await;
            let Err(fault) = fetched else {
                self.state().failures = 0;
                continue;
            };
            line.hang_up();
            let (what, file) = match fault {
                Failed::Gone => return "the torrent is gone",
                Failed::Fault(fault, file) => (fault, file),
            };
            tracing::debug!(host = self.places.host(), error = %what, "web seed");
            self.state().queue.give_back(run);
            self.work.notify_one();
            match what {
                Fault::Hopeless(reason) => return reason,
                Fault::Passing { retry_after, .. } => self.pause(retry_after),
                Fault::Missing(_) => {
                    if !self.missing(file, asker).await {
                        return "it has no file of the torrent";
                    }
                }
            }
        }
    }

    /// The next run, once there is one and the server is to be asked again.
    async fn next_run(&self) -> Run {
        loop {
            let pause = self.state().pause;
            if let Some(until) = pause.filter(|until| *until > Instant::now()) {
                tokio::time::sleep_until(until).await;
                continue;
            }
            let (run, more) = {
                let mut state = self.state();
                (state.queue.take(), !state.queue.is_empty())
            };
            match run {
                Some(run) => {
                    if more {
                        self.work.notify_one();
                    }
                    return run;
                }
                None => self.work.notified().await,
            }
        }
    }

    fn pause(&self, retry_after: Option<Duration>) {
        let mut state = self.state();
        let doubled = PAUSE_MIN.saturating_mul(1_u32.checked_shl(state.failures).unwrap_or(u32::MAX));
        state.failures = (state.failures + 1).min(16);
        state.pause = Some(Instant::now() + doubled.max(retry_after.unwrap_or_default()).min(PAUSE_MAX));
    }

    /// A file is not there: what touches it is given back. Whether other pieces are there.
    async fn missing(&self, file: FileIndex, asker: &impl Asker) -> bool {
        let Some(range) = self.info().files().get(file).map(metainfo::File::range) else { return false };
        let layout = self.info().layout();
        let (dropped, others) = {
            let mut state = self.state();
            for piece in layout.pieces_of(range.clone()) {
                state.lost.insert(PieceIndex(piece));
            }
            (state.queue.drop_within(&range), !state.lost.is_full())
        };
        let mut messages = layout
            .pieces_of(range)
            .map(Message::DontHave)
            .chain(dropped.into_iter().map(|block| Message::Reject(raw(&block))));
        loop {
            let batch: Vec<Message> = messages.by_ref().take(TOLD_MAX).collect();
            if batch.is_empty() {
                return others;
            }
            if !asker.tell(batch).await {
                return false;
            }
        }
    }

    /// Fetches a run, block by block off its front; what is left of it did not come.
    async fn fetch(&self, line: &mut Line, run: &mut Run, asker: &impl Asker) -> Result<(), Failed> {
        let mut cut = Cut::default();
        for slice in self.info().files().slices(run.start..run.end()) {
            let Some(file) = self.info().files().get(slice.file) else { break };
            let mut left = slice.range.end - slice.range.start;
            if file.is_pad() {
                while left > 0 {
                    let zeros = left.min(ZEROS.len() as u64);
                    left -= zeros;
                    cut.push(Bytes::from_static(&ZEROS[..usize::try_from(zeros).unwrap_or(0)]));
                    self.deliver(&mut cut, run, asker).await?;
                }
                continue;
            }
            let failed = |fault| Failed::Fault(fault, slice.file);
            let url = self.places.file(self.info(), slice.file);
            let url = url.ok_or_else(|| failed(Fault::Missing("an address that cannot be".into())))?;
            let asked = line.ask(&self.egress, (slice.file, &url), slice.range.clone(), file.length());
            let mut stream = asked.await.map_err(failed)?;
            while let Some(bytes) = stream.next(line).await.map_err(failed)? {
                left -= bytes.len() as u64;
                asker.allow(bytes.len()).await;
                cut.push(bytes);
                self.deliver(&mut cut, run, asker).await?;
                if left > DRAINED_BYTES_MAX && !self.state().queue.wants(run) {
                    line.hang_up();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Gives the torrent the blocks that are whole.
    async fn deliver(&self, cut: &mut Cut, run: &mut Run, asker: &impl Asker) -> Result<(), Failed> {
        let mut messages = Vec::new();
        {
            let mut state = self.state();
            while let Some(block) = run.blocks.front().copied()
                && let Some(data) = cut.take(block.length as usize)
            {
                run.blocks.pop_front();
                run.start += u64::from(block.length);
                if state.queue.came(&block) {
                    messages.push(Message::Piece { piece: block.piece.0, begin: block.begin, data });
                }
            }
        }
        if messages.is_empty() || asker.tell(messages).await { Ok(()) } else { Err(Failed::Gone) }
    }
}

/// Why a run did not come.
enum Failed {
    /// The torrent is not there any more.
    Gone,
    /// Of this file.
    Fault(Fault, FileIndex),
}

static ZEROS: [u8; 16 << 10] = [0; 16 << 10];

fn raw(block: &Block) -> RawBlock {
    RawBlock { piece: block.piece.0, begin: block.begin, length: block.length }
}

/// Bytes as they came, to be cut into blocks: a block that lies within what came at once is not copied.
#[derive(Debug, Default)]
struct Cut {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Cut {
    fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.parts.push_back(bytes);
    }

    /// The next `length` bytes, when they are there.
    fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.length < length {
            return None;
        }
        self.length -= length;
        let whole = self.parts.front().is_some_and(|first| first.len() >= length);
        if whole {
            return self.part(length);
        }
        let mut block = BytesMut::with_capacity(length);
        while block.len() < length {
            let part = self.part(length - block.len())?;
            block.extend_from_slice(&part);
        }
        Some(block.freeze())
    }

    /// Up to `length` bytes of what came at once.
    fn part(&mut self, length: usize) -> Option<Bytes> {
        let first = self.parts.front_mut()?;
        let part = first.split_to(first.len().min(length));
        if first.is_empty() {
            self.parts.pop_front();
        }
        Some(part)
    }
}
