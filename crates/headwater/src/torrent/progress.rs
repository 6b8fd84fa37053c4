//! How long work is shown: bars on a terminal, lines in a pipe, JSON lines for programs.
//!
//! Bars and plain lines go to stderr, for they are no results; JSON lines and results go to stdout.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    sync::OnceLock,
    time::{Duration, Instant},
};

use engine::{InfoHash, Snapshot, State};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{clock, human, printable};
use crate::say;

/// The bars on the terminal, for whoever else writes there.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Times a second that bars are drawn, at most.
const DRAWS_PER_SECOND: u8 = 8;
/// Between two plain lines of a torrent whose state stays the same.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Between two JSON lines of a torrent.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// Characters of a name before a bar.
const NAME_CHARS_MAX: usize = 32;

/// Where progress goes.
pub(crate) struct Progress {
    form: Form,
    shown: BTreeMap<InfoHash, Shown>,
}

enum Form {
    Bars(MultiProgress),
    Lines,
    Json,
}

struct Shown {
    bar: Option<ProgressBar>,
    state: State,
    at: Option<Instant>,
    begun: Instant,
    /// Bytes taken by earlier runs.
    taken_before: u64,
}

/// A line for programs.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    /// Seconds since the torrent was first shown.
    elapsed: f64,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
}

impl Progress {
    /// JSON where it was asked for, bars where somebody watches, lines elsewhere.
    pub(crate) fn new(json: bool) -> Self {
        let form = if json {
            Form::Json
        } else if let Some(bars) = bars() {
            Form::Bars(bars)
        } else {
            Form::Lines
        };
        Self { form, shown: BTreeMap::new() }
    }

    /// How often to look.
    pub(crate) fn interval(&self) -> Duration {
        match self.form {
            Form::Bars(_) => Duration::from_secs(1) / u32::from(DRAWS_PER_SECOND),
            Form::Lines | Form::Json => Duration::from_millis(200),
        }
    }

    /// Shows where a torrent is now.
    pub(crate) fn show(&mut self, snapshot: &Snapshot) {
        let form = &self.form;
        let shown = self.shown.entry(snapshot.info_hash).or_insert_with(|| Shown {
            bar: match form {
                Form::Bars(bars) => Some(bars.add(bar())),
                _ => None,
            },
            state: snapshot.state,
            at: None,
            begun: Instant::now(),
            taken_before: snapshot.downloaded,
        });
        let turned = shown.state != snapshot.state;
        let due = |every| turned || shown.at.is_none_or(|at| at.elapsed() >= every);
        match form {
            Form::Bars(_) => {
                if let Some(bar) = &shown.bar {
                    draw(bar, snapshot);
                }
            }
            Form::Lines if due(LINE_EVERY) => {
                note(format_args!("{}: {}", name(snapshot, usize::MAX), status(snapshot)));
                shown.at = Some(Instant::now());
            }
            Form::Json if due(JSON_EVERY) => {
                self.json("progress", snapshot);
                if let Some(shown) = self.shown.get_mut(&snapshot.info_hash) {
                    shown.at = Some(Instant::now());
                }
            }
            Form::Lines | Form::Json => {}
        }
        if let Some(shown) = self.shown.get_mut(&snapshot.info_hash) {
            shown.state = snapshot.state;
        }
    }

    /// Says what became of a torrent.
    pub(crate) fn turn(&self, kind: &str, snapshot: &Snapshot, words: impl std::fmt::Display) {
        match &self.form {
            Form::Json => self.json(kind, snapshot),
            Form::Bars(bars) => bars.suspend(|| say(words)),
            Form::Lines => say(words),
        }
    }

    /// Seconds since a torrent was first shown.
    pub(crate) fn elapsed(&self, info_hash: InfoHash) -> f64 {
        self.shown.get(&info_hash).map_or(0.0, |shown| shown.begun.elapsed().as_secs_f64())
    }

    /// Bytes taken since a torrent was first shown.
    pub(crate) fn taken(&self, snapshot: &Snapshot) -> u64 {
        let before = self.shown.get(&snapshot.info_hash).map_or(0, |shown| shown.taken_before);
        snapshot.downloaded.saturating_sub(before)
    }

