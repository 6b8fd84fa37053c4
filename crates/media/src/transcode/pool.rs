//! Which worker works for whom: one for each title, one spare that is warm, no more than may be.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex as Shut, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use worker_protocol::{Level, Report, ToWorker};

use super::{
    SandboxPolicy, TranscodeConfig, TranscodeError,
    launch::{Launcher, Program},
    limits::{FORGIVEN_AFTER, RETIRE_CPU, STRIKES_MAX, STRUCK_TITLES_MAX},
    order::{Input, Output},
    worker::{Ended, Worker},
};
use crate::stats::bump;

/// How transcoding stands, for those who look after the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranscodeStatus {
    /// What a worker reported; `None` until the first has.
    pub report: Option<Report>,
    /// Why there is no transcoding, if there is none.
    pub off: Option<String>,
    /// Titles that have a worker.
    pub titles: usize,
    /// Titles that may have one.
    pub titles_max: usize,
    /// Workers started.
    pub started: u64,
    /// Workers that died or were killed while they worked.
    pub lost: u64,
    /// Requests asked again of another worker.
    pub retried: u64,
    /// Requests carried out.
    pub done: u64,
    /// Requests refused because their title's workers died too often.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Counters {
    started: AtomicU64,
    lost: AtomicU64,
    retried: AtomicU64,
    done: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Pool {
    config: TranscodeConfig,
    launcher: Result<Launcher, String>,
    spare: Mutex<Option<Worker>>,
    warming: AtomicBool,
    permits: Arc<Semaphore>,
    seats: Shut<Vec<Weak<Seat>>>,
    strikes: Shut<HashMap<String, Strikes>>,
    /// What the last start came to.
    known: Shut<Option<Result<Report, String>>>,
    counters: Counters,
}

/// A title's place.
#[derive(Debug, Default)]
pub(super) struct Seat {
    taken: Mutex<Taken>,
    /// The title is closed.
    left: AtomicBool,
}

#[derive(Debug, Default)]
struct Taken {
    worker: Option<(Worker, OwnedSemaphorePermit)>,
    used: Option<Instant>,
}

/// How often the workers of a title died. Kept apart from its seat, which is given up and taken again.
#[derive(Clone, Debug)]
struct Strikes {
    times: u32,
    how: String,
    last: Instant,
}

impl Pool {
    pub(super) fn new(config: TranscodeConfig) -> Arc<Self> {
        let program = Program { path: config.program.clone(), args: config.args.clone() };
        Arc::new(Self {
            launcher: Launcher::start(program).map_err(|error| error.to_string()),
            permits: Arc::new(Semaphore::new(config.titles_max)),
            config,
            spare: Mutex::default(),
            warming: AtomicBool::new(false),
            seats: Shut::default(),
            strikes: Shut::default(),
            known: Shut::default(),
            counters: Counters::default(),
        })
    }

    pub(super) fn seat(&self) -> Arc<Seat> {
        let seat = Arc::new(Seat::default());
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        seat
    }

    /// The title is closed: its worker ends now, or after what it works on, if anybody still wants that.
    pub(super) fn leave(&self, seat: &Seat) {
        seat.left.store(true, Relaxed);
        if let Ok(mut taken) = seat.taken.try_lock() {
            taken.worker = None;
        }
    }

