//! `bench-stream`: films played while they download, beside webtorrent, peerflix, libtorrent's deadlines and rqbit in one run.
//!
//! Judges nothing: prints tables with what the lines allow and how many times that each player took. What is done to whom is
//! in `bench/stream/measure.py`, one measurement a call; here they are taken in turn, so that a machine that is busy for
//! a while is busy for everybody, and medians are made. Needs root for the slow lines.
//! Usage: `bench-stream HEADWATER_BINARY PYTHON [--quick] [--rounds N] [--only WHAT|SETTING]...`, where PYTHON has libtorrent from PyPI.

#[path = "../machine.rs"]
mod machine;
#[path = "../torrent/measurements.rs"]
mod measurements;
#[path = "../table.rs"]
mod table;

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{
    machine::{machine, memory, note},
    measurements::{Kind, Measured, Runner},
    table::Table,
};

const USAGE: &str = "usage: bench-stream HEADWATER_BINARY PYTHON [--quick] [--rounds N] \
    [--only seek|index|play|segments|four|slow|large]...";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/stream/measure.py");

const PLAYERS: &[&str] = &["headwater", "libtorrent", "libtorrent-window", "webtorrent", "peerflix", "rqbit"];
/// The same server twice: its segments, and the same bytes of its plain file.
const OUR_PATHS: &[&str] = &["headwater-hls", "headwater-file"];

/// The lines and the torrent.
struct Setting {
    name: &'static str,
    title: &'static str,
    /// Bytes a second of each seeder's line.
    rates: &'static str,
    piece: u32,
}

