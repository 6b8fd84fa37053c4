//! The worker process: gives up its rights, then decodes and encodes for the server.
//!
//! [`run`] is the whole of it. It is the server's own binary, started anew with nothing but a socket as its standard
//! input; before it reads a byte from there it locks itself in ([`lock_down`]) and says how well that went. What it
//! then reads is hostile: films that C code decodes. What the two say to each other is `worker-protocol`; who starts
//! and kills workers is `media::transcode`.

#![warn(missing_docs)]

mod attempts;
mod audio;
mod filter;
mod link;
mod lock_down;
mod requests;
mod video;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use worker_protocol::{FromWorker, Hello, Report, ToWorker};

pub use lock_down::{Limits, lock_down};

use link::{Link, LinkError};

/// Serves one server over standard input until that is closed. To be called before any thread is started.
pub fn run(limits: Limits) -> ExitCode {
    match serve(limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "headwater worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(limits: Limits) -> Result<(), LinkError> {
    let codecs = requests::load_codecs();
    let sandbox = lock_down(limits);
    let mut link = Link::default();
    link.send(&FromWorker::Hello(Hello::ours(), Report { sandbox, codecs }))?;
    match link.next()? {
        None => return Ok(()),
        Some(ToWorker::Hello(hello)) => hello.check()?,
        Some(_) => return Err(LinkError::Unexpected("a request before the hello")),
    }
    while let Some(request) = link.next()? {
        requests::carry_out(request, &mut link)?;
    }
    Ok(())
}
