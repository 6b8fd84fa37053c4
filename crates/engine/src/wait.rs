//! Why somebody waits, in facts: a pure function of what is known of a torrent, and the words for it.
//!
//! What a player is told while it sees no picture. The facts are gathered by the torrent's task; who is asked for what is
//! decided elsewhere.

use std::time::{Duration, SystemTime};

use metainfo::FileIndex;
use serde::Serialize;

/// Nobody connected has had what is waited for, for this long: there are no seeders.
const NO_SEEDERS_AFTER: Duration = Duration::from_secs(15);
/// A rate that was measured over less says nothing yet.
const RATE_KNOWN_AFTER: Duration = Duration::from_secs(2);

/// Why a reader, or a torrent without its metadata, waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// An error stopped the torrent: the disk is full, a file was changed.
    Failed {
        /// The error's own words.
        detail: String,
    },
    /// The user paused it.
    Paused,
    /// What is on disk is being hashed.
    Checking {
        /// From 0 to 1.
        progress: f64,
    },
    /// No packet may leave: the interface or the proxy is not there.
    Blocked {
        /// Which.
        detail: String,
    },
    /// The metadata (names, sizes, hashes) comes from peers.
    Metadata {
        /// Peers connected, all of which are asked if they have it.
        peers: usize,
        /// Those that sent some of it.
        answered: usize,
    },
    /// Nobody is connected.
    Peers {
        /// The means by which peers are looked for.
        #[serde(flatten)]
        means: Means,
        /// Addresses known.
        candidates: usize,
        /// Connections being tried.
        connecting: usize,
    },
    /// Nobody connected has had what is missing for 15 s.
    NoSeeders {
        /// From 0 to 1: how much of the file is here.
        have: f64,
        /// Peers connected.
        peers: usize,
    },
    /// It comes slower than it is played.
    Slow {
        /// Peers that serve what is missing.
        peers: usize,
        /// Bytes a second that come into the reader's window, over five seconds.
        rate: u64,
        /// Bytes a second that playing takes.
        need: u64,
        /// Seconds from now after which it could play to the end without another wait, if nothing changes.
        seconds: Option<f64>,
    },
    /// A piece is on its way.
    Piece {
        /// Which.
        piece: u32,
        /// Peers that have it.
        peers: usize,
        /// Those of them that serve us.
        serving: usize,
        /// Bytes a second that come into the reader's window, over five seconds.
        rate: u64,
    },
}

/// The means by which peers are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Means {
    /// The DHT.
    pub dht: bool,
    /// The local network.
    pub lsd: bool,
    /// How many trackers.
    pub trackers: usize,
}

/// A wait: why, since when, for which file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wait {
    /// Why.
    #[serde(flatten)]
    pub cause: Cause,
    /// Since when, RFC 3339.
    #[serde(with = "crate::snapshot::time")]
    pub since: SystemTime,
    /// The file that is read; `None` as long as files are not known.
    pub file: Option<FileIndex>,
}

/// An open reader: where it is, and what it waits for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watching {
    /// The file that it reads.
    pub file: FileIndex,
    /// Its position: the next byte of the file that it takes.
    pub position: u64,
    /// The byte of the file up to which is fetched for it before all else.
    pub window_end: u64,
    /// Bytes a second that come into its window, over five seconds.
    pub rate: u64,
    /// Bytes a second that playing takes; `None` as long as nobody knows.
    pub need: Option<u64>,
    /// What it waits for; `None` when it has what it asked for.
    pub wait: Option<Wait>,
}

/// Who reads a torrent, and what they wait for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Playback {
    /// The longest wait; `None` when nobody waits.
    pub wait: Option<Wait>,
    /// The readers.
    pub readers: Vec<Watching>,
}

impl Playback {
    /// The longest wait of those who read `file`; of everybody as long as files are not known.
    #[must_use]
    pub fn wait_of(&self, file: FileIndex) -> Option<&Wait> {
        let whole = self.wait.iter().filter(|wait| wait.file.is_none_or(|of| of == file));
        let own = self.readers.iter().filter(|reader| reader.file == file);
        whole.chain(own.filter_map(|reader| reader.wait.as_ref())).min_by_key(|wait| wait.since)
    }
}

