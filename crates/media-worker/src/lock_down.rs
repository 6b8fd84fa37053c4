//! Gives up every right that decoding needs none of.
//!
//! Each step stands alone: where a kernel refuses one, the others are taken all the same and what is missing is
//! reported. In the end what must not work is tried, so that the report says what is and not what was asked for.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, setrlimit};
use worker_protocol::Sandbox;

use crate::{attempts, filter};

/// What a worker may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of address space: all that the codecs, their threads' stacks and their frames may take.
    pub memory_bytes: u64,
    /// Seconds of CPU time over its life. The server lets a worker go long before; this ends what nobody watches.
    pub cpu_seconds: u64,
}

/// The Landlock that a whole sandbox needs: files are refused since the first. What later ones add (TCP, signals,
/// abstract sockets) is refused by the filter of system calls as well.
const LANDLOCK_WANTED: ABI = ABI::V1;
/// Asked for where the kernel knows it.
const LANDLOCK_ASKED: ABI = ABI::V7;
/// Standard input, output and error.
const DESCRIPTORS: u64 = 3;

impl Default for Limits {
    fn default() -> Self {
        // 4K frames of 12 MiB, sixty of them between decoder, filter and encoder, and a stack for each thread.
        Self { memory_bytes: 3 << 30, cpu_seconds: 4 * 3_600 }
    }
}

/// Gives up the file system, sockets, programs, other processes and all but a bounded share of memory and CPU, for
/// good. Threads that run already keep their rights: to be called before there are any.
#[must_use]
pub fn lock_down(limits: Limits) -> Sandbox {
    let mut sandbox = Sandbox::default();
    let mut missing = Vec::new();
    sandbox.limits = limit(limits, &mut missing);
    sandbox.landlock = match no_files() {
        Ok(true) => true,
        Ok(false) => {
            missing.push("the kernel has no Landlock".to_owned());
            false
        }
        Err(error) => {
            missing.push(format!("Landlock: {error}"));
            false
        }
    };
    if let Err(error) = setrlimit(Resource::Nofile, both(DESCRIPTORS)) {
        missing.push(format!("the limit of descriptors: {error}"));
        sandbox.limits = false;
    }
    sandbox.seccomp = match filter::install() {
        Ok(()) => true,
        Err(error) => {
            missing.push(format!("the filter of system calls: {error}"));
            false
        }
    };
    // What there is must hold; what is missing is known to let things through.
    if sandbox.landlock || sandbox.seccomp {
        sandbox.escapes = attempts::escapes(sandbox.seccomp);
    }
    sandbox.missing = missing;
    sandbox
}

fn both(limit: u64) -> Rlimit {
    Rlimit { current: Some(limit), maximum: Some(limit) }
}

/// Whether every limit is in force.
fn limit(limits: Limits, missing: &mut Vec<String>) -> bool {
    let steps = [
        ("the death signal", rustix::process::set_parent_process_death_signal(Some(Signal::KILL))),
        ("no_new_privs", rustix::thread::set_no_new_privs(true)),
        ("dumpable", rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        ("the limit of memory", setrlimit(Resource::As, both(limits.memory_bytes))),
        ("the limit of CPU time", setrlimit(Resource::Cpu, both(limits.cpu_seconds))),
        ("the limit of written files", setrlimit(Resource::Fsize, both(0))),
        ("the limit of core dumps", setrlimit(Resource::Core, both(0))),
        ("the limit of locked memory", setrlimit(Resource::Memlock, both(0))),
    ];
    let mut all = true;
    for (what, done) in steps {
        if let Err(error) = done {
            missing.push(format!("{what}: {error}"));
            all = false;
        }
    }
    all
}

/// A ruleset without a rule: nothing is allowed of what it handles. Whether the kernel holds it.
fn no_files() -> Result<bool, landlock::RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK_WANTED))?
        .handle_access(AccessFs::from_all(LANDLOCK_ASKED))?
        .handle_access(AccessNet::from_all(LANDLOCK_ASKED))?
        .scope(Scope::from_all(LANDLOCK_ASKED))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
