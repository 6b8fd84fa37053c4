//! A film is watched while it downloads from rate-limited seeders: the same bytes as of a film that is here, in any order,
//! for no more pieces than it takes; and a player is never left guessing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod watching;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{
    client::Client,
    film::master,
    oracle,
    playlist::Media,
    reels,
    swarm::{PATIENCE, clients::Libtorrent, http},
};
use serde_json::json;
use watching::{Known, Watching, needed};

/// Of what is fetched, what may come twice.
const WASTE_MOST: f64 = 0.03;
/// What may be fetched before the first segment, against the pieces it takes.
const FETCHED_MOST: f64 = 1.25;

/// Fetches every path of `order` and compares it with what is known of it.
fn compare(
    (server, id): (SocketAddr, &str),
    known: &BTreeMap<String, Vec<u8>>,
    order: &[&String],
    how: &str,
) -> Result<()> {
    let mut client = Client::connect(server)?;
    for path in order {
        let whole = format!("/api/v1/video/{id}/{path}");
        let answer = client.get(&whole, None, true).with_context(|| format!("{how}: {path}"))?;
        let text = || String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200, "{how}: {path}: status {}: {}", answer.status, text());
        let known = &known[*path];
        ensure!(answer.body == *known, "{how}: {path}: other bytes ({} and {})", answer.bytes, known.len());
    }
    Ok(())
}

/// Plays a film in every order, each from nothing. MP4 is cut as the local library cuts it, byte for byte. Of Matroska only the
/// ends are looked at (design 0012), so that times may be told in another scale: it is judged by ffmpeg once, and every order
/// gives the same bytes.
fn every_order(reel: &str) {
    let watching = Watching::start(reel, 3, 1_500_000).unwrap();
    let local = Known::local(&watching.share).unwrap();
    assert!(local.segments.len() > 40, "only {} segments", local.segments.len());
    let is_mp4 = reel.ends_with("mp4");
    watching.add().unwrap();
    let known = if is_mp4 { local } else { Known::in_progress(&watching).unwrap() };
    let id = watching.id();
    let film = (watching.server.http, id.as_str());
    if is_mp4 {
        let (master, playlists) = watching.playlists("fmp4").unwrap();
        assert_eq!(master, known.master, "the multivariant playlist");
        assert_eq!(playlists, known.playlists);
        compare(film, &known.segments, &known.in_order(), "in order").unwrap();
    } else {
        same_as_the_file(&watching, &known).unwrap();
    }
    watching.end("in order", WASTE_MOST).unwrap();
    let backward: Vec<&String> = known.in_order().into_iter().rev().collect();
    for (how, order) in [("in reverse", backward), ("at random", known.shuffled(1))] {
        watching.add().unwrap();
        compare(film, &known.segments, &order, how).unwrap();
        watching.end(how, WASTE_MOST).unwrap();
    }
    watching.add().unwrap();
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..16)
            .map(|n| {
                let known = &known;
                scope.spawn(move || compare(film, &known.segments, &known.shuffled(3 + n), "16 at once"))
            })
            .collect();
        askers.into_iter().for_each(|asker| asker.join().unwrap().unwrap());
    });
    watching.end("16 at once", WASTE_MOST).unwrap();
}

/// Every picture and every sound of the file, at its time but for one constant and Matroska's millisecond.
fn same_as_the_file(watching: &Watching, known: &Known) -> Result<()> {
    let source = watching.share.seed_dir().join(&watching.share.name);
    for (rendition, stream) in [("source", "v:0"), ("audio-0", "a:0")] {
        let mut whole = tempfile::Builder::new().suffix(".mp4").tempfile()?;
        for part in known.rendition(rendition) {
            std::io::Write::write_all(&mut whole, part)?;
        }
        let ours = oracle::packets(whole.path(), &format!("0:{stream}"), None)?;
        let theirs = oracle::packets(&source, &format!("0:{stream}"), None)?;
        let shifts = oracle::shifts(&ours, &theirs).with_context(|| rendition.to_owned())?;
        let (first, last) = (shifts.first().context("nothing")?, shifts.last().context("nothing")?);
        ensure!(last - first < 0.002_1, "{rendition}: times are off by {:.4} s", last - first);
    }
    Ok(())
}