/// What is known of a torrent, as far as it explains a wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// An error's words.
    pub(crate) failed: Option<String>,
    pub(crate) paused: bool,
    /// How far hashing is.
    pub(crate) checking: Option<f64>,
    /// Why no packet leaves.
    pub(crate) blocked: Option<String>,
    /// The metadata is here.
    pub(crate) known: bool,
    /// Peers that sent some of it.
    pub(crate) answered: usize,
    /// Peers connected, web seeds among them.
    pub(crate) peers: usize,
    pub(crate) candidates: usize,
    pub(crate) connecting: usize,
    pub(crate) means: Means,
    /// How long nobody connected has had what is missing.
    pub(crate) sourceless: Duration,
}

/// What is known of a read that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// No read has waited for long, but short ones do most of the time.
    pub(crate) brief: bool,
    /// The first piece that is missing, who has it, and how many of those serve us.
    pub(crate) piece: u32,
    pub(crate) sources: usize,
    pub(crate) serving: usize,
    /// Bytes a second into the window, and over how long that could be measured.
    pub(crate) rate: u64,
    pub(crate) measured: Duration,
    pub(crate) need: Option<u64>,
    /// Bytes from the position to the file's end, and those of them that are missing.
    pub(crate) left: u64,
    pub(crate) missing: u64,
    /// From 0 to 1: how much of the file is here.
    pub(crate) have: f64,
}

/// Why there is a wait: of a reader, or (without one) of a torrent that has no metadata. The first that holds.
pub(crate) fn cause(facts: &Facts, reading: Option<&Reading>) -> Option<Cause> {
    // Reads do not wait for what has failed: they fail as well.
    if let Some(detail) = facts.failed.clone() {
        return Some(Cause::Failed { detail });
    }
    if reading.is_none() && (facts.known || facts.paused) {
        return None;
    }
    if facts.paused {
        return Some(Cause::Paused);
    }
    if let Some(progress) = facts.checking {
        return Some(Cause::Checking { progress });
    }
    if let Some(detail) = facts.blocked.clone() {
        return Some(Cause::Blocked { detail });
    }
    let Facts { peers, candidates, connecting, means, .. } = *facts;
    let alone = Cause::Peers { means, candidates, connecting };
    let Some(reading) = reading.filter(|_| facts.known) else {
        return Some(if peers == 0 { alone } else { Cause::Metadata { peers, answered: facts.answered } });
    };
    if reading.sources == 0 && facts.sourceless >= NO_SEEDERS_AFTER {
        return Some(Cause::NoSeeders { have: reading.have, peers });
    }
    if peers == 0 {
        return Some(alone);
    }
    let rate = reading.rate;
    match reading.need {
        Some(need) if reading.serving > 0 && rate < need && reading.measured >= RATE_KNOWN_AFTER => {
            let seconds = smooth_after(reading.missing, rate, reading.left, need);
            Some(Cause::Slow { peers: reading.serving, rate, need, seconds })
        }
        // As it should be on a line that is fast enough: a player that fills its buffer takes all that comes.
        _ if reading.brief => None,
        _ => {
            let Reading { piece, sources, serving, .. } = *reading;
            Some(Cause::Piece { piece, peers: sources, serving, rate })
        }
    }
}

/// After how long `left` bytes can be played at `need`, when `missing` of them come at `rate`: fetching ends no later than
/// playing does.
#[expect(clippy::cast_precision_loss, reason = "an estimate in seconds")]
fn smooth_after(missing: u64, rate: u64, left: u64, need: u64) -> Option<f64> {
    let seconds = missing as f64 / rate as f64 - left as f64 / need as f64;
    (rate > 0 && need > 0).then(|| seconds.max(0.0))
}

