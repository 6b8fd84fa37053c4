//! Tries what must not work: a few things at each start, the rest when a test asks.

use std::{
    fs::{self, File},
    hint::black_box,
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{net::UnixStream, process::CommandExt},
    process::{Command, abort},
    thread,
    time::Duration,
};

use rustix::process::{Signal, getppid, kill_process};
use worker_protocol::{Attempt, Failure, Fault};

/// Bytes asked for at a time when memory is taken without bound.
const TAKEN_BYTES: usize = 256 << 20;
/// More than any worker has: the end of an attempt that the limit does not end.
const TAKEN_MAX: usize = 64;

/// What worked although it must not. Leaves nothing behind.
pub(crate) fn escapes(filtered: bool) -> Vec<String> {
    let mut escaped = Vec::new();
    let mut must_fail = |what: &str, worked: bool| {
        if worked {
            escaped.push(what.to_owned());
        }
    };
    must_fail("open a file", File::open("/proc/self/status").is_ok());
    must_fail("list a folder", fs::read_dir("/").is_ok());
    if filtered {
        must_fail("make a socket", UdpSocket::bind("127.0.0.1:0").is_ok());
        must_fail("start a program", spawn().is_ok());
    }
    escaped
}

fn spawn() -> std::io::Result<()> {
    Command::new("/proc/self/exe").arg("--version").status().map(|_| ())
}

/// Does what a test asks for. What is refused is an `Err` with the system's words; what works is `Ok`.
pub(crate) fn attempt(attempt: Attempt) -> Result<(), Failure> {
    let refused = |error: std::io::Error| Failure::new(Fault::Limit, error.to_string());
    match attempt {
        Attempt::OpenFile => File::open("/etc/passwd").map(drop).map_err(refused),
        Attempt::CreateFile => File::create("/tmp/headwater-worker-escaped").map(drop).map_err(refused),
        Attempt::ListFolder => fs::read_dir("/").map(drop).map_err(refused),
        Attempt::Connect => TcpListener::bind("127.0.0.1:0")
            .map(drop)
            .map_err(refused)
            .or_else(|failure| TcpStream::connect("127.0.0.1:9").map(drop).map_err(|_| failure)),
        Attempt::BindUdp => UdpSocket::bind("127.0.0.1:0").map(drop).map_err(refused),
        Attempt::ConnectUnix => UnixStream::connect("/run/systemd/private").map(drop).map_err(refused),
        Attempt::Exec => Err(refused(Command::new("/bin/true").exec())),
        Attempt::Fork => spawn().map_err(refused),
        Attempt::KillParent => {
            let parent = getppid().ok_or_else(|| Failure::new(Fault::Limit, "no parent"))?;
            kill_process(parent, Signal::CONT).map_err(|error| refused(error.into()))
        }
        Attempt::Allocate => allocate(),
        Attempt::Descriptors => {
            let own = rustix::io::dup(std::io::stderr()).map_err(|error| refused(error.into()))?;
            black_box(own);
            Ok(())
        }
        Attempt::Spin => spin(),
        Attempt::Sleep => loop {
            thread::sleep(Duration::from_secs(3_600));
        },
        Attempt::Crash => abort(),
        Attempt::Thread => {
            let thread = thread::Builder::new().spawn(|| black_box(6) * 7).map_err(refused)?;
            match thread.join() {
                Ok(42) => Ok(()),
                _ => Err(Failure::new(Fault::Internal, "the thread did not do its work")),
            }
        }
    }
}

/// Asks for memory and writes to none of it: address space is what is limited.
fn allocate() -> Result<(), Failure> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for _ in 0..TAKEN_MAX {
        let mut more = Vec::new();
        if more.try_reserve_exact(TAKEN_BYTES).is_err() {
            let text = format!("no more memory after {} MiB", taken.len() * (TAKEN_BYTES >> 20));
            return Err(Failure::new(Fault::Limit, text));
        }
        taken.push(black_box(more));
    }
    Ok(())
}

fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}
