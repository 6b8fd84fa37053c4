//! Ten thousand damaged films, each opened, planned, cut and packed: no panic, no circle, 256 MiB, a second each.
//!
//! The work is done in children with a memory limit, so that a failed allocation is theirs. A failure is named by its
//! film, seed and number and leaves the damaged file behind: `HEADWATER_MUTATE_SEED=… HEADWATER_MUTATE_ONLY=…` repeats it,
//! `HEADWATER_MUTATE_FILMS=.mp4` keeps to films whose name holds that.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and its child reports on stderr"
)]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hostile::{Mutator, Reached, film, walk};

/// Small films of every kind, so that ten thousand copies of them are made quickly.
const FILMS: &[&str] = &[
    "one-frame.mkv",
    "one-frame.mp4",
    "short.mp4",
    "tail.mkv",
    "tail.mp4",
    "hevc-opengop.mkv",
    "hevc-closed.mp4",
    "vp9.webm",
    "vp9.mp4",
    "av1.mkv",
    "av1.mp4",
    "audio-opus.mka",
    "audio-mp3.mka",
    "audio.m4a",
    "no-bframes.mp4",
    "fifty-nine-94.mkv",
    "rotated.mp4",
    "eac3.mkv",
    "eac3.mp4",
    "mp3.mkv",
    "he-aac-rate.mkv",
    "ebml-lacing.mkv",
    "xiph-lacing.mkv",
    "header-stripping.mkv",
    "zlib.mkv",
    "block-groups.mkv",
    "unknown-sizes.mkv",
    "fragmented.mp4",
    "fragmented-dash.mp4",
    "h264.mp4",
    "chapters.mkv",
    "many-tracks.mkv",
];

const MEMORY_KIB: u64 = 256 << 10;
const CPU_MAX: Duration = Duration::from_secs(1);
const SEED: u64 = 7;
const COUNT: u64 = 10_000;
/// One for each core of the machine that the change gate runs on.
const CHILDREN: u64 = 2;
/// Enough to see what kind of mistake it is.
const FAILURES_MAX: u32 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("HEADWATER_FIXTURES").map_or_else(|| workspace.join("target/fixtures"), PathBuf::from)
}

/// Time this thread was on a core: what it takes on a machine that others use too.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn ten_thousand_damaged_films_neither_panic_nor_take_more_than_a_second_and_256_mib() {
    let seconds = number("HEADWATER_MUTATE_SECONDS");
    let children: Vec<_> = (0..CHILDREN)
        .map(|child| {
            Command::new("sh")
                .args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
                .env("HEADWATER_MUTATE_CHILD", child.to_string())
                .env("HEADWATER_MUTATE_COUNT", if seconds.is_some() { u64::MAX } else { COUNT }.to_string())
                // A second arena would reserve a quarter of the memory for nothing.
                .env("MALLOC_ARENA_MAX", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut complaints = String::new();
    for (child, running) in children.into_iter().enumerate() {
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            eprintln!("{}", said.lines().last().unwrap_or_default());
        } else {
            let at = fs::read_to_string(note(child as u64)).unwrap_or_default();
            complaints += &format!("child {child}: {} at {at}:\n{said}\n", output.status);
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

/// Where a child says what it is at, for when it dies of it.
fn note(child: u64) -> PathBuf {
    left_behind().join(format!("at-{child}"))
}

fn left_behind() -> PathBuf {
    let folder = folder().parent().unwrap().join("mutations");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
#[ignore = "run by the test above, with a memory limit"]
fn child() {
    let Some(child) = number("HEADWATER_MUTATE_CHILD") else { return };
    let count = number("HEADWATER_MUTATE_COUNT").unwrap_or(COUNT);
    let seed = number("HEADWATER_MUTATE_SEED").unwrap_or(SEED);
    let only = number("HEADWATER_MUTATE_ONLY");
    let until = number("HEADWATER_MUTATE_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let mutator = Mutator::new(seed);
    let films = FILMS.len() as u64;
    let mut tally = Tally::default();
    let only_films = std::env::var("HEADWATER_MUTATE_FILMS").unwrap_or_default();
    for (n, name) in (0..films).zip(FILMS).filter(|(_, name)| name.contains(&only_films)) {
        let file =
            fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}: make the fixtures first"));
        let marks = Mutator::landmarks(&file);
        // Each film its share of the numbers; a time limit is shared out likewise.
        let share = until.map(|until| {
            let rest = until.saturating_duration_since(Instant::now());
            Instant::now() + rest / u32::try_from(films - n).unwrap()
        });
        let mut numbers = (n..count).step_by(usize::try_from(films).unwrap());
        while tally.failures < FAILURES_MAX && share.is_none_or(|end| Instant::now() < end) {
            let Some(number) = numbers.next() else { break };
            if number / films % CHILDREN != child || only.is_some_and(|only| only != number) {
                continue;
            }
            fs::write(note(child), format!("{name}, seed {seed}, number {number}")).unwrap();
            let damaged = Bytes::from(mutator.damage(number, &file, &marks));
            if let Some(complaint) = tally.run(&damaged) {
                fs::write(left_behind().join(format!("{seed}-{number}-{name}")), &damaged).unwrap();
                eprintln!("{name}, seed {seed}, number {number}: {complaint}");
            }
        }
    }
    eprintln!("{tally:?}");
    assert_eq!(tally.failures, 0, "the damaged films are in {}", left_behind().display());
    fs::remove_file(note(child)).unwrap();
}

#[derive(Debug, Default)]
struct Tally {
    refused: u32,
    opened: u32,
    planned: u32,
    packed: u32,
    failures: u32,
    slowest: Duration,
}

impl Tally {
    fn run(&mut self, damaged: &Bytes) -> Option<String> {
        let begin = cpu();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            walk(damaged);
            film(damaged)
        }));
        let took = cpu() - begin;
        self.slowest = self.slowest.max(took);
        let complaint = match outcome {
            Ok(reached) => {
                *match reached {
                    Reached::Refused => &mut self.refused,
                    Reached::Opened => &mut self.opened,
                    Reached::Planned => &mut self.planned,
                    Reached::Packed => &mut self.packed,
                } += 1;
                (took > CPU_MAX).then(|| format!("took {took:?}"))
            }
            Err(_) => Some("panicked".to_owned()),
        };
        self.failures += u32::from(complaint.is_some());
        complaint
    }
}