    fn json(&self, kind: &str, snapshot: &Snapshot) {
        let line = Line { kind, elapsed: self.elapsed(snapshot.info_hash), snapshot };
        if let Ok(text) = serde_json::to_string(&line) {
            say(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // What is on the screen stays there, but nothing is drawn over it any more.
        for shown in self.shown.values() {
            if let Some(bar) = &shown.bar {
                bar.abandon();
            }
        }
    }
}

/// The bars of this process, where somebody watches.
fn bars() -> Option<MultiProgress> {
    io::stderr().is_terminal().then(|| {
        let target = || ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
        BARS.get_or_init(|| MultiProgress::with_draw_target(target())).clone()
    })
}

/// A thing that is watched for long: one bar, or a line now and then.
pub(crate) struct Watched {
    bar: Option<ProgressBar>,
    /// What the last line was about, and when it was written.
    last: Option<(&'static str, Instant)>,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self { bar: bars().map(|bars| bars.add(bar())), last: None }
    }

    /// Shows how much of it (0 to 1) is here, and `words`. A line is written when `phase` is another one, or after a while.
    pub(crate) fn show(&mut self, name: &str, part: f64, phase: &'static str, words: &str) {
        let Some(bar) = &self.bar else {
            if self.last.is_none_or(|(last, at)| last != phase || at.elapsed() >= LINE_EVERY) {
                note(format_args!("{name}: {words}"));
                self.last = Some((phase, Instant::now()));
            }
            return;
        };
        position(bar, part);
        bar.set_prefix(shortened(name, NAME_CHARS_MAX));
        bar.set_message(words.to_owned());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// A bar for work that is counted in bytes, such as hashing; hidden in a pipe.
pub(crate) fn byte_bar(length: u64, what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar =
        ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
    bar.set_style(style("{prefix} [{bar:30}] {percent:>3}%  {binary_bytes_per_sec}  {eta}"));
    bar.set_prefix(what.to_owned());
    bar
}

/// A line on stderr, beside the bars.
pub(crate) fn note(line: impl std::fmt::Display) {
    LogWriter.write_all(format!("{line}\n").as_bytes()).ok();
}

/// What logs are written through, so that they do not tear the bars.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match BARS.get() {
            Some(bars) => bars.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.set_style(style("{prefix} [{bar:24}] {percent:>3}%  {wide_msg}"));
    bar
}

fn style(template: &str) -> ProgressStyle {
    let bare = ProgressStyle::default_bar();
    bare.clone().template(template).unwrap_or(bare).progress_chars("=> ")
}

fn draw(bar: &ProgressBar, snapshot: &Snapshot) {
    position(bar, snapshot.progress);
    bar.set_prefix(name(snapshot, NAME_CHARS_MAX));
    bar.set_message(status(snapshot));
}

/// In thousandths: what is checked or fetched is not always counted in bytes.
fn position(bar: &ProgressBar, part: f64) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
    let thousandths = (part.clamp(0.0, 1.0) * 1000.0) as u64;
    bar.set_length(1000);
    bar.set_position(thousandths);
}

fn name(snapshot: &Snapshot, chars_max: usize) -> String {
    let hash = snapshot.info_hash.to_string();
    shortened(snapshot.name.as_deref().unwrap_or(&hash), chars_max)
}

fn shortened(name: &str, chars_max: usize) -> String {
    let name = printable(name);
    if name.chars().count() <= chars_max {
        return name;
    }
    name.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// What it does, in figures: rate, peers, time left, pieces.
fn status(snapshot: &Snapshot) -> String {
    let of_size = || format!("{} of {}", human(snapshot.have), human(snapshot.wanted));
    let pieces = || format!("{}/{} pieces", snapshot.pieces_have, snapshot.pieces);
    let peers = || format!("{} peers ({} seeds)", snapshot.peers, snapshot.seeds);
    let why = snapshot.reason.as_deref().map(|why| format!(": {}", printable(why))).unwrap_or_default();
    match snapshot.state {
        State::Metadata => format!("looking for the metadata, {}{why}", peers()),
        State::Checking => format!("checking {:.0} %, {}", snapshot.progress * 100.0, pieces()),
        State::Downloading => {
            let left = snapshot.eta.map(|eta| format!("{} left, ", clock(eta))).unwrap_or_default();
            format!(
                "{}, {}/s, {left}{}, {}, up {}/s{why}",
                of_size(),
                human(snapshot.download_rate),
                peers(),
                pieces(),
                human(snapshot.upload_rate)
            )
        }
        State::Seeding => format!(
            "seeding, up {}/s, {} given, ratio {:.2}, {}",
            human(snapshot.upload_rate),
            human(snapshot.uploaded),
            snapshot.ratio,
            peers()
        ),
        State::Finished => format!("done, {}, ratio {:.2}", of_size(), snapshot.ratio),
        State::Idle => format!("idle, {}", of_size()),
        State::Paused => format!("paused, {}", of_size()),
        State::Failed => format!("stopped{why}"),
    }
}
