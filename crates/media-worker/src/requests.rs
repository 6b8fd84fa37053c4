//! Carries out one request: reads its samples, sends what is made of them.
//!
//! A request that fails has its samples read to the end, so that the next one finds the stream in order.

use std::{num::NonZeroUsize, sync::OnceLock, thread::available_parallelism};

use container::Timescale;
use rustix::time::{ClockId, clock_gettime};
use worker_protocol::{Failure, Fault, FromWorker, OutputTrack, ToWorker, Usage};

use crate::{
    attempts, audio,
    link::{Link, LinkError},
    video,
};

/// A request's end as far as it is not the worker's.
pub(crate) type Outcome = Result<(), Failure>;

/// More threads hold back more pictures than they make faster.
const THREADS_MAX: u32 = 8;

/// Loads what decodes and encodes, while there still are files to load; says its versions.
pub(crate) fn load_codecs() -> Result<String, String> {
    // Also asked before the lock-down, because what a container may use is written in files.
    threads();
    let versions = libav::load().map_err(|error| error.to_string())?;
    Ok(format!(
        "libavcodec {}, libavfilter {}, libavutil {}",
        versions.avcodec, versions.avfilter, versions.avutil
    ))
}

/// How many threads decode, scale and encode.
pub(crate) fn threads() -> u32 {
    static THREADS: OnceLock<u32> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let there = available_parallelism().map_or(1, NonZeroUsize::get);
        u32::try_from(there).unwrap_or(THREADS_MAX).min(THREADS_MAX)
    })
}

/// What a codec library says, in words for the server.
pub(crate) fn failed(error: &libav::Error) -> Failure {
    let fault = match (error, error.fault()) {
        (libav::Error::Missing(_), _) => Fault::Unsupported,
        (_, libav::Fault::Input) => Fault::Input,
        (_, libav::Fault::Caller) => Fault::Request,
        (_, libav::Fault::Local) => Fault::Limit,
    };
    Failure::new(fault, error.to_string())
}

/// What is damaged is `None` and passed over; what else goes wrong ends the request.
pub(crate) fn damaged<T>(result: Result<T, libav::Error>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.fault() == libav::Fault::Input => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

/// Answers `request`. An error ends the worker; what is wrong with the request or the film does not.
pub(crate) fn carry_out(request: ToWorker, link: &mut Link) -> Result<(), LinkError> {
    let outcome = match request {
        ToWorker::Echo => echo(link)?,
        ToWorker::Try(attempt) => {
            let tried = attempts::attempt(attempt);
            if tried.is_ok() {
                link.send(&FromWorker::Track(OutputTrack {
                    record: Vec::new(),
                    timescale: Timescale::MICROS,
                }))?;
            }
            tried
        }
        ToWorker::Video(spec) => video::transcode(&spec, link)?,
        ToWorker::Audio(spec) => audio::transcode(&spec, link)?,
        ToWorker::Hello(_) => return Err(LinkError::Unexpected("a second hello")),
        ToWorker::Sample(_) | ToWorker::End => {
            return Err(LinkError::Unexpected("a sample without a request"));
        }
    };
    match outcome {
        Ok(()) => link.send(&FromWorker::Done(usage())),
        Err(failure) => link.send(&FromWorker::Failed(failure)),
    }
}

fn echo(link: &mut Link) -> Result<Outcome, LinkError> {
    link.send(&FromWorker::Track(OutputTrack { record: Vec::new(), timescale: Timescale::MICROS }))?;
    while let Some(sample) = link.next_sample()? {
        link.send(&FromWorker::Sample(sample))?;
    }
    Ok(Ok(()))
}

fn usage() -> Usage {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) =
        (u64::try_from(spent.tv_sec).unwrap_or(0), u64::try_from(spent.tv_nsec).unwrap_or(0));
    Usage { cpu_ms: seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000) }
}
