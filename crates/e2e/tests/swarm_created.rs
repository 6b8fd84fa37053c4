//! What `create` makes is read by libtorrent, transmission and webtorrent's parser, and they agree on what it is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use e2e::{
    fixtures::binary,
    swarm::{noise, script},
};
use serde_json::Value;

/// Asks libtorrent what it reads.
const LIBTORRENT: &str = "
import json, sys, libtorrent as lt
info = lt.torrent_info(sys.argv[1])
files = info.files()
print(json.dumps({
    'infoHash': str(info.info_hash()), 'name': info.name(), 'length': info.total_size(), 'pieces': info.num_pieces(),
    'pieceLength': info.piece_length(), 'private': info.priv(), 'announce': [t.url for t in info.trackers()],
    'urlList': [s['url'] for s in info.web_seeds()],
    'files': [{'path': files.file_path(n), 'length': files.file_size(n)} for n in range(files.num_files())],
}))
";

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(output: Output) -> Value {
    serde_json::from_str(&text(output)).unwrap()
}

/// Makes a torrent and holds what the three read against what ours says it made.
fn all_agree(content: &Path, flags: &[&str], private: bool, trackers: &[&str], seeds: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let torrent = dir.path().join("made.torrent");
    let mut create = Command::new(binary().unwrap());
    create
        .arg("create")
        .arg(content)
        .arg("-o")
        .arg(&torrent)
        .arg("--json")
        .args(flags)
        .env("HOME", dir.path());
    let made = json(create.output().unwrap());
    let python =
        std::env::var("HEADWATER_LIBTORRENT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let libtorrent = json(Command::new(python).args(["-c", LIBTORRENT]).arg(&torrent).output().unwrap());
    let webtorrent = json(Command::new("node").arg(script("parse.mjs")).arg(&torrent).output().unwrap());
    for (who, read) in [("libtorrent", &libtorrent), ("webtorrent", &webtorrent)] {
        for (theirs, ours) in [
            ("infoHash", "info_hash"),
            ("name", "name"),
            ("length", "size"),
            ("pieceLength", "piece_length"),
            ("pieces", "pieces"),
        ] {
            assert_eq!(read[theirs], made[ours], "{who}: {theirs}");
        }
        assert_eq!(read["private"].as_bool().unwrap_or(false), private, "{who}");
        let list = |key: &str| {
            let mut list: Vec<&str> =
                read[key].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
            list.sort_unstable();
            list
        };
        assert_eq!(list("announce"), trackers, "{who}");
        assert_eq!(list("urlList"), seeds, "{who}");
    }
    assert_eq!(libtorrent["files"], webtorrent["files"]);
    let shown = text(Command::new("transmission-show").arg(&torrent).output().unwrap());
    assert!(shown.contains(made["info_hash"].as_str().unwrap()), "{shown}");
    assert!(shown.contains(&format!("Privacy: {}", if private { "Private" } else { "Public" })), "{shown}");
    for url in trackers.iter().chain(seeds) {
        assert!(shown.contains(url), "{shown}");
    }
}

#[test]
fn a_film_alone() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("Some Film (2020) – ž.mkv");
    noise(&film, 3_000_001, 1).unwrap();
    all_agree(&film, &[], false, &[], &[]);
    all_agree(&film, &["--piece-length", "1MiB"], false, &[], &[]);
}

#[test]
fn a_folder_with_trackers_in_tiers_and_a_web_seed() {
    let dir = tempfile::tempdir().unwrap();
    let show = dir.path().join("Show");
    for (n, bytes) in [70_000, 1, 0, 400_000].into_iter().enumerate() {
        noise(&show.join(format!("Season {}/{n}.mkv", n % 2 + 1)), bytes, n as u64).unwrap();
    }
    fs::write(show.join("readme.txt"), "for people").unwrap();
    let trackers =
        ["http://a.example/announce", "http://b.example/announce", "udp://c.example:6969/announce"];
    let flags = ["--tracker", "http://a.example/announce,http://b.example/announce"];
    let more = ["--tracker", trackers[2], "--web-seed", "http://w.example/files/", "--comment", "a word"];
    all_agree(&show, &[&flags[..], &more].concat(), false, &trackers, &["http://w.example/files/"]);
}

#[test]
fn a_private_one_with_a_source() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.mkv");
    noise(&film, 100_000, 7).unwrap();
    let tracker = "https://t.example/0123456789abcdef/announce";
    all_agree(&film, &["--private", "--source", "T", "--tracker", tracker], true, &[tracker], &[]);
}

#[test]
fn a_torrent_of_others_is_read_and_its_magnet_leads_back() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.mkv");
    noise(&film, 500_000, 9).unwrap();
    let torrent = dir.path().join("theirs.torrent");
    let made = Command::new("transmission-create").arg(&film).arg("-o").arg(&torrent).output().unwrap();
    text(made);
    let shown = text(Command::new("transmission-show").arg("--magnet").arg(&torrent).output().unwrap());
    let mut inspect = Command::new(binary().unwrap());
    let ours =
        json(inspect.arg("inspect").arg(&torrent).arg("--json").env("HOME", dir.path()).output().unwrap());
    let hash = ours["info_hash"].as_str().unwrap();
    assert!(shown.contains(hash) && ours["magnet"].as_str().unwrap().contains(hash), "{shown}: {ours}");
    assert_eq!(ours["size"], 500_000);
}
