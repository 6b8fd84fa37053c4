//! What a torrent's files are called and what they are for, and subtitles that come with a film in its torrent.

use std::{fs, time::Duration};

use axum::http::StatusCode;
use engine::{Add, Config, Select, State, Torrent};
use metainfo::{Builder, Content, NewFile, PieceLength};
use sha1::{Digest, Sha1};
use tempfile::TempDir;

use crate::house::{House, sound_film};

const PIECE: u32 = 16 << 10;

/// A torrent of this name and these files, paths with `/`, over their contents.
struct Share {
    metainfo: bytes::Bytes,
    dir: TempDir,
}

impl Share {
    fn new(name: &str, files: &[(&str, u64)], content: &[u8]) -> Self {
        let files = files.iter().map(|(path, length)| NewFile {
            path: path.split('/').map(str::to_owned).collect(),
            length: *length,
            executable: false,
        });
        let files: Vec<NewFile> = files.collect();
        let bytes: u64 = files.iter().map(|file| file.length).sum();
        let hashes: Vec<u8> = match content.is_empty() {
            // Nobody has it: any hashes do.
            true => vec![7; 20 * usize::try_from(bytes.div_ceil(PIECE.into())).unwrap()],
            false => content.chunks(PIECE as usize).flat_map(Sha1::digest).collect(),
        };
        let builder =
            Builder { piece_length: PieceLength::Bytes(PIECE), ..Builder::new(name, Content::Folder(files)) };
        let metainfo = builder.build(&hashes).unwrap().bytes().clone();
        Self { metainfo, dir: tempfile::tempdir().unwrap() }
    }

    async fn serve(&self, paused: bool) -> (House, Torrent) {
        let config = Config::loopback(self.dir.path().join("data"), self.dir.path().join("state"));
        let house = House::with_torrents(config);
        let session = house.torrents.clone().unwrap().session().await.unwrap();
        let add = Add { paused, recheck: !paused, ..Add::metainfo(self.metainfo.clone()) };
        (house, session.add(add).await.unwrap().0)
    }
}

#[tokio::test]
async fn a_torrent_says_which_of_its_files_is_meant_and_what_each_is_for() {
    let share = Share::new(
        "The.Show.S01.1080p",
        &[
            ("The.Show.S01E02.Two.1080p.mkv", 300_000),
            ("The.Show.S01E01.One.1080p.mkv", 200_000),
            ("Sample/the.show.s01e01.sample.mkv", 10_000),
            ("Extras/Making Of (2019).mkv", 500_000),
            ("The.Show.S01E01.One.1080p.en.srt", 900),
            ("the.show.nfo", 90),
        ],
        &[],
    );
    let (house, torrent) = share.serve(true).await;
    let hash = torrent.info_hash();
    let whole = house.get(&format!("/api/v1/torrents/{hash}")).await.json();
    assert_eq!(whole["default_video"], format!("{hash}-1"));
    let files = house.get(&format!("/api/v1/torrents/{hash}/files")).await.json();
    assert_eq!(whole["files"], files);
    let said: Vec<String> = files
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let fields =
                ["kind", "playable", "title", "year", "episode"].map(|field| file[field].to_string());
            fields.join(" ")
        })
        .collect();
    assert_eq!(
        said,
        [
            "\"video\" true \"The Show S01E02 Two\" null \"S01E02\"",
            "\"video\" true \"The Show S01E01 One\" null \"S01E01\"",
            "\"sample\" true \"the show S01E01 sample\" null \"S01E01\"",
            "\"extra\" true \"Making Of\" 2019 null",
            "\"subtitle\" false null null null",
            "\"text\" false null null null",
        ]
    );
    assert_eq!(files[5]["video_id"], format!("{hash}-5"));
    let all = house.get("/api/v1/torrents").await.json();
    assert_eq!(all[0]["default_video"], whole["default_video"]);
    house.torrents.as_ref().unwrap().stop().await;
}

const SRT: &[u8] = b"1\n00:00:01,000 --> 00:00:02,000\nHello\n";

