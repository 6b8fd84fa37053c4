//! Torrents over HTTP: added, watched, steered, remembered over restarts; their files read while they arrive.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    time::{Duration, Instant},
};

use e2e::swarm::{PATIENCE, Recipe, Share, clients::Libtorrent, free_port, http, ours::Server};
use serde_json::{Value, json};

/// Adds the share's `.torrent` as a browser's form would.
fn add(server: &Server, share: &Share, options: &Value) -> http::Answer {
    let mut body = Vec::new();
    body.extend_from_slice(b"--x\r\nContent-Disposition: form-data; name=\"options\"\r\n\r\n");
    body.extend_from_slice(options.to_string().as_bytes());
    body.extend_from_slice(
        b"\r\n--x\r\nContent-Disposition: form-data; name=\"torrent\"; filename=\"a.torrent\"\r\n\r\n",
    );
    body.extend_from_slice(&fs::read(share.torrent()).unwrap());
    body.extend_from_slice(b"\r\n--x--\r\n");
    server
        .send("POST", "/api/v1/torrents", &[("Content-Type", "multipart/form-data; boundary=x")], &body)
        .unwrap()
}

fn file(share: &Share) -> String {
    format!("/api/v1/video/{}-0/file", share.info_hash)
}

#[test]
fn a_torrent_is_added_fetched_read_steered_and_removed() {
    let share = Share::new(&Recipe::mib(16)).unwrap();
    let content = fs::read(share.seed_dir().join(&share.name)).unwrap();
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    let torrents = server.json("GET", "/api/v1/torrents", None).unwrap();
    assert_eq!(torrents, json!([]));
    let options = json!({ "peers": [seeder.address.to_string()] });
    let answer = add(&server, &share, &options);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let added = answer.json().unwrap();
    let at = format!("/api/v1/torrents/{}", share.info_hash);
    assert_eq!(answer.header("location"), at);
    assert_eq!(added["info_hash"], share.info_hash.as_str());
    assert_eq!(added["files"][0]["path"], share.name.as_str());
    assert_eq!(added["files"][0]["video_id"], format!("{}-0", share.info_hash));
    assert_eq!(add(&server, &share, &options).status, 200);
    let done = server.wait(&share.info_hash, "seeding", |torrent| torrent["state"] == "seeding").unwrap();
    assert_eq!((done["have"].as_u64(), done["size"].as_u64()), (Some(16 << 20), Some(16 << 20)));
    share.check().unwrap();
    // The bytes, in every form that RFC 9110 has.
    let path = file(&share);
    let whole = server.send("GET", &path, &[], b"").unwrap();
    assert!(whole.status == 200 && whole.body == content);
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let named =
        server.send("GET", &format!("{path}/any%20name.mkv"), &[("Range", "bytes=5-9")], b"").unwrap();
    assert!(named.status == 206 && named.body == content[5..10]);
    let suffix = server.send("GET", &path, &[("Range", "bytes=-300000")], b"").unwrap();
    assert!(suffix.status == 206 && suffix.body == content[content.len() - 300_000..]);
    let several = server.send("GET", &path, &[("Range", "bytes=0-1,-2")], b"").unwrap();
    assert!(several.status == 206 && several.header("content-type").starts_with("multipart/byteranges"));
    let head = server.send("HEAD", &path, &[], b"").unwrap();
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "16777216", 0));
    let tag = head.header("etag");
    assert_eq!(server.send("GET", &path, &[("If-None-Match", tag)], b"").unwrap().status, 304);
    assert_eq!(server.send("GET", &path, &[("Range", "bytes=16777216-")], b"").unwrap().status, 416);
    assert_eq!(server.send("GET", &path.replace("-0/", "-1/"), &[], b"").unwrap().status, 404);
    // What is known of it.
    let files = server.json("GET", &format!("{at}/files"), None).unwrap();
    assert_eq!(files[0]["have"].as_u64(), Some(16 << 20));
    let pieces = server.json("GET", &format!("{at}/pieces"), None).unwrap();
    assert_eq!(pieces["runs"], json!([["have", 64]]));
    assert_eq!(server.json("GET", &format!("{at}/trackers"), None).unwrap(), json!([]));
    server.json("GET", &format!("{at}/peers"), None).unwrap();
    let metainfo = server.send("GET", &format!("{at}/metainfo"), &[], b"").unwrap();
    assert!(metainfo.status == 200 && metainfo.body.starts_with(b"d"));
    let metrics = server.send("GET", "/metrics", &[], b"").unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("headwater_swarm_downloaded_bytes_total 16777216"), "{metrics}");
    // What can be done to it.
    let change = json!({ "download_limit": 1_000_000, "sequential": true, "seed_goal": { "ratio": 2.0 } });
    let changed = server.json("PATCH", &at, Some(&change)).unwrap();
    assert_eq!(changed["info_hash"], share.info_hash.as_str());
    server.wait(&share.info_hash, "its limit", |torrent| torrent["limits"]["download"] == 1_000_000).unwrap();
    server.json("POST", &format!("{at}/pause"), None).unwrap();
    server.wait(&share.info_hash, "a pause", |torrent| torrent["state"] == "paused").unwrap();
    server.json("POST", &format!("{at}/resume"), None).unwrap();
    server.wait(&share.info_hash, "seeding", |torrent| torrent["state"] == "seeding").unwrap();
    server.json("POST", &format!("{at}/recheck"), None).unwrap();
    server.wait(&share.info_hash, "seeding again", |torrent| torrent["state"] == "seeding").unwrap();
    server.json("POST", &format!("{at}/reannounce"), None).unwrap();
    assert_eq!(server.send("DELETE", &format!("{at}?data=all"), &[], b"").unwrap().status, 400);
    assert_eq!(server.send("DELETE", &format!("{at}?data=remove"), &[], b"").unwrap().status, 204);
    assert_eq!(server.send("GET", &at, &[], b"").unwrap().status, 404);
    assert!(!share.leech_dir().join(&share.name).exists());
}