#[test]
fn matroska_in_progress_gives_the_same_segments_in_any_order() {
    every_order(reels::MATROSKA);
}

#[test]
fn mp4_in_progress_with_its_moov_last_gives_the_same_segments_in_any_order() {
    every_order(reels::MOOV_LAST);
}

#[test]
fn mp4_in_progress_with_its_moov_first_gives_the_same_segments_in_any_order() {
    every_order(reels::MOOV_FIRST);
}

#[test]
fn fragmented_mp4_in_progress_gives_the_same_segments_in_any_order() {
    every_order(reels::FRAGMENTED);
}

#[test]
fn webm_in_progress_gives_the_same_segments_in_any_order() {
    every_order(reels::WEBM);
}

#[test]
fn the_first_segment_costs_its_pieces_and_those_of_the_index() {
    for reel in [reels::MATROSKA, reels::MOOV_LAST, reels::MOOV_FIRST, reels::FRAGMENTED, reels::WEBM] {
        let watching = Watching::start(reel, 3, 200_000).unwrap();
        watching.add().unwrap();
        let begun = Instant::now();
        let master = master(watching.server.http, &watching.id(), "fmp4").unwrap();
        let uri = master.variants[0].uri.clone().unwrap();
        let mut client = Client::connect(watching.server.http).unwrap();
        let text = client.get(&uri, None, true).unwrap();
        let playlist = Media::parse(&uri, &String::from_utf8(text.body).unwrap()).unwrap();
        let first = client.get(&playlist.segments[0].uri, None, true).unwrap();
        let took = begun.elapsed();
        assert_eq!(first.status, 200);
        // Nothing more arrives, and the numbers are of now.
        watching
            .server
            .json("POST", &format!("/api/v1/torrents/{}/pause", watching.share.info_hash), None)
            .unwrap();
        let is = |torrent: &serde_json::Value| torrent["state"] == "paused";
        let torrent = watching.server.wait(&watching.share.info_hash, "a pause", is).unwrap();
        let pieces = needed(&watching.share, playlist.segments[0].duration).unwrap();
        // What came twice is bounded apart, and its floor of eight blocks is much of a film this small.
        let fetched = torrent["downloaded"].as_f64().unwrap() - torrent["wasted"].as_f64().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a test's numbers are small")]
        let takes = pieces.len() as f64 * torrent["piece_length"].as_f64().unwrap();
        eprintln!(
            "{reel}: {fetched} bytes before the first segment, {} pieces are {takes}; {took:?}",
            pieces.len()
        );
        assert!(
            fetched <= takes * FETCHED_MOST,
            "{reel}: {fetched} bytes before the first segment, its {} pieces are {takes}: {pieces:?}",
            pieces.len()
        );
    }
}

#[test]
fn the_head_comes_within_two_seconds_when_the_seeder_is_slow() {
    let watching = Watching::start(reels::MATROSKA, 1, 60_000).unwrap();
    watching.add().unwrap();
    for (path, media_type) in [
        ("master.m3u8", "application/vnd.apple.mpegurl"),
        ("source/stream.m3u8", "application/vnd.apple.mpegurl"),
        ("source/5.m4s", "video/iso.segment"),
    ] {
        let begun = Instant::now();
        let path = format!("/api/v1/video/{}/{path}", watching.id());
        let stream = http::open(watching.server.http, "GET", &path, &[], b"", PATIENCE).unwrap();
        let head: Vec<String> =
            BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let took = begun.elapsed();
        assert!(head[0].contains(" 200 "), "{path}: {head:?}");
        assert!(head.contains(&format!("content-type: {media_type}")), "{path}: {head:?}");
        assert!(took < Duration::from_secs(3), "{path}: a head after {took:?}");
    }
    // The body comes when it comes.
    let path = format!("/api/v1/video/{}/master.m3u8", watching.id());
    let whole = watching.server.send("GET", &path, &[], b"").unwrap();
    assert!(
        whole.status == 200 && whole.body.starts_with(b"#EXTM3U"),
        "{}",
        String::from_utf8_lossy(&whole.body)
    );
}

