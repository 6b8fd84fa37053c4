//! Where measurements are taken, and what the person who waits for them is told.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A folder in memory, so that no disk is measured.
pub(crate) fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { env::temp_dir() }
}

/// What this machine is, and how busy.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{cores} cores of {}, loopback, data in memory, load {load} at the start",
        model.unwrap_or("some make")
    )
}

/// What is being measured, on stderr: it takes minutes.
pub(crate) fn note(text: &str) {
    #[expect(clippy::print_stderr, reason = "progress of a command")]
    {
        eprintln!("{text}");
    }
}
