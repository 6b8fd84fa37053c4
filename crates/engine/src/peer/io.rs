//! Moves a connection's bytes: large reads into batches of messages, batches of messages into vectored writes. One poll
//! does all three of taking commands, writing and reading, so nothing is lost when it is dropped half way.

use std::{
    collections::VecDeque,
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use peer_wire::{Connection, Event, Message, ProtocolError};
use storage::Storage;
use swarm::PeerKey;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{Commands, OUTPUT_BYTES_MAX, PeerCommand, PeerContext, PeerEvent, Transport};
use crate::rate::Limiter;

/// What a connection that says little reads at a time.
const READ_BYTES_MIN: usize = 16 << 10;

/// What a connection that fills its buffers reads at a time.
const READ_BYTES_MAX: usize = 256 << 10;

/// Bytes of messages handed over at a time at most.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// What came in one go is acknowledged at once up to this length; after more, acknowledgements are on their way anyway.
const ACKNOWLEDGED_BYTES_MAX: usize = 64 << 10;

/// Slices of one vectored write.
const SLICES_MAX: usize = 64;

/// Bytes of one vectored write.
const WRITE_BYTES_MAX: usize = 512 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("closed by the peer")]
    Closed,
    #[error("dropped by us")]
    Dropped,
    #[error("takes no bytes while more than {OUTPUT_BYTES_MAX} wait")]
    Stuck,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("{0}")]
    Refused(&'static str),
}

impl Ended {
    pub(crate) fn misbehaved(&self) -> bool {
        matches!(self, Self::Protocol(_))
    }
}

/// What came of one poll.
#[derive(Debug, Default)]
struct Progress {
    messages: Vec<Message>,
    sent: u64,
}

/// A socket with its connection's value and what lies between.
pub(crate) struct Io {
    stream: Box<dyn Transport>,
    connection: Connection,
    buffer: BytesMut,
    read_bytes: usize,
    /// What was read with the handshake may hold messages.
    unread: bool,
    output: VecDeque<Bytes>,
    output_bytes: usize,
    /// Position in the stream of bytes that leave: put into `output`, and written.
    queued: u64,
    written: u64,
    /// Where in that stream payloads end, and how long they are.
    payloads: VecDeque<(u64, u32)>,
    read_pause: Pause,
    write_pause: Pause,
}

/// A timer that exists only while a limit holds a direction back.
#[derive(Default)]
struct Pause(Option<Pin<Box<Sleep>>>);

impl Pause {
    fn begin(&mut self, wait: Duration) {
        self.0 = Some(Box::pin(tokio::time::sleep_until(Instant::now() + wait)));
    }

    /// Whether it holds; wakes the task at its end.
    fn holds(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(sleep) = &mut self.0 {
            if sleep.as_mut().poll(context).is_pending() {
                return true;
            }
            self.0 = None;
        }
        false
    }
}