impl Wait {
    /// The wait in plain English, as of `now`.
    #[must_use]
    pub fn text(&self, now: SystemTime) -> String {
        let peers = |count: usize| if count == 1 { "1 peer".to_owned() } else { format!("{count} peers") };
        match &self.cause {
            Cause::Failed { detail } | Cause::Blocked { detail } => detail.clone(),
            Cause::Paused => "Paused".into(),
            Cause::Checking { progress } => format!("Checking files · {}", percent(*progress)),
            Cause::Metadata { peers: asked, answered } => {
                format!("Getting file list · {answered} of {} answered", peers(*asked))
            }
            Cause::Peers { means, .. } => {
                let waited = now.duration_since(self.since).unwrap_or_default().as_secs();
                format!("Looking for peers · {means} · {waited} s")
            }
            Cause::NoSeeders { have, .. } => {
                format!("No seeders · {} here, rest unavailable", percent(*have))
            }
            Cause::Slow { peers: count, rate, need, seconds } => {
                let after = seconds.map(|seconds| format!(" · about {seconds:.0} s")).unwrap_or_default();
                format!("{}, {}, need {}{after}", peers(*count), per_second(*rate), per_second(*need))
            }
            Cause::Piece { piece, peers: count, serving, .. } => {
                let who = match (*count, *serving) {
                    (0, _) => "nobody connected has it".to_owned(),
                    (1, 0) => "1 peer has it and does not serve us yet".to_owned(),
                    (count, 0) => format!("{count} peers have it and do not serve us yet"),
                    (1, _) => "1 peer has it".to_owned(),
                    (count, _) => format!("{count} peers have it"),
                };
                format!("Waiting for piece {piece} · {who}")
            }
        }
    }
}

impl std::fmt::Display for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let trackers = match self.trackers {
            0 => None,
            1 => Some("1 tracker".to_owned()),
            count => Some(format!("{count} trackers")),
        };
        let parts =
            [self.dht.then(|| "DHT".to_owned()), trackers, self.lsd.then(|| "local network".to_owned())];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { f.write_str("given addresses only") } else { f.write_str(&parts.join(", ")) }
    }
}

/// Whole percents, never 100 before it is.
fn percent(share: f64) -> String {
    format!("{:.0}%", (share * 100.0).floor())
}

