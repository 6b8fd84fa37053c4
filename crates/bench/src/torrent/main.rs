//! `bench-torrent`: downloads, seeds, starts from magnets, seeks, rests and is lied to, beside libtorrent, aria2,
//! transmission and rqbit in one run.
//!
//! Judges nothing: prints tables with ratios. What is done to whom is in `bench/torrent/*.py`, one measurement a call;
//! here they are taken in turn, so that a machine that is busy for a while is busy for everybody, and medians are made.
//! Usage: `bench-torrent HEADWATER_BINARY PYTHON [--quick] [--only WHAT]...`, where PYTHON has libtorrent from PyPI.

#[path = "../machine.rs"]
mod machine;
mod measurements;
#[path = "../table.rs"]
mod table;

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{
    machine::{machine, memory, note},
    measurements::{Column, Kind, Measured, Runner},
    table::Table,
};

const USAGE: &str =
    "usage: bench-torrent HEADWATER_BINARY PYTHON [--quick] [--only bulk|seed|magnet|seek|idle|garbage]...";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/torrent/measure.py");

/// Of bytes that were moved.
const TRANSFER: &[Column] = &[
    ("MiB/s", "rate", 1.0, 0),
    ("s", "wall", 1.0, 2),
    ("CPU s per GiB", "cpu_per_gib", 1.0, 2),
    ("peak MiB", "rss", 1.0 / 1024.0, 0),
];

/// How large and how often.
struct Scale {
    rounds: usize,
    /// Bytes that bulk and seeding move.
    bulk: u64,
    /// Bytes of the film that is sought in; of the one that a liar seeds.
    film: u64,
    idle: u32,
    idle_seconds: u32,
}