impl Io {
    pub(crate) fn new(stream: Box<dyn Transport>, connection: Connection) -> Self {
        Self {
            stream,
            connection,
            buffer: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            unread: true,
            output: VecDeque::new(),
            output_bytes: 0,
            queued: 0,
            written: 0,
            payloads: VecDeque::new(),
            read_pause: Pause::default(),
            write_pause: Pause::default(),
        }
    }

    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The next event of the handshake: writes what is due, reads what is needed, without limits.
    pub(crate) async fn handshake_event(&mut self) -> Result<Event, Ended> {
        std::future::poll_fn(|context| {
            loop {
                self.collect_output();
                if let Poll::Ready(written) = self.poll_write(context, None) {
                    written?;
                }
                if let Some(event) = self.connection.receive(&mut self.buffer)? {
                    return Poll::Ready(Ok(event));
                }
                if self.connection.wants_output() {
                    continue;
                }
                match self.poll_read(context, READ_BYTES_MIN) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(Ended::Closed)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Exchanges messages until the connection ends. The torrent knows of the peer already.
    pub(crate) async fn run(mut self, peer: PeerKey, context: &PeerContext, mut commands: Commands) -> Ended {
        loop {
            let step = std::future::poll_fn(|cx| {
                let mut progress = Progress::default();
                match self.step(cx, context, &mut commands, &mut progress) {
                    Err(ended) => Poll::Ready((progress, Err(ended))),
                    Ok(()) if progress.messages.is_empty() && progress.sent == 0 => Poll::Pending,
                    Ok(()) => Poll::Ready((progress, Ok(()))),
                }
            });
            let (progress, ended) = step.await;
            let told = (progress.messages.is_empty() && progress.sent == 0)
                || context
                    .tell(peer, PeerEvent::Progress { messages: progress.messages, sent: progress.sent })
                    .await;
            match ended {
                Err(ended) => return ended,
                Ok(()) if !told => return Ended::Dropped,
                Ok(()) => {}
            }
        }
    }

    /// Everything that can be done now. What was done is in `progress`, also when it ends in an error. Wakes the task when
    /// more can be done.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        context: &PeerContext,
        commands: &mut Commands,
        progress: &mut Progress,
    ) -> Result<(), Ended> {
        loop {
            match commands.poll_recv(cx) {
                Poll::Ready(Some(command)) => self.command(command)?,
                Poll::Ready(None) => return Err(Ended::Dropped),
                Poll::Pending => break,
            }
        }
        self.collect_output();
        let written = self.poll_write(cx, Some(&context.up));
        progress.sent += self.take_sent();
        if let Poll::Ready(Err(error)) = written {
            return Err(error.into());
        }
        let read = self.read_batch(cx, context, progress);
        if self.connection.wants_output() {
            // Answers of the connection's own: written at the next poll, which is due at once.
            cx.waker().wake_by_ref();
        }
        read
    }

    fn command(&mut self, command: PeerCommand) -> Result<(), Ended> {
        match command {
            PeerCommand::Pieces(pieces) => self.connection.set_pieces(pieces),
            PeerCommand::Send(messages) => {
                for message in messages {
                    let payload = match &message {
                        Message::Piece { data, .. } => u32::try_from(data.len()).ok(),
                        _ => None,
                    };
                    if let Err(error) = self.connection.send(message) {
                        tracing::debug!(%error, "message not sent");
                        continue;
                    }
                    if let Some(length) = payload {
                        self.collect_output();
                        self.payloads.push_back((self.queued, length));
                    }
                }
                self.collect_output();
                if self.output_bytes > OUTPUT_BYTES_MAX {
                    return Err(Ended::Stuck);
                }
            }
        }
        Ok(())
    }

    fn collect_output(&mut self) {
        if self.connection.wants_output() {
            let before = self.output.len();
            self.connection.take_output(&mut self.output);
            let bytes: usize = self.output.iter().skip(before).map(Bytes::len).sum();
            self.output_bytes += bytes;
            self.queued += bytes as u64;
        }
    }

    /// Payload bytes written since it was last asked.
    fn take_sent(&mut self) -> u64 {
        let mut sent = 0;
        while let Some((end, length)) = self.payloads.front()
            && *end <= self.written
        {
            sent += u64::from(*length);
            self.payloads.pop_front();
        }
        sent
    }

    /// Writes until nothing is left, the socket or the limit holds it back (`Pending`, the task is woken), or it fails.
    fn poll_write(&mut self, cx: &mut Context<'_>, limiter: Option<&Limiter>) -> Poll<io::Result<()>> {
        // Requests are not payload: without pieces among them they are not held back.
        let limiter = limiter.filter(|limiter| !self.payloads.is_empty() && !limiter.is_unlimited());
        if limiter.is_some() && self.write_pause.holds(cx) {
            return Poll::Pending;
        }
        while self.output_bytes > 0 {
            let mut allowed = self.output_bytes.min(WRITE_BYTES_MAX);
            if let Some(limiter) = limiter {
                match limiter.take(allowed) {
                    Ok(granted) => allowed = granted,
                    Err(wait) => {
                        self.write_pause.begin(wait);
                        let _ = self.write_pause.holds(cx);
                        return Poll::Pending;
                    }
                }
            }
            let written = self.write_some(cx, allowed);
            if let Some(limiter) = limiter {
                let used = if let Poll::Ready(Ok(written)) = written { written } else { 0 };
                limiter.give_back(allowed - used);
            }
            match written {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn write_some(&mut self, cx: &mut Context<'_>, allowed: usize) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (mut count, mut left) = (0, allowed);
        for (slice, chunk) in slices.iter_mut().zip(&self.output) {
            let length = chunk.len().min(left);
            *slice = IoSlice::new(&chunk[..length]);
            (count, left) = (count + 1, left - length);
            if left == 0 {
                break;
            }
        }
        let written = match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]) {
            Poll::Ready(Ok(written)) => written,
            other => return other,
        };
        let mut rest = written;
        while let Some(front) = self.output.front_mut() {
            if front.len() > rest {
                front.advance(rest);
                break;
            }
            rest -= front.len();
            self.output.pop_front();
        }
        self.output_bytes -= written;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    /// Reads what is there, up to a batch, as far as the disk and the limits let it.
    fn read_batch(
        &mut self,
        cx: &mut Context<'_>,
        context: &PeerContext,
        progress: &mut Progress,
    ) -> Result<(), Ended> {
        if !has_room(&context.core.storage, cx) {
            return Ok(());
        }
        let limited = !context.down.is_unlimited();
        if limited && self.read_pause.holds(cx) {
            return Ok(());
        }
        if std::mem::take(&mut self.unread) {
            self.receive(progress)?;
        }
        let mut batch_bytes = 0;
        while batch_bytes < BATCH_BYTES_MAX {
            let mut allowed = self.read_bytes;
            if limited {
                match context.down.take(allowed) {
                    Ok(granted) => allowed = granted,
                    Err(wait) => {
                        self.read_pause.begin(wait);
                        let _ = self.read_pause.holds(cx);
                        return Ok(());
                    }
                }
            }
            let read = self.poll_read(cx, allowed);
            if limited {
                let used = if let Poll::Ready(Ok(read)) = &read { *read } else { 0 };
                context.down.give_back(allowed - used.min(allowed));
            }
            let read = match read {
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => {
                    if batch_bytes > 0 && batch_bytes < ACKNOWLEDGED_BYTES_MAX {
                        self.stream.acknowledge();
                    }
                    self.rest();
                    return Ok(());
                }
            };
            batch_bytes += read;
            self.receive(progress)?;
            if read >= allowed {
                self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
            }
        }
        // More may be there; the socket has not said otherwise.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn receive(&mut self, progress: &mut Progress) -> Result<(), Ended> {
        while let Some(event) = self.connection.receive(&mut self.buffer)? {
            if let Event::Message(message) = event {
                progress.messages.push(message);
            }
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<usize>> {
        let wanted = self.connection.bytes_wanted(&self.buffer).min(READ_BYTES_MAX);
        if self.buffer.capacity() - self.buffer.len() < wanted.max(bytes.min(READ_BYTES_MIN)) {
            self.buffer.reserve(bytes.max(wanted));
        }
        let mut into = (&mut self.buffer).limit(bytes);
        pin!(self.stream.read_buf(&mut into)).poll(cx)
    }

    /// A connection that says little keeps no large buffer.
    fn rest(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * self.read_bytes {
            self.buffer = BytesMut::new();
        }
    }
}

/// Whether the disk keeps up; if not, the task is woken once it does.
fn has_room(storage: &Storage, cx: &mut Context<'_>) -> bool {
    storage.has_room() || pin!(storage.room()).poll(cx).is_ready()
}