#[test]
fn nobody_who_has_it_is_said_with_a_time_to_ask_again_and_who_comes_back_is_asked() {
    let mut watching = Watching::start(reels::MOOV_FIRST, 1, 500_000).unwrap();
    watching.add().unwrap();
    let path = |name: &str| format!("/api/v1/video/{}/{name}", watching.id());
    let (master, far) = (path("master.m3u8"), path("source/12.m4s"));
    assert_eq!(watching.server.send("GET", &master, &[], b"").unwrap().status, 200);
    let seeder = watching.seeders.remove(0);
    let address = seeder.address;
    drop(seeder);
    watching.server.wait(&watching.share.info_hash, "nobody", |torrent| torrent["peers"] == 0).unwrap();
    let begun = Instant::now();
    let answer = watching.server.send("GET", &far, &[], b"").unwrap();
    let problem = answer.json().unwrap();
    assert_eq!((answer.status, problem["reason"].as_str()), (503, Some("no_peers")), "{problem}");
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|s| s > 0), "{:?}", answer.headers);
    assert!(begun.elapsed() < Duration::from_secs(10), "the refusal took {:?}", begun.elapsed());
    // What is here goes on being sent.
    assert_eq!(watching.server.send("GET", &master, &[], b"").unwrap().status, 200);
    // A torrent at rest says so at once.
    let at = format!("/api/v1/torrents/{}", watching.share.info_hash);
    watching.server.json("POST", &format!("{at}/pause"), None).unwrap();
    let begun = Instant::now();
    let answer = watching.server.send("GET", &far, &[], b"").unwrap();
    assert_eq!((answer.status, answer.json().unwrap()["reason"].as_str()), (503, Some("not_running")));
    assert!(begun.elapsed() < Duration::from_secs(4), "the refusal took {:?}", begun.elapsed());
    watching.server.json("POST", &format!("{at}/resume"), None).unwrap();
    // The seeder returns to where it was: whoever asks again gets it.
    let _seeder = Libtorrent::seed_at(&watching.share, address, &["--upload-limit", "500000"]).unwrap();
    let begun = Instant::now();
    let answer = loop {
        let answer = watching.server.send("GET", &far, &[], b"").unwrap();
        if answer.status == 200 || begun.elapsed() > PATIENCE {
            break answer;
        }
        assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body));
    };
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    eprintln!("asked again {:?} after the seeder returned", begun.elapsed());
    // It is dialled every four seconds at the least, and what it sends takes a few.
    assert!(begun.elapsed() < Duration::from_secs(12), "asked again after {:?}", begun.elapsed());
    let known = Known::local(&watching.share).unwrap();
    assert!(answer.body == known.segments["source/12.m4s"], "other bytes");
}

#[test]
fn a_magnet_that_nobody_answers_is_refused_with_a_time_to_ask_again() {
    let watching = Watching::start(reels::MOOV_FIRST, 0, 0).unwrap();
    watching
        .server
        .json("POST", "/api/v1/torrents", Some(&json!({ "magnet": watching.magnet(), "wait": 0 })))
        .unwrap();
    let begun = Instant::now();
    let path = format!("/api/v1/video/{}/master.m3u8", watching.id());
    let answer = watching.server.send("GET", &path, &[], b"").unwrap();
    assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body));
    assert!(!answer.header("retry-after").is_empty(), "{:?}", answer.headers);
    assert!(begun.elapsed() < Duration::from_secs(10), "the refusal took {:?}", begun.elapsed());
}
