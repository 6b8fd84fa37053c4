//! A live worker, and one request carried out by it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::BytesMut;
use container::Sample;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{ReadHalf, WriteHalf},
    },
    time::{Instant, interval, timeout},
};
use worker_protocol::{Decoder, Failure, FromWorker, Hello, ProtocolError, Report, ToWorker, Usage};

use super::{
    Patience,
    launch::{Launcher, Process},
    limits::{HELLO_PATIENCE, WATCH_EVERY},
    order::{Input, Output},
};
use crate::MediaError;

/// Bytes that are put together before they are written.
const WRITE_BYTES: usize = 128 << 10;
/// Bytes read at a time.
const READ_BYTES: usize = 128 << 10;

/// A worker that has said hello.
#[derive(Debug)]
pub(super) struct Worker {
    process: Process,
    stream: UnixStream,
    decoder: Decoder,
    pub(super) report: Report,
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Carried out; the worker is ready for the next one.
    Done(Usage),
    /// The worker says why not. It is ready for the next one if the request was sent to its end.
    Failed(Failure, bool),
    /// The samples could not be read.
    Source(MediaError),
    /// Nobody wants the answer any more.
    Abandoned,
    /// Nobody took the answer for too long.
    Stalled,
    /// The worker is dead, silent for too long, or not to be believed.
    Lost(Option<String>),
}

impl Worker {
    /// Starts one and hears its report.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) async fn start(launcher: &Launcher) -> Result<Self, String> {
        let (process, socket) = launcher.launch().await.map_err(|error| error.to_string())?;
        let mut stream = UnixStream::from_std(socket).map_err(|error| error.to_string())?;
        let mut decoder = Decoder::default();
        let hello = timeout(HELLO_PATIENCE, greet(&mut stream, &mut decoder)).await;
        match hello {
            Ok(Ok(report)) => Ok(Self { process, stream, decoder, report }),
            Ok(Err(Some(why))) => Err(why),
            Ok(Err(None)) => Err(format!("it {}", process.bury().await)),
            Err(_) => Err(format!("it said nothing for {} s", HELLO_PATIENCE.as_secs())),
        }
    }

    /// Whether it lives and says nothing, as it should between requests.
    pub(super) fn is_ready(&self) -> bool {
        let quiet = self.stream.try_read(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        quiet && self.decoder.is_empty()
    }

    /// Ends it; how, to be read after "the worker".
    pub(super) async fn bury(self) -> String {
        self.process.bury().await
    }

    /// Carries out `request`: sends it and its samples while the answer is read and given on.
    ///
    /// # Cancel safety
    /// Not: the worker is of no use afterwards.
    pub(super) async fn run(
        &mut self,
        request: &ToWorker,
        input: &mut Input,
        output: &mut Output,
        patience: Patience,
    ) -> Ended {
        let watch = Watch::new(patience);
        let gone = output.abandoned();
        let (reading, writing) = self.stream.split();
        let mut send = std::pin::pin!(send(writing, request, input, &watch));
        let mut receive = std::pin::pin!(receive(reading, &mut self.decoder, output, &watch));
        let mut sent = false;
        tokio::select! {
            biased;
            ended = async {
                loop {
                    tokio::select! {
                        ended = &mut receive => break ended,
                        result = &mut send, if !sent => match result {
                            Ok(()) => sent = true,
                            Err(Some(ended)) => break ended,
                            // It is dead or has said why it takes no more: what it said is still read.
                            Err(None) => sent = true,
                        },
                    }
                }
            } => match ended {
                Ended::Failed(failure, _) => Ended::Failed(failure, sent),
                // Done before it has read everything: the next request would be out of step.
                Ended::Done(_) if !sent => Ended::Lost(Some("answered before it was asked".to_owned())),
                ended => ended,
            },
            () = gone => Ended::Abandoned,
            why = watch.over() => Ended::Lost(Some(why)),
        }
    }
}

/// Both hellos. `Err(None)` if it hung up.
async fn greet(stream: &mut UnixStream, decoder: &mut Decoder) -> Result<Report, Option<String>> {
    let told = |error: ProtocolError| Some(error.to_string());
    let mut out = BytesMut::new();
    ToWorker::Hello(Hello::ours()).encode(&mut out).map_err(told)?;
    stream.write_all(&out).await.map_err(|_| None)?;
    loop {
        if let Some(frame) = decoder.poll_frame().map_err(told)? {
            let FromWorker::Hello(hello, report) = FromWorker::decode(frame).map_err(told)? else {
                return Err(Some("it does not say hello".to_owned()));
            };
            hello.check().map_err(told)?;
            return Ok(report);
        }
        if stream.read_buf(decoder.buffer()).await.map_err(|_| None)? == 0 {
            return Err(None);
        }
    }
}