#[test]
fn what_is_no_torrent_is_refused_and_nothing_is_fetched_inside() {
    let share = Share::new(&Recipe::mib(1)).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    let post = |body: &str| {
        server
            .send("POST", "/api/v1/torrents", &[("Content-Type", "application/json")], body.as_bytes())
            .unwrap()
    };
    for (body, status, named) in [
        ("{}", 400, "nothing to add"),
        ("{\"magnet\":\"magnet:?dn=x\"}", 400, "info-hash"),
        ("{\"magnet\":\"nonsense\"}", 400, "neither a magnet link nor an info-hash"),
        ("{\"magnt\":\"x\"}", 400, "magnt"),
        ("{\"url\":\"file:///etc/passwd\"}", 400, "http"),
        ("{\"url\":\"http://127.0.0.1:1/a.torrent\"}", 502, "in the house"),
        ("{\"url\":\"http://[::ffff:10.0.0.1]/a.torrent\"}", 502, "in the house"),
        ("{\"url\":\"http://169.254.169.254/latest\"}", 502, "is not spoken to"),
    ] {
        let answer = post(body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{body}: {text}");
        assert!(text.contains(named), "{body}: {text}");
    }
    let garbage = server
        .send("POST", "/api/v1/torrents", &[("Content-Type", "application/x-bittorrent")], b"d4:infod")
        .unwrap();
    assert_eq!(garbage.status, 400);
    let plain = server.send("POST", "/api/v1/torrents", &[("Content-Type", "text/plain")], b"{}").unwrap();
    assert_eq!(plain.status, 415);
    // A page of another site may not press buttons here.
    let headers = [("Content-Type", "application/json"), ("Origin", "http://evil.example")];
    assert_eq!(server.send("POST", "/api/v1/torrents", &headers, b"{}").unwrap().status, 403);
    assert_eq!(server.send("PUT", "/api/v1/torrents", &[], b"").unwrap().header("allow"), "GET,HEAD,POST");
}

#[test]
fn bytes_are_sent_as_they_arrive_to_many_readers_and_a_reader_that_leaves_wants_nothing_more() {
    let share = Share::new(&Recipe::mib(32)).unwrap();
    let content = fs::read(share.seed_dir().join(&share.name)).unwrap();
    let mut seeder = Libtorrent::seed(&share, &["--upload-limit", "4000000"]).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    // Nothing is wanted but what is read.
    let answer = add(&server, &share, &json!({ "peers": [seeder.address.to_string()], "files": [] }));
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let path = file(&share);
    let begun = Instant::now();
    let tail = server.send("GET", &path, &[("Range", "bytes=-100000")], b"").unwrap();
    assert!(tail.status == 206 && tail.body == content[content.len() - 100_000..]);
    assert!(begun.elapsed() < Duration::from_secs(4), "the tail took {:?}", begun.elapsed());
    // Two in the middle at once, neither after the other.
    std::thread::scope(|scope| {
        for at in [8 << 20, 20 << 20] {
            let (http, path, content) = (server.http, &path, &content);
            scope.spawn(move || {
                let range = format!("bytes={at}-{}", at + 999_999);
                let answer = http::send(http, "GET", path, &[("Range", &range)], b"", PATIENCE).unwrap();
                assert!(answer.status == 206 && answer.body == content[at..at + 1_000_000], "{at}");
            });
        }
    });
    // One that asks for everything and leaves after a little.
    let mut stream = http::open(server.http, "GET", &path, &[], b"", PATIENCE).unwrap();
    let mut some = vec![0; 64 << 10];
    stream.read_exact(&mut some).unwrap();
    server.wait(&share.info_hash, "a reader", |torrent| torrent["readers"].as_u64() > Some(0)).unwrap();
    drop(stream);
    server.wait(&share.info_hash, "no reader", |torrent| torrent["readers"] == 0).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let before = seeder.stats().unwrap()["uploaded"].as_u64().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let after = seeder.stats().unwrap()["uploaded"].as_u64().unwrap();
    assert!(after - before <= 512 << 10, "{} bytes came that nobody wants", after - before);
    assert!(after < share.bytes, "everything was fetched for nobody");
}

#[test]
fn a_magnet_without_peers_waits_and_says_why_and_goes_on_when_one_is_named() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    let body = json!({ "magnet": share.magnet, "wait": 0 });
    let added = server.json("POST", "/api/v1/torrents", Some(&body)).unwrap();
    assert_eq!((added["state"].as_str(), &added["files"]), (Some("metadata"), &Value::Null), "{added}");
    let begun = Instant::now();
    let answer = server.send("GET", &file(&share), &[], b"").unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    assert_eq!(answer.json().unwrap()["reason"], "no_metadata");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    let at = format!("/api/v1/torrents/{}", share.info_hash);
    server.json("PATCH", &at, Some(&json!({ "peers": [seeder.address.to_string()] }))).unwrap();
    let answer = server.send("GET", &file(&share), &[("Range", "bytes=0-99")], b"").unwrap();
    assert_eq!((answer.status, answer.body.len()), (206, 100), "{}", String::from_utf8_lossy(&answer.body));
}

