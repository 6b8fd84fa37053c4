//! Carries out one request: reads its samples, sends what is made of them.
//!
//! A request that fails has its samples read to the end, so that the next one finds the stream in order.

use container::Timescale;
use rustix::time::{ClockId, clock_gettime};
use worker_protocol::{Failure, Fault, FromWorker, OutputTrack, ToWorker, Usage};

use crate::{
    attempts,
    link::{Link, LinkError},
};

/// Loads what decodes and encodes, while there still are files to load; says its versions.
pub(crate) fn load_codecs() -> Result<String, String> {
    Err("not linked".to_owned())
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
        ToWorker::Video(_) | ToWorker::Audio(_) => {
            link.skip_samples()?;
            Err(Failure::new(Fault::Unsupported, "there is no codec in this build"))
        }
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

fn echo(link: &mut Link) -> Result<Result<(), Failure>, LinkError> {
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