/// Sends the request. `Err(None)` when the worker takes no more.
async fn send(
    mut stream: WriteHalf<'_>,
    request: &ToWorker,
    input: &mut Input,
    watch: &Watch,
) -> Result<(), Option<Ended>> {
    let ours = |error: ProtocolError| Some(Ended::Lost(Some(format!("cannot be sent that: {error}"))));
    let mut out = BytesMut::with_capacity(WRITE_BYTES);
    request.encode(&mut out).map_err(ours)?;
    if !input.is_none() {
        loop {
            let more = match input.ready() {
                Some(more) => more,
                None => {
                    write(&mut stream, &mut out, watch).await?;
                    watch.waits_for_source.store(true, Relaxed);
                    let more = input.next().await;
                    watch.waits_for_source.store(false, Relaxed);
                    watch.moved();
                    more
                }
            };
            let Some(sample) = more.map_err(|error| Some(Ended::Source(error)))? else { break };
            ToWorker::Sample(sample).encode(&mut out).map_err(ours)?;
            if out.len() >= WRITE_BYTES {
                write(&mut stream, &mut out, watch).await?;
            }
        }
        ToWorker::End.encode(&mut out).map_err(ours)?;
    }
    write(&mut stream, &mut out, watch).await
}

async fn write(stream: &mut WriteHalf<'_>, out: &mut BytesMut, watch: &Watch) -> Result<(), Option<Ended>> {
    while !out.is_empty() {
        stream.write_buf(out).await.map_err(|_| None)?;
        watch.moved();
    }
    Ok(())
}

/// Reads the answer and gives it on.
async fn receive(
    mut stream: ReadHalf<'_>,
    decoder: &mut Decoder,
    output: &mut Output,
    watch: &Watch,
) -> Ended {
    let unbelievable = |error: ProtocolError| Ended::Lost(Some(format!("is not to be believed: {error}")));
    loop {
        let frame = match decoder.poll_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                decoder.buffer().reserve(READ_BYTES);
                match stream.read_buf(decoder.buffer()).await {
                    Ok(0) | Err(_) => return Ended::Lost(None),
                    Ok(_) => watch.moved(),
                }
                continue;
            }
            Err(error) => return unbelievable(error),
        };
        let given = match FromWorker::decode(frame) {
            Ok(FromWorker::Track(track)) => output.track(track),
            Ok(FromWorker::Sample(sample)) => give(sample, output, watch).await,
            Ok(FromWorker::Done(usage)) => return Ended::Done(usage),
            Ok(FromWorker::Failed(failure)) => return Ended::Failed(failure, false),
            Ok(FromWorker::Hello(..)) => Err(Ended::Lost(Some("said hello twice".to_owned()))),
            Err(error) => return unbelievable(error),
        };
        if let Err(ended) = given {
            return ended;
        }
    }
}

async fn give(sample: Sample, output: &mut Output, watch: &Watch) -> Result<(), Ended> {
    watch.waits_for_reader.store(true, Relaxed);
    let given = timeout(watch.patience.reader, output.sample(sample)).await;
    watch.waits_for_reader.store(false, Relaxed);
    watch.moved();
    given.unwrap_or(Err(Ended::Stalled))
}

/// Whether the worker does what it is there for. What it waits for itself, the film's bytes or whoever takes what it
/// made, is not held against it.
#[derive(Debug)]
struct Watch {
    patience: Patience,
    born: Instant,
    /// Milliseconds after `born` at which something last went in or out.
    moved_ms: AtomicU64,
    waits_for_source: AtomicBool,
    waits_for_reader: AtomicBool,
}

impl Watch {
    fn new(patience: Patience) -> Self {
        Self {
            patience,
            born: Instant::now(),
            moved_ms: AtomicU64::new(0),
            waits_for_source: AtomicBool::new(false),
            waits_for_reader: AtomicBool::new(false),
        }
    }

    fn moved(&self) {
        let ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(ms, Relaxed);
    }

    /// Waits for a deadline to pass; which one.
    async fn over(&self) -> String {
        let (mut ticks, mut worked) = (interval(WATCH_EVERY), Duration::ZERO);
        loop {
            ticks.tick().await;
            if self.waits_for_source.load(Relaxed) || self.waits_for_reader.load(Relaxed) {
                continue;
            }
            worked += WATCH_EVERY;
            let moved = Duration::from_millis(self.moved_ms.load(Relaxed));
            if self.born.elapsed().saturating_sub(moved) > self.patience.silence {
                return format!("did nothing for {} s", self.patience.silence.as_secs());
            }
            if worked > self.patience.request {
                return format!("was not done after {} s", self.patience.request.as_secs());
            }
        }
    }
}