#[test]
fn torrents_are_remembered_over_a_power_cut() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    add(&server, &share, &json!({ "peers": [seeder.address.to_string()] }));
    server.wait(&share.info_hash, "seeding", |torrent| torrent["state"] == "seeding").unwrap();
    // What became of the last seconds may be lost.
    std::thread::sleep(Duration::from_secs(6));
    server.kill().unwrap();
    drop(seeder);
    let server = Server::start(&share, &[]).unwrap();
    let torrent = server.wait(&share.info_hash, "seeding", |torrent| torrent["state"] == "seeding").unwrap();
    assert_eq!(torrent["have"].as_u64(), Some(8 << 20));
    let answer = server.send("GET", &file(&share), &[], b"").unwrap();
    assert!(answer.status == 200 && answer.body == fs::read(share.seed_dir().join(&share.name)).unwrap());
}

#[test]
fn events_tell_of_a_torrents_life_in_differences() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let seeder = Libtorrent::seed(&share, &["--upload-limit", "6000000"]).unwrap();
    let server = Server::start(&share, &[]).unwrap();
    let stream = http::open(server.http, "GET", "/api/v1/events", &[], b"", PATIENCE).unwrap();
    add(&server, &share, &json!({ "peers": [seeder.address.to_string()] }));
    let (mut event, mut seen, mut times) = (String::new(), Vec::<Value>::new(), Vec::new());
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(name) = line.strip_prefix("event: ") {
            event = name.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ").filter(|_| event == "torrent") {
            seen.push(serde_json::from_str(data).unwrap());
            times.push(Instant::now());
            if seen.last().unwrap()["state"] == "seeding" {
                break;
            }
        }
    }
    assert!(seen.iter().all(|diff| diff["info_hash"] == share.info_hash.as_str()));
    assert_eq!(seen[0]["name"], share.name.as_str());
    assert!(seen.iter().skip(1).all(|diff| diff.get("name").is_none()), "{seen:?}");
    let quick = times.windows(2).filter(|pair| pair[1] - pair[0] < Duration::from_millis(350)).count();
    assert!(quick <= 1, "{quick} of {} events came too soon after another", times.len());
    let at = format!("/api/v1/torrents/{}", share.info_hash);
    assert_eq!(server.send("DELETE", &at, &[], b"").unwrap().status, 204);
}

#[test]
fn a_torrent_is_fetched_from_an_address_where_that_is_allowed() {
    let share = Share::new(&Recipe::mib(1)).unwrap();
    let port = free_port().unwrap();
    let mut web = std::process::Command::new("python3")
        .args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1", "--directory"])
        .arg(share.torrent().parent().unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let config = share.scratch("config").unwrap().join("c.toml");
    fs::write(&config, "[torrent]\nfetch_private = true\n").unwrap();
    let server = Server::start(&share, &["--config", &config.display().to_string()]).unwrap();
    let body = json!({ "url": format!("http://127.0.0.1:{port}/share.torrent") });
    let begun = Instant::now();
    let added = loop {
        match server.json("POST", "/api/v1/torrents", Some(&body)) {
            Ok(added) => break added,
            // The web server is still starting.
            Err(_) if begun.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(50))
            }
            Err(error) => panic!("{error:#}"),
        }
    };
    web.kill().unwrap();
    web.wait().unwrap();
    assert_eq!(added["info_hash"], share.info_hash.as_str());
}