    pub(super) fn status(&self) -> TranscodeStatus {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (report, mut off) = match known {
            Some(Ok(report)) => (Some(report), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        if let Some(report) = &report {
            off = self.wanting(report).or_else(|| report.codecs.clone().err());
        }
        TranscodeStatus {
            report,
            off,
            titles: self.config.titles_max.saturating_sub(self.permits.available_permits()),
            titles_max: self.config.titles_max,
            started: self.counters.started.load(Relaxed),
            lost: self.counters.lost.load(Relaxed),
            retried: self.counters.retried.load(Relaxed),
            done: self.counters.done.load(Relaxed),
            refused: self.counters.refused.load(Relaxed),
        }
    }

    /// What a required sandbox lacks.
    fn wanting(&self, report: &Report) -> Option<String> {
        let lacks = self.config.sandbox == SandboxPolicy::Require && report.sandbox.level() != Level::Full;
        lacks.then(|| lacking(report))
    }

    /// Starts a spare in the background, unless there is one or one is being started.
    pub(super) fn warm(pool: &Arc<Self>) {
        if pool.warming.swap(true, Relaxed) {
            return;
        }
        let pool = Arc::clone(pool);
        tokio::spawn(async move {
            let mut spare = pool.spare.lock().await;
            if spare.as_ref().is_none_or(|worker| !worker.is_ready()) {
                *spare = pool.start().await.ok();
            }
            drop(spare);
            pool.warming.store(false, Relaxed);
        });
    }

    async fn start(&self) -> Result<Worker, String> {
        let started = match &self.launcher {
            Ok(launcher) => Worker::start(launcher).await,
            Err(why) => Err(why.clone()),
        };
        bump(&self.counters.started, 1);
        let came_to = started.as_ref().map(|worker| worker.report.clone()).map_err(Clone::clone);
        let before = self.known.lock().unwrap_or_else(PoisonError::into_inner).replace(came_to.clone());
        if before.as_ref() != Some(&came_to) {
            told(&came_to, self.config.sandbox);
        }
        started
    }

    /// A worker that is ready: the spare, or a new one.
    async fn worker(self: &Arc<Self>, title: &str) -> Result<Worker, TranscodeError> {
        // One that died while nobody looked is none.
        let spare = self.spare.lock().await.take().and_then(|spare| spare.is_ready().then_some(spare));
        let worker = match spare {
            Some(worker) => worker,
            None => self
                .start()
                .await
                .map_err(|detail| TranscodeError::NoWorker { title: title.to_owned(), detail })?,
        };
        if let Some(detail) = self.wanting(&worker.report) {
            let level = worker.report.sandbox.level();
            return Err(TranscodeError::Sandbox { title: title.to_owned(), level, detail });
        }
        Self::warm(self);
        Ok(worker)
    }

    /// The right to have a worker, if need be taken from the title that used its own longest ago.
    fn permit(&self, title: &str) -> Result<OwnedSemaphorePermit, TranscodeError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let seats: Vec<_> = {
            let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
            seats.iter().filter_map(Weak::upgrade).collect()
        };
        let idle = seats.iter().filter_map(|seat| {
            let taken = seat.taken.try_lock().ok()?;
            taken.worker.is_some().then_some(taken)
        });
        let oldest = idle.min_by_key(|taken| taken.used);
        if let Some((worker, permit)) = oldest.and_then(|mut taken| taken.worker.take()) {
            drop(worker);
            return Ok(permit);
        }
        Err(TranscodeError::Busy { title: title.to_owned(), max: self.config.titles_max })
    }

    /// What is held against a title.
    fn held_against(&self, title: &str) -> Option<Strikes> {
        let strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        strikes.get(title).filter(|strikes| strikes.last.elapsed() < FORGIVEN_AFTER).cloned()
    }

    /// Holds another death against a title; how many that makes.
    fn strike(&self, title: &str, how: &str) -> u32 {
        let mut all = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, strikes| strikes.last.elapsed() < FORGIVEN_AFTER);
        if all.len() >= STRUCK_TITLES_MAX
            && let Some(oldest) =
                all.iter().min_by_key(|(_, strikes)| strikes.last).map(|(name, _)| name.clone())
        {
            all.remove(&oldest);
        }
        let strikes = all.entry(title.to_owned()).or_insert(Strikes {
            times: 0,
            how: String::new(),
            last: Instant::now(),
        });
        *strikes = Strikes { times: strikes.times + 1, how: how.to_owned(), last: Instant::now() };
        strikes.times
    }