#[tokio::test]
async fn subtitle_files_in_a_torrent_are_listed_with_its_film_and_given() {
    let film = sound_film(12);
    let content: Vec<u8> = [film.as_slice(), SRT].concat();
    let files = [("Some.Film.2020.mp4", film.len() as u64), ("Subs/2_English.srt", SRT.len() as u64)];
    let share = Share::new("Some.Film.2020.1080p", &files, &content);
    let folder = share.dir.path().join("data/Some.Film.2020.1080p");
    fs::create_dir_all(folder.join("Subs")).unwrap();
    fs::write(folder.join("Some.Film.2020.mp4"), &film).unwrap();
    fs::write(folder.join("Subs/2_English.srt"), SRT).unwrap();
    let (house, torrent) = share.serve(false).await;
    let mut watch = torrent.watch();
    let checked = watch.wait_for(|snapshot| snapshot.state == State::Seeding);
    tokio::time::timeout(Duration::from_secs(30), checked).await.unwrap().unwrap();
    let base = format!("/api/v1/video/{}-0", torrent.info_hash());
    let video = house.get(&base).await.json();
    assert_eq!(video["title"], "Some Film");
    let subtitle = &video["subtitles"][0];
    assert_eq!(
        (&subtitle["track"], &subtitle["sibling"], &subtitle["language"], &subtitle["name"]),
        (&"file-0".into(), &true.into(), &"en".into(), &"2_English.srt".into()),
        "{video}"
    );
    let vtt = house.get(&format!("{base}/subtitles/file-0.vtt")).await;
    assert_eq!((vtt.status, vtt.header("content-type")), (StatusCode::OK, "text/vtt; charset=utf-8"));
    assert!(vtt.text().contains("00:00:01.000 --> 00:00:02.000\nHello"), "{}", vtt.text());
    for (name, status) in [
        ("file-0.ass", StatusCode::BAD_REQUEST),
        ("file-1.vtt", StatusCode::NOT_FOUND),
        ("file-.vtt", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(house.get(&format!("{base}/subtitles/{name}")).await.status, status, "{name}");
    }
    house.torrents.as_ref().unwrap().stop().await;
}

#[tokio::test]
async fn a_subtitle_file_is_fetched_from_the_swarm_when_it_is_asked_for_and_little_else_is() {
    // Noise, in the middle of which the subtitle lies: nothing of the film is wanted.
    let noise: Vec<u8> =
        (0..2_000_000_u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let srt: Vec<u8> = [SRT, &[b'\n'; 40_000]].concat();
    let content = [&noise[..1_000_000], &srt, &noise[1_000_000..]].concat();
    let files = [("Film.mkv", 1_000_000), ("Film.en.srt", srt.len() as u64), ("Film.Trailer.mkv", 1_000_000)];
    let share = Share::new("Film", &files, &content);
    let folder = share.dir.path().join("data/Film");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Film.mkv"), &noise[..1_000_000]).unwrap();
    fs::write(folder.join("Film.en.srt"), &srt).unwrap();
    fs::write(folder.join("Film.Trailer.mkv"), &noise[1_000_000..]).unwrap();
    let (seeder, seeding) = share.serve(false).await;
    let mut watch = seeding.watch();
    let checked = watch.wait_for(|snapshot| snapshot.state == State::Seeding);
    tokio::time::timeout(Duration::from_secs(30), checked).await.unwrap().unwrap();
    let port = seeder.torrents.as_ref().unwrap().running().unwrap().stats().listen_port.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let house = House::with_torrents(Config::loopback(dir.path().join("data"), dir.path().join("state")));
    let session = house.torrents.clone().unwrap().session().await.unwrap();
    let add = Add {
        peers: vec![([127, 0, 0, 1], port).into()],
        select: Select::Files(Vec::new()),
        ..Add::metainfo(share.metainfo.clone())
    };
    let (torrent, _) = session.add(add).await.unwrap();
    let path = format!("/api/v1/video/{}-0/subtitles/file-0.vtt", torrent.info_hash());
    let vtt = house.get_with(&path, &[("accept-encoding", "gzip")]).await;
    assert_eq!((vtt.status, vtt.header("content-encoding")), (StatusCode::OK, ""), "{}", vtt.text());
    assert!(vtt.text().contains("00:00:01.000 --> 00:00:02.000\nHello"), "{}", vtt.text());
    let have = torrent.snapshot().have;
    assert!(have <= 4 * u64::from(PIECE), "{have} bytes were fetched for 40,000");
    seeder.torrents.as_ref().unwrap().stop().await;
    house.torrents.as_ref().unwrap().stop().await;
}

#[tokio::test]
async fn a_subtitle_file_that_cannot_come_is_answered_in_time_and_a_huge_one_not_fetched() {
    let files = [("Film.mkv", 300_000), ("Film.en.srt", 900), ("Film.de.srt", 17 << 20)];
    let share = Share::new("Film", &files, &[]);
    let (house, torrent) = share.serve(true).await;
    let base = format!("/api/v1/video/{}-0/subtitles", torrent.info_hash());
    let later = house.get(&format!("{base}/file-0.vtt")).await;
    assert_eq!(
        (later.status, later.json()["reason"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("not_running"))
    );
    assert_ne!(later.header("retry-after"), "");
    let huge = house.get(&format!("{base}/file-1.vtt")).await;
    assert_eq!(huge.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", huge.text());
    house.torrents.as_ref().unwrap().stop().await;
}
