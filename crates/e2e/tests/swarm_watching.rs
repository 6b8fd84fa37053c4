//! Watching a torrent over HTTP: why it waits, bytes that live in memory, a power cut in the middle, and a private tracker's due.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    time::{Duration, Instant},
};

use e2e::swarm::{
    PATIENCE, Recipe, Share, clients::Libtorrent, http, local, ours::Server, trackers::Tracker,
};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

fn video(share: &Share) -> String {
    format!("/api/v1/video/{}-0", share.info_hash)
}

/// Adds the share's `.torrent` with one peer: nobody gives the metadata of a private torrent.
fn add_file(server: &Server, share: &Share, peer: &str, more: &Value) {
    let mut options = json!({ "peers": [peer] });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let field = |name: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"");
    let mut body = format!(
        "{}\r\n\r\n{options}\r\n{}; filename=\"a.torrent\"\r\n\r\n",
        field("options"),
        field("torrent")
    )
    .into_bytes();
    body.extend(fs::read(share.torrent()).unwrap());
    body.extend(b"\r\n--x--\r\n");
    let kind = [("Content-Type", "multipart/form-data; boundary=x")];
    assert_eq!(server.send("POST", "/api/v1/torrents", &kind, &body).unwrap().status, 201);
}

/// Adds the share's magnet with one peer and these options.
fn add(server: &Server, share: &Share, peer: &str, more: &Value) -> Value {
    let mut body = json!({ "magnet": share.magnet, "peers": [peer], "wait": 20 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.json("POST", "/api/v1/torrents", Some(&body)).unwrap()
}

/// `VmRSS` or `VmHWM` of our server, in bytes.
fn memory(server: &mut Server, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process().id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn uploaded(seeder: &mut Libtorrent) -> u64 {
    seeder.stats().unwrap()["uploaded"].as_u64().unwrap()
}

#[test]
fn a_film_six_times_the_memory_streams_whole_and_what_is_behind_goes() {
    let share = Share::new(&Recipe::mib(96)).unwrap();
    let content = fs::read(share.seed_dir().join(&share.name)).unwrap();
    let mut seeder = Libtorrent::seed(&share, &["--upload-limit", "40000000"]).unwrap();
    let options = ["--storage", "memory", "--memory-limit", "16MiB", "--no-pex"];
    let mut server = Server::start(&share, &options).unwrap();
    // Everything is wanted, and does not fit.
    add(&server, &share, &seeder.address.to_string(), &json!({}));
    let onlooker = ["--peer", &server.address.to_string(), "--download-limit", "50000"];
    let mut onlooker = Libtorrent::leech(&share, &onlooker).unwrap();
    let before = memory(&mut server, "VmRSS");
    let path = format!("{}/file", video(&share));
    let whole = server.send("GET", &path, &[], b"").unwrap();
    assert!(whole.status == 200 && whole.body == content);
    let grew = memory(&mut server, "VmHWM").saturating_sub(before);
    // The pieces, what is in sockets and buffers, what the allocator keeps.
    assert!(grew < 56 * MIB, "{} MiB for 16 MiB of pieces", grew / MIB);
    let once = uploaded(&mut seeder);
    assert!(once < share.bytes * 103 / 100, "{once} bytes of {}", share.bytes);
    // libtorrent hears what came and what left (BEP 54), once it has read that far.
    let begun = Instant::now();
    loop {
        let stats = onlooker.stats().unwrap();
        let peers = stats["peers"].as_array().unwrap();
        let ours = peers.iter().find(|peer| peer["client"].as_str().unwrap().starts_with("Headwater"));
        if ours.is_some_and(|ours| (0.05..=0.17).contains(&ours["progress"].as_f64().unwrap())) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "{stats}");
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(onlooker);
    let torrent = server.json("GET", &format!("/api/v1/torrents/{}", share.info_hash), None).unwrap();
    let pieces = torrent["pieces_have"].as_u64().unwrap();
    assert!((32..=64).contains(&pieces), "{torrent}");
    // Nobody reads: nothing comes back by itself.
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(uploaded(&mut seeder) < once + MIB as u64);
    // A seek back fetches again, no more than a window.
    let again = server.send("GET", &path, &[("Range", "bytes=0-999999")], b"").unwrap();
    assert!(again.status == 206 && again.body == content[..1_000_000]);
    std::thread::sleep(Duration::from_millis(1_000));
    let back = uploaded(&mut seeder) - once;
    assert!((1_000_000..16 * MIB as u64).contains(&back), "{back}");
    // Two at two places.
    let before = uploaded(&mut seeder);
    std::thread::scope(|scope| {
        for at in [10 * MIB, 60 * MIB] {
            let (http, path, content) = (server.http, &path, &content);
            scope.spawn(move || {
                let range = format!("bytes={at}-{}", at + 10 * MIB - 1);
                let answer = http::send(http, "GET", path, &[("Range", &range)], b"", PATIENCE).unwrap();
                assert!(answer.status == 206 && answer.body == content[at..at + 10 * MIB], "{at}");
            });
        }
    });
    let both = uploaded(&mut seeder) - before;
    assert!(both < 24 * MIB as u64, "{both} bytes came of 20 MiB");
}

#[test]
fn a_wait_is_told_at_once_by_its_facts_and_events_follow_it_to_its_end() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    let asks = format!("{}/wait", video(&share));
    assert_eq!(server.send("GET", &asks, &[], b"").unwrap().status, 404);
    let body = json!({ "magnet": share.magnet, "wait": 0, "watch": true });
    server.json("POST", "/api/v1/torrents", Some(&body)).unwrap();
    let events = http::open(server.http, "GET", "/api/v1/events", &[], b"", PATIENCE).unwrap();
    let told = |what: &str, is: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            let answer = server.json("GET", &asks, None).unwrap();
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            if is(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no {what}: {answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let alone = told("word of peers", &|answer| answer["wait"]["cause"] == "peers");
    assert!(alone["wait"]["text"].as_str().unwrap().starts_with("Looking for peers · "), "{alone}");
    assert_eq!((&alone["size"], &alone["readers"]), (&Value::Null, &json!([])));
    let seeder = Libtorrent::seed(&share, &["--upload-limit", "300000"]).unwrap();
    let at = format!("/api/v1/torrents/{}", share.info_hash);
    server.json("PATCH", &at, Some(&json!({ "peers": [seeder.address.to_string()] }))).unwrap();
    told("end of the wait", &|answer| answer["wait"].is_null() && answer["size"] == 8 << 20);
    let mut body =
        http::open(server.http, "GET", &format!("{}/file", video(&share)), &[], b"", PATIENCE).unwrap();
    let waits = told("piece", &|answer| answer["wait"]["cause"] == "piece");
    assert!(waits["wait"]["text"].as_str().unwrap().starts_with("Waiting for piece "), "{waits}");
    assert_eq!(waits["readers"][0]["file"], 0);
    let torrent = server.json("GET", &at, None).unwrap();
    assert!(torrent["wait"].is_null() || torrent["wait"]["text"].is_string(), "{torrent}");
    body.read_exact(&mut vec![0; MIB]).unwrap();
    drop(body);
    told("nobody", &|answer| answer["wait"].is_null() && answer["readers"] == json!([]));
    // The same as events: the search, readers, at last nobody; and no more than two a second.
    let (mut event, mut seen, mut times) = (String::new(), Vec::<Value>::new(), Vec::new());
    for line in BufReader::new(events).lines() {
        let line = line.unwrap();
        if let Some(name) = line.strip_prefix("event: ") {
            event = name.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ").filter(|_| event == "playback") {
            let data: Value = serde_json::from_str(data).unwrap();
            let read = seen.iter().any(|known: &Value| known["readers"][0]["file"] == 0);
            let ended = data["wait"].is_null() && data["readers"] == json!([]);
            seen.push(data);
            times.push(Instant::now());
            if read && ended {
                break;
            }
        }
    }
    assert!(seen.iter().all(|told| told["info_hash"] == share.info_hash.as_str()), "{seen:?}");
    assert_eq!(seen[0]["wait"]["cause"], "peers", "{seen:?}");
    assert!(seen.iter().any(|told| told["wait"]["cause"] == "piece"), "{seen:?}");
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
}

#[test]
fn a_power_cut_in_mid_play_leaves_what_was_here_to_be_served_at_once() {
    let share = Share::new(&Recipe::mib(32)).unwrap();
    let content = fs::read(share.seed_dir().join(&share.name)).unwrap();
    let seeder = Libtorrent::seed(&share, &["--upload-limit", "4000000"]).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    add(&server, &share, &seeder.address.to_string(), &json!({ "watch": true }));
    let path = format!("{}/file", video(&share));
    let mut playing = http::open(server.http, "GET", &path, &[], b"", PATIENCE).unwrap();
    let mut played = vec![0; 8 * MIB];
    playing.read_exact(&mut played).unwrap();
    // What came in the last seconds may be lost; the player goes on meanwhile, slowly.
    for _ in 0..28 {
        let mut more = vec![0; MIB / 16];
        playing.read_exact(&mut more).unwrap();
        played.extend(more);
        std::thread::sleep(Duration::from_millis(250));
    }
    server.kill().unwrap();
    drop((seeder, playing));
    let server = Server::start(&share, &[]).unwrap();
    server
        .wait(&share.info_hash, "its pieces", |torrent| torrent["pieces_have"].as_u64() >= Some(32))
        .unwrap();
    let begun = Instant::now();
    let range = format!("bytes=0-{}", 8 * MIB - 1);
    let answer = server.send("GET", &path, &[("Range", &range)], b"").unwrap();
    assert_eq!(answer.status, 206);
    assert!(answer.body == content[..8 * MIB], "{} bytes", answer.body.len());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // And it is still one that is watched: a seeder is named, the film goes on where it was not yet.
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    let at = format!("/api/v1/torrents/{}", share.info_hash);
    server.json("PATCH", &at, Some(&json!({ "peers": [seeder.address.to_string()] }))).unwrap();
    let range = format!("bytes={}-", 30 * MIB);
    let rest = server.send("GET", &path, &[("Range", &range)], b"").unwrap();
    assert!(rest.status == 206 && rest.body == content[30 * MIB..]);
}

#[test]
fn what_a_private_tracker_is_owed_is_warned_of_although_only_what_is_read_is_fetched() {
    let tracker = Tracker::bittorrent_tracker().unwrap();
    let recipe = Recipe { private: true, trackers: vec![tracker.http()], ..Recipe::mib(16) };
    let share = Share::new(&recipe).unwrap();
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    let config = share.scratch("config").unwrap().join("c.toml");
    let host = local(0).ip();
    let text = format!(
        "[torrent]\nwhen_watched = \"read\"\nwhen_idle = \"pause\"\ntracker_goals = [\"{host} 1.0 72h\"]\n"
    );
    fs::write(&config, text).unwrap();
    let server = Server::start(&share, &["--config", &config.display().to_string()]).unwrap();
    add_file(&server, &share, &seeder.address.to_string(), &json!({ "watch": true }));
    let path = format!("{}/file", video(&share));
    let read = server.send("GET", &path, &[("Range", "bytes=0-999999")], b"").unwrap();
    assert_eq!(read.status, 206, "{}", String::from_utf8_lossy(&read.body));
    let at = format!("/api/v1/torrents/{}", share.info_hash);
    let owing = server.wait(&share.info_hash, "a debt", |torrent| torrent["owes"][0].is_object()).unwrap();
    assert_eq!((owing["private"].as_bool(), owing["wanted"].as_u64()), (Some(true), Some(0)), "{owing}");
    let refused = server.send("DELETE", &at, &[], b"").unwrap();
    assert_eq!((refused.status, refused.json().unwrap()["reason"].as_str()), (409, Some("owes")));
    // Reading on for ten seconds is watching: what a private tracker gave is finished, whatever is configured.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        let from = 1_000_000 + begun.elapsed().as_secs() * 100_000;
        let range = format!("bytes={from}-{}", from + 9_999);
        let read = server.send("GET", &path, &[("Range", &range)], b"").unwrap();
        assert_eq!(read.status, 206, "{}", String::from_utf8_lossy(&read.body));
        std::thread::sleep(Duration::from_millis(200));
    }
    let done = server.wait(&share.info_hash, "the whole file", |torrent| {
        torrent["state"] == "seeding" && torrent["have"] == 16 << 20
    });
    assert_eq!(done.unwrap()["pieces_have"].as_u64(), Some(share.pieces));
    assert_eq!(tracker.announce("complete").unwrap()["left"], 0);
    assert_eq!(server.send("DELETE", &at, &[], b"").unwrap().status, 409);
}