    /// Carries out a request: by the title's worker, and if that dies, by one other.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        title: &str,
        seat: &Seat,
        request: &ToWorker,
        mut input: Input,
        mut output: Output,
    ) {
        let mut taken = tokio::select! {
            taken = seat.taken.lock() => taken,
            () = output.abandoned() => return,
        };
        let mut asked_again = false;
        let failed = loop {
            if let Some(Strikes { times, how, .. }) =
                self.held_against(title).filter(|strikes| strikes.times >= STRIKES_MAX)
            {
                bump(&self.counters.refused, 1);
                break TranscodeError::Refused { title: title.to_owned(), times, how };
            }
            let (mut worker, permit) = match self.seated(title, &mut taken).await {
                Ok(seated) => seated,
                Err(error) => break error,
            };
            let died = match worker.run(request, &mut input, &mut output, self.config.patience).await {
                Ended::Done(usage) => {
                    bump(&self.counters.done, 1);
                    taken.used = Some(Instant::now());
                    if Duration::from_millis(usage.cpu_ms) < RETIRE_CPU && !seat.left.load(Relaxed) {
                        taken.worker = Some((worker, permit));
                    }
                    return;
                }
                Ended::Failed(failure, in_step) => {
                    if in_step && !seat.left.load(Relaxed) {
                        taken.worker = Some((worker, permit));
                    }
                    let (fault, text) = (failure.fault, failure.text);
                    break TranscodeError::Failed { title: title.to_owned(), fault, text };
                }
                // In all these the worker is in the middle of something, so it ends.
                Ended::Abandoned => return,
                Ended::Stalled => {
                    let seconds = self.config.patience.reader.as_secs();
                    break TranscodeError::Stalled { title: title.to_owned(), seconds };
                }
                Ended::Source(error) => break TranscodeError::Source(error),
                Ended::Lost(why) => {
                    let how = worker.bury().await;
                    why.unwrap_or(how)
                }
            };
            bump(&self.counters.lost, 1);
            let strikes = self.strike(title, &died);
            tracing::warn!(title, strikes, how = %died, "a media worker is lost");
            if asked_again || !input.rewind() {
                break TranscodeError::Died { title: title.to_owned(), how: died };
            }
            if strikes < STRIKES_MAX {
                asked_again = true;
                output.rewind();
                bump(&self.counters.retried, 1);
            }
        };
        drop(taken);
        output.fail(failed).await;
    }

    /// The title's worker, or one that becomes it.
    async fn seated(
        self: &Arc<Self>,
        title: &str,
        taken: &mut Taken,
    ) -> Result<(Worker, OwnedSemaphorePermit), TranscodeError> {
        let permit = match taken.worker.take() {
            Some((worker, permit)) if worker.is_ready() => return Ok((worker, permit)),
            Some((_, permit)) => permit,
            None => self.permit(title)?,
        };
        Ok((self.worker(title).await?, permit))
    }
}

fn lacking(report: &Report) -> String {
    let sandbox = &report.sandbox;
    let escapes = sandbox.escapes.iter().map(|what| format!("it could {what}"));
    let lacking: Vec<_> = sandbox.missing.iter().cloned().chain(escapes).collect();
    lacking.join("; ")
}

/// Says what a start came to, once for each thing it comes to.
fn told(came_to: &Result<Report, String>, policy: SandboxPolicy) {
    match came_to {
        Err(why) => tracing::error!(%why, "no media worker can be started: nothing is transcoded"),
        Ok(report) => {
            let level = report.sandbox.level();
            if level == Level::Full {
                tracing::info!(sandbox = %level, "media workers are locked in");
            } else {
                let (lacks, required) = (lacking(report), policy == SandboxPolicy::Require);
                tracing::warn!(sandbox = %level, %lacks, required, "media workers are not wholly locked in");
            }
            match &report.codecs {
                Ok(versions) => tracing::info!(%versions, "codecs"),
                Err(why) => tracing::warn!(%why, "no codecs: nothing is transcoded"),
            }
        }
    }
}
