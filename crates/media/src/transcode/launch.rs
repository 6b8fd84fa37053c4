//! Starts worker processes and buries them, on one thread of its own.
//!
//! A thread of its own for two reasons: starting a process blocks for milliseconds, and a worker is told to die with the
//! *thread* that started it (`PR_SET_PDEATHSIG`), which must not be one that a runtime lets go when it is idle.

use std::{
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::oneshot;

/// Bytes kept of what a worker writes to its standard error: the last line says why it died.
const WORDS_BYTES_MAX: u64 = 64 << 10;
/// Characters of it that are told.
const TOLD_CHARS_MAX: usize = 300;

/// What is started.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
}

/// The thread's letter box. As many letters as there are processes and requests to start one.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    letters: Sender<Letter>,
}

#[derive(Debug)]
enum Letter {
    /// With the box that the process will write to: the thread holds none, so that it ends with the last holder.
    Start(oneshot::Sender<io::Result<(Process, UnixStream)>>, Sender<Letter>),
    Bury(Child, Option<io::PipeReader>, Option<oneshot::Sender<String>>),
}

/// A running worker; killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Option<Child>,
    words: Option<io::PipeReader>,
    letters: Sender<Letter>,
}

impl Launcher {
    pub(super) fn start(program: Program) -> io::Result<Self> {
        let (letters, received) = channel();
        thread::Builder::new().name("workers".to_owned()).spawn(move || work(&program, &received))?;
        Ok(Self { letters })
    }

    /// A new worker and our end of its socket.
    pub(super) async fn launch(&self) -> io::Result<(Process, UnixStream)> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts workers has ended");
        self.letters.send(Letter::Start(reply, self.letters.clone())).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn work(program: &Program, received: &Receiver<Letter>) {
    while let Ok(letter) = received.recv() {
        match letter {
            Letter::Start(reply, letters) => {
                // Who does not wait any more drops the process, which comes back as a letter.
                let _ = reply.send(spawn(program, &letters));
            }
            Letter::Bury(mut child, words, reply) => {
                let _ = child.kill();
                let how = match child.wait() {
                    Ok(status) => epitaph(status, words),
                    Err(error) => format!("cannot be waited for: {error}"),
                };
                if let Some(reply) = reply {
                    let _ = reply.send(how);
                }
            }
        }
    }
}

/// With a socket as its standard input, nothing else of ours, and no environment but how glibc shares out memory:
/// an arena for each thread would take a tenth of the address space that a worker may have.
fn spawn(program: &Program, letters: &Sender<Letter>) -> io::Result<(Process, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    // A worker that writes more than anybody reads loses words, and waits for nobody.
    let (words, stderr) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let child = Command::new(&program.path)
        .args(&program.args)
        .env_clear()
        .env("MALLOC_ARENA_MAX", "4")
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()?;
    let words = Some(io::PipeReader::from(words));
    Ok((Process { child: Some(child), words, letters: letters.clone() }, ours))
}

impl Process {
    /// Kills it if it still runs; how it ended, to be read after "the worker".
    pub(super) async fn bury(mut self) -> String {
        let (reply, answer) = oneshot::channel();
        let Some(child) = self.child.take() else { return "is gone".to_owned() };
        let letter = Letter::Bury(child, self.words.take(), Some(reply));
        let _ = self.letters.send(letter);
        answer.await.unwrap_or_else(|_| "is gone".to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            let _ = self.letters.send(Letter::Bury(child, None, None));
        }
    }
}

fn epitaph(status: ExitStatus, words: Option<io::PipeReader>) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(6), _) => "aborted".to_owned(),
        (Some(9), _) => "was killed".to_owned(),
        (Some(4 | 7 | 8 | 11), _) => "crashed".to_owned(),
        (Some(24), _) => "took more CPU time than it may".to_owned(),
        (Some(31), _) => "made a forbidden system call".to_owned(),
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("ended with status {code}"),
        (None, None) => "ended".to_owned(),
    };
    let mut said = Vec::new();
    if let Some(words) = words {
        // Its end of the pipe is closed, so this ends.
        let _ = words.take(WORDS_BYTES_MAX).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    match said.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("note: ")) {
        Some(line) => {
            let line: String = line.chars().filter(|c| !c.is_control()).take(TOLD_CHARS_MAX).collect();
            format!("{how} ({line})")
        }
        None => how,
    }
}