const FULL: Scale = Scale { rounds: 3, bulk: 2 << 30, film: 256 << 20, idle: 1000, idle_seconds: 30 };
const QUICK: Scale = Scale { rounds: 1, bulk: 256 << 20, film: 128 << 20, idle: 200, idle_seconds: 5 };

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let headwater = PathBuf::from(arguments.next().context(USAGE)?).canonicalize().context("headwater")?;
    let python = PathBuf::from(arguments.next().context(USAGE)?);
    let (mut scale, mut only) = (FULL, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => scale = QUICK,
            "--only" => only.push(arguments.next().context(USAGE)?),
            _ => anyhow::bail!(USAGE),
        }
    }
    let work = memory().join(format!("headwater-bench-torrent-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let report = run(Runner::new(headwater, python, work.clone(), SCRIPT), &scale, &only);
    let _ = fs::remove_dir_all(&work);
    let report = report?;
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    {
        println!("{report}");
    }
    Ok(())
}

fn run(runner: Runner, scale: &Scale, only: &[String]) -> Result<String> {
    let clients = runner.clients()?;
    let versions: Vec<String> = clients.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let mut report = format!("## Torrent clients, side by side\n\n{}\n{}\n", machine(), versions.join(", "));
    for kind in kinds(scale) {
        if !only.is_empty() && !only.iter().any(|name| name == kind.what) {
            continue;
        }
        note(&kind.title);
        let here: Vec<&str> =
            kind.clients.iter().copied().filter(|client| clients.contains_key(*client)).collect();
        let mut found: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
        for _ in 0..scale.rounds {
            for client in &here {
                found.entry(client).or_default().push(runner.measure(&kind, client)?);
            }
        }
        report += &table(&kind, &here, &found).markdown();
    }
    Ok(report)
}

const ALL: &[&str] = &["headwater", "libtorrent", "libtorrent-debian", "aria2", "transmission", "rqbit"];
const SEEDING: &[&str] = &["headwater", "libtorrent", "libtorrent-debian", "aria2", "transmission"];
const OURS_AND_LIBTORRENT: &[&str] = &["headwater", "libtorrent"];

fn kinds(scale: &Scale) -> Vec<Kind> {
    let size = |bytes: u64| vec!["--size".to_owned(), bytes.to_string()];
    let with = |mut arguments: Vec<String>, more: &[&str]| {
        arguments.extend(more.iter().map(ToString::to_string));
        arguments
    };
    let mib = |bytes: u64| bytes >> 20;
    let bulk = |piece_kib: u32| Kind {
        what: "bulk",
        title: format!(
            "Download {} MiB from one libtorrent seeder, pieces of {piece_kib} KiB",
            mib(scale.bulk)
        ),
        arguments: with(size(scale.bulk), &["--piece", &(piece_kib << 10).to_string()]),
        clients: ALL,
        columns: TRANSFER,
    };
    let seek = |wanted: &str, more: &[&str]| Kind {
        what: "seek",
        title: format!(
            "Four seeders of 1 MiB/s, 1 MiB pieces, {wanted}; the links allow 0.25 s for a piece, 1.25 s for five"
        ),
        arguments: with(size(scale.film), more),
        clients: OURS_AND_LIBTORRENT,
        columns: &[
            ("first byte s", "first", 1.0, 2),
            ("4 MiB s", "first_4", 1.0, 2),
            ("after a seek s", "seek_first", 1.0, 2),
            ("4 MiB after it s", "seek_4", 1.0, 2),
            ("tail s", "tail_first", 1.0, 2),
            ("sent, not asked for MiB", "unasked", 1.0 / 1_048_576.0, 1),
        ],
    };
    vec![
        bulk(1024),
        bulk(256),
        Kind {
            what: "seed",
            title: format!("Seed {} MiB to libtorrent", mib(scale.bulk)),
            arguments: size(scale.bulk),
            clients: SEEDING,
            columns: TRANSFER,
        },
        Kind {
            what: "magnet",
            // 20 bytes for each piece of 256 KiB.
            title: format!("A magnet's metadata, {} KiB", (scale.bulk >> 18) * 20 / 1024),
            arguments: size(scale.bulk),
            clients: SEEDING,
            columns: &[("s", "wall", 1.0, 3)],
        },
        seek("on slow lines, the whole film is wanted", &["--links"]),
        seek("on slow lines, only what is read is wanted", &["--links", "--only-read"]),
        seek("with libtorrent's limiter, the whole film is wanted", &[]),
        seek("with libtorrent's limiter, only what is read is wanted", &["--only-read"]),
        Kind {
            what: "idle",
            title: format!("{} torrents that nobody asks for, {} s", scale.idle, scale.idle_seconds),
            arguments: vec![
                "--count".into(),
                scale.idle.to_string(),
                "--seconds".into(),
                scale.idle_seconds.to_string(),
            ],
            clients: OURS_AND_LIBTORRENT,
            columns: &[("resident MiB", "rss", 1.0 / 1024.0, 1), ("CPU %", "cpu", 100.0, 2)],
        },
        Kind {
            what: "garbage",
            title: format!("{} MiB from an honest seeder and one that sends noise", mib(scale.film)),
            arguments: size(scale.film),
            clients: ALL,
            columns: &[
                ("bad blocks taken", "blocks", 1.0, 0),
                ("connections", "connections", 1.0, 0),
                ("s", "wall", 1.0, 2),
            ],
        },
    ]
}

/// Medians, and how many times ours each other's number is.
fn table(kind: &Kind, clients: &[&str], found: &BTreeMap<&str, Vec<Measured>>) -> Table {
    let mut head = vec!["client"];
    head.extend(kind.columns.iter().map(|(name, ..)| *name));
    head.push("others to ours");
    let mut table = Table::new(&kind.title, &head);
    let median = |client: &str, key: &str| found.get(client).and_then(|runs| Measured::median(runs, key));
    for client in clients {
        let mut row = vec![(*client).to_owned()];
        let mut ratios = Vec::new();
        for (_, key, factor, digits) in kind.columns {
            let value = median(client, key);
            row.push(value.map_or("-".into(), |value| format!("{:.*}", *digits, value * factor)));
            if let (Some(value), Some(ours)) = (value, median("headwater", key))
                && *client != "headwater"
                && ours > 0.0
            {
                ratios.push(format!("{:.2}", value / ours));
            }
        }
        row.push(ratios.join(" / "));
        let failures = found.get(client).map(|runs| Measured::failures(runs)).unwrap_or_default();
        if let Some(why) = failures.first() {
            row.push(format!("{} of {} failed: {why}", failures.len(), found[client].len()));
        }
        table.row(row);
    }
    table
}