/// As people read rates: `1.2 MB/s`, `840 kB/s`.
#[expect(clippy::cast_precision_loss, reason = "shown to two digits")]
fn per_second(bytes: u64) -> String {
    if bytes >= 1_000_000 {
        format!("{:.1} MB/s", bytes as f64 / 1e6)
    } else {
        format!("{:.0} kB/s", bytes as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn facts() -> Facts {
        Facts { known: true, peers: 3, ..Facts::default() }
    }

    fn reading() -> Reading {
        Reading {
            brief: false,
            piece: 412,
            sources: 3,
            serving: 3,
            rate: 1_200_000,
            measured: 5 * S,
            need: Some(2_100_000),
            left: 210_000_000,
            missing: 168_000_000,
            have: 0.62,
        }
    }

    #[test]
    #[rustfmt::skip]
    fn each_cause_is_told_by_its_facts_and_the_first_that_holds_counts() {
        let means = Means { dht: true, lsd: false, trackers: 3 };
        let full = || Some("no space left on device".to_owned());
        let table: Vec<(&str, Facts, Option<Reading>, Option<&str>)> = vec![
            ("nobody reads", facts(), None, None),
            ("paused, nobody reads", Facts { paused: true, known: false, ..facts() }, None, None),
            ("the disk is full", Facts { failed: full(), ..facts() }, Some(reading()), Some("no space left on device")),
            ("full and paused", Facts { failed: full(), paused: true, ..facts() }, Some(reading()), Some("no space left on device")),
            ("full, the read has failed", Facts { failed: full(), ..facts() }, None, Some("no space left on device")),
            ("paused", Facts { paused: true, peers: 0, ..facts() }, Some(reading()), Some("Paused")),
            ("checking", Facts { checking: Some(0.409), ..facts() }, Some(reading()), Some("Checking files · 40%")),
            ("no tunnel", Facts { blocked: Some("wg0 is down".into()), peers: 0, ..facts() }, Some(reading()), Some("wg0 is down")),
            ("a magnet, alone", Facts { known: false, peers: 0, means, ..facts() }, None, Some("Looking for peers · DHT, 3 trackers · 12 s")),
            ("a magnet, given peers only", Facts { known: false, peers: 0, ..facts() }, None, Some("Looking for peers · given addresses only · 12 s")),
            ("a magnet, asked for to read", Facts { known: false, peers: 0, means, ..facts() }, Some(reading()), Some("Looking for peers · DHT, 3 trackers · 12 s")),
            ("a magnet, among peers", Facts { known: false, peers: 14, ..facts() }, None, Some("Getting file list · 0 of 14 peers answered")),
            ("a magnet that is coming", Facts { known: false, peers: 14, answered: 2, ..facts() }, None, Some("Getting file list · 2 of 14 peers answered")),
            ("alone for a while", Facts { peers: 0, sourceless: 14 * S, means, ..facts() }, Some(Reading { sources: 0, serving: 0, ..reading() }), Some("Looking for peers · DHT, 3 trackers · 12 s")),
            ("alone for long", Facts { peers: 0, sourceless: 15 * S, ..facts() }, Some(Reading { sources: 0, serving: 0, ..reading() }), Some("No seeders · 62% here, rest unavailable")),
            ("among leechers for long", Facts { sourceless: 15 * S, ..facts() }, Some(Reading { sources: 0, serving: 0, have: 0.999, ..reading() }), Some("No seeders · 99% here, rest unavailable")),
            ("among leechers", Facts { sourceless: 5 * S, ..facts() }, Some(Reading { sources: 0, serving: 0, ..reading() }), Some("Waiting for piece 412 · nobody connected has it")),
            ("a source came just now", Facts { sourceless: 20 * S, ..facts() }, Some(Reading { sources: 1, serving: 0, ..reading() }), Some("Waiting for piece 412 · 1 peer has it and does not serve us yet")),
            ("choked", facts(), Some(Reading { serving: 0, ..reading() }), Some("Waiting for piece 412 · 3 peers have it and do not serve us yet")),
            ("too slow", facts(), Some(reading()), Some("3 peers, 1.2 MB/s, need 2.1 MB/s · about 40 s")),
            ("nothing comes", facts(), Some(Reading { rate: 0, ..reading() }), Some("3 peers, 0 kB/s, need 2.1 MB/s")),
            ("not measured yet", facts(), Some(Reading { measured: S, ..reading() }), Some("Waiting for piece 412 · 3 peers have it")),
            ("fast enough", facts(), Some(Reading { rate: 2_100_000, sources: 1, ..reading() }), Some("Waiting for piece 412 · 1 peer has it")),
            ("too slow, in short waits", facts(), Some(Reading { brief: true, ..reading() }), Some("3 peers, 1.2 MB/s, need 2.1 MB/s · about 40 s")),
            ("fast enough, in short waits", facts(), Some(Reading { brief: true, rate: 2_100_000, ..reading() }), None),
            ("the need is not known, in short waits", facts(), Some(Reading { brief: true, need: None, ..reading() }), None),
            ("paused after short waits", Facts { paused: true, ..facts() }, Some(Reading { brief: true, ..reading() }), Some("Paused")),
            ("the need is not known", facts(), Some(Reading { need: None, ..reading() }), Some("Waiting for piece 412 · 3 peers have it")),
        ];
        let since = SystemTime::UNIX_EPOCH;
        for (name, facts, reading, expected) in table {
            let wait = cause(&facts, reading.as_ref()).map(|cause| Wait { cause, since, file: None });
            let text = wait.map(|wait| wait.text(since + 12 * S));
            assert_eq!(text.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_wait_is_one_flat_object() {
        let cause = cause(&facts(), Some(&reading())).unwrap();
        let wait = Wait { cause, since: SystemTime::UNIX_EPOCH, file: Some(FileIndex(2)) };
        let expected = serde_json::json!({ "cause": "slow", "peers": 3, "rate": 1_200_000, "need": 2_100_000,
            "seconds": 40.0, "since": "1970-01-01T00:00:00Z", "file": 2 });
        assert_eq!(serde_json::to_value(&wait).unwrap(), expected);
    }

    #[test]
    fn a_files_wait_is_its_own_readers_longest() {
        let wait = |file, seconds| Wait {
            cause: Cause::Paused,
            since: SystemTime::UNIX_EPOCH + seconds * S,
            file: Some(FileIndex(file)),
        };
        let watching = |file, wait| Watching {
            file: FileIndex(file),
            position: 0,
            window_end: 0,
            rate: 0,
            need: None,
            wait,
        };
        let readers = vec![watching(0, Some(wait(0, 5))), watching(1, Some(wait(1, 9))), watching(1, None)];
        let playback = Playback { wait: Some(wait(0, 5)), readers };
        assert_eq!(playback.wait_of(FileIndex(1)), Some(&wait(1, 9)));
        assert_eq!(playback.wait_of(FileIndex(0)), Some(&wait(0, 5)));
        assert_eq!(playback.wait_of(FileIndex(7)), None);
    }
}