const SETTINGS: &[Setting] = &[
    Setting {
        name: "four",
        title: "four seeders of 1 MiB/s, 1 MiB pieces",
        rates: "1048576,1048576,1048576,1048576",
        piece: 1 << 20,
    },
    Setting {
        name: "slow",
        title: "three seeders of 1 MiB/s and one of 64 KiB/s, 1 MiB pieces",
        rates: "1048576,1048576,1048576,65536",
        piece: 1 << 20,
    },
    Setting {
        name: "large",
        title: "four seeders of 1 MiB/s, 4 MiB pieces",
        rates: "1048576,1048576,1048576,1048576",
        piece: 4 << 20,
    },
];

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let headwater = PathBuf::from(arguments.next().context(USAGE)?).canonicalize().context("headwater")?;
    let python = PathBuf::from(arguments.next().context(USAGE)?);
    let (mut quick, mut rounds, mut only) = (false, None, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--rounds" => {
                rounds = Some(arguments.next().and_then(|rounds| rounds.parse().ok()).context(USAGE)?)
            }
            "--only" => only.push(arguments.next().context(USAGE)?),
            _ => anyhow::bail!(USAGE),
        }
    }
    let work = memory().join(format!("headwater-bench-stream-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let report = run(&Runner::new(headwater, python, work.clone(), SCRIPT), quick, rounds, &only);
    let _ = fs::remove_dir_all(&work);
    let report = report?;
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    {
        println!("{report}");
    }
    Ok(())
}

fn run(runner: &Runner, quick: bool, rounds: Option<usize>, only: &[String]) -> Result<String> {
    let mut clients = runner.clients()?;
    let versions: Vec<String> = clients.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let left_out: Vec<&str> =
        PLAYERS.iter().copied().filter(|player| !clients.contains_key(*player)).collect();
    let mut report =
        format!("## Playing while it downloads, side by side\n\n{}\n{}\n", machine(), versions.join(", "));
    if !left_out.is_empty() {
        let line = format!("Not installed, left out: {}", left_out.join(", "));
        note(&line);
        report += &format!("{line}\n");
    }
    for path in OUR_PATHS {
        clients.insert((*path).into(), String::new());
    }
    for setting in SETTINGS {
        for Plan { kind, rounds } in plans(setting, quick, rounds) {
            if !asked_for(only, setting, &kind) {
                continue;
            }
            let here: Vec<&str> =
                kind.clients.iter().copied().filter(|client| clients.contains_key(*client)).collect();
            let mut found: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
            for round in 1..=rounds {
                for client in &here {
                    note(&format!("{} {}: {client}, {round} of {rounds}", setting.name, kind.what));
                    found.entry(client).or_default().push(runner.measure(&kind, client)?);
                }
            }
            report += &table(&kind, &here, &found).markdown();
        }
    }
    Ok(report)
}

/// Whether the names after `--only` leave it in: some are of settings, some of what is measured.
fn asked_for(only: &[String], setting: &Setting, kind: &Kind) -> bool {
    let is_setting = |name: &&String| SETTINGS.iter().any(|setting| setting.name == name.as_str());
    let (settings, kinds): (Vec<&String>, Vec<&String>) = only.iter().partition(is_setting);
    (settings.is_empty() || settings.iter().any(|name| *name == setting.name))
        && (kinds.is_empty() || kinds.iter().any(|name| *name == kind.what))
}

struct Plan {
    kind: Kind,
    rounds: usize,
}

fn plans(setting: &Setting, quick: bool, rounds: Option<usize>) -> Vec<Plan> {
    // Ten minutes of film in a minute; a third of that where the setting is another.
    let film: u32 = if !quick && setting.name == "four" { 600 } else { 200 };
    let arguments = vec![
        "--rates".to_owned(),
        setting.rates.to_owned(),
        "--piece".to_owned(),
        setting.piece.to_string(),
        "--film".to_owned(),
        film.to_string(),
    ];
    let kind = |what, title: String, clients, columns| Kind {
        what,
        title: format!("{title}: {}", setting.title),
        arguments: arguments.clone(),
        clients,
        columns,
    };
    let rounds = rounds.unwrap_or(if quick { 1 } else { 3 });
    vec![
        Plan {
            kind: kind(
                "seek",
                "First bytes of a .torrent, seeks after a second of rest".into(),
                PLAYERS,
                &[
                    ("first byte s", "start_first", 1.0, 2),
                    ("4 MiB s", "start_4", 1.0, 2),
                    ("seek to 50 % s", "half_first", 1.0, 2),
                    ("4 MiB there s", "half_4", 1.0, 2),
                    ("seek to 90 % s", "ninety_first", 1.0, 2),
                    ("4 MiB there s", "ninety_4", 1.0, 2),
                ],
            ),
            rounds,
        },
        Plan {
            kind: kind(
                "index",
                "A magnet whose film has its index at the end".into(),
                PLAYERS,
                &[("first byte s", "magnet_first", 1.0, 2), ("then the last 512 KiB s", "tail", 1.0, 2)],
            ),
            rounds,
        },
        Plan {
            kind: kind(
                "play",
                format!("{film} s of film, played as fast as the lines less a tenth"),
                PLAYERS,
                &[
                    ("times its speed", "times", 1.0, 1),
                    ("playing after s", "start", 1.0, 2),
                    ("stalls", "stalls", 1.0, 0),
                    ("stalled s", "stall", 1.0, 2),
                    ("sent for nothing %", "waste", 100.0, 1),
                    ("peak MiB", "rss", 1.0 / 1024.0, 0),
                ],
            ),
            rounds: 1,
        },
        Plan {
            kind: kind(
                "segments",
                "A magnet's segments, and the same bytes of the plain file".into(),
                OUR_PATHS,
                &[
                    ("master playlist s", "master", 1.0, 2),
                    ("segment list s", "list", 1.0, 2),
                    ("first segment s", "first", 1.0, 2),
                    ("seek to 50 %, whole segment s", "half", 1.0, 2),
                    ("seek to 90 % s", "ninety", 1.0, 2),
                ],
            ),
            rounds,
        },
    ]
}

/// Medians, and how many times what the lines allow each is.
fn table(kind: &Kind, clients: &[&str], found: &BTreeMap<&str, Vec<Measured>>) -> Table {
    let mut head = vec!["player"];
    head.extend(kind.columns.iter().map(|(name, ..)| *name));
    let mut table = Table::new(&kind.title, &head);
    let median = |client: &str, key: &str| found.get(client).and_then(|runs| Measured::median(runs, key));
    for client in clients {
        let mut row = vec![(*client).to_owned()];
        for (_, key, factor, digits) in kind.columns {
            let cell = median(client, key).map_or("-".into(), |value| {
                let shown = format!("{:.*}", *digits, value * factor);
                match median(client, &format!("bound_{key}")) {
                    Some(bound) if bound > 0.0 => {
                        format!("{shown} of {:.*}: {:.2}x", *digits, bound * factor, value / bound)
                    }
                    _ => shown,
                }
            });
            row.push(cell);
        }
        let failures = found.get(client).map(|runs| Measured::failures(runs)).unwrap_or_default();
        if let Some(why) = failures.first() {
            row.push(format!("{} of {} failed: {why}", failures.len(), found[client].len()));
        }
        table.row(row);
    }
    table
}
