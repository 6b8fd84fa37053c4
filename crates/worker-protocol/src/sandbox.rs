//! What a worker may not do, and how well the kernel holds it to that.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much of the sandbox there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Neither a filter of system calls nor Landlock: only limits.
    None,
    /// One of the two.
    Partial,
    /// Both: no file system, no sockets, no programs.
    Full,
}

impl Level {
    /// As it is written in JSON, labels and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a worker reports of itself after it gave up its rights, before it reads anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The kernel's Landlock refuses the file system.
    pub landlock: bool,
    /// The filter of system calls is in force.
    pub seccomp: bool,
    /// `no_new_privs`, the death signal and every resource limit are set.
    pub limits: bool,
    /// What was tried and should have been refused, but was not (`open a file`).
    pub escapes: Vec<String>,
    /// What the kernel did not grant, in words.
    pub missing: Vec<String>,
}

impl Sandbox {
    /// The level that this comes to.
    #[must_use]
    pub fn level(&self) -> Level {
        match (self.landlock, self.seccomp) {
            _ if !self.escapes.is_empty() => Level::None,
            (true, true) if self.limits => Level::Full,
            (false, false) => Level::None,
            _ => Level::Partial,
        }
    }
}

/// What a worker says of itself before it reads anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it gave up.
    pub sandbox: Sandbox,
    /// The codec libraries it found and their versions, or why there are none.
    pub codecs: Result<String, String>,
}

/// Something a worker is asked to try although it must not succeed: how tests see that the sandbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Attempt {
    /// Opens a file to read.
    OpenFile,
    /// Makes a file.
    CreateFile,
    /// Lists a folder.
    ListFolder,
    /// Makes a TCP socket and connects it to loopback.
    Connect,
    /// Binds a UDP socket.
    BindUdp,
    /// Connects to a Unix socket.
    ConnectUnix,
    /// Becomes another program.
    Exec,
    /// Starts another process.
    Fork,
    /// Kills its parent.
    KillParent,
    /// Takes memory until there is none.
    Allocate,
    /// Opens descriptors until there are none.
    Descriptors,
    /// Computes for ever.
    Spin,
    /// Sleeps for ever.
    Sleep,
    /// Dies as after a bad write to memory.
    Crash,
    /// Starts a thread, which must succeed: codecs need them.
    Thread,
}
