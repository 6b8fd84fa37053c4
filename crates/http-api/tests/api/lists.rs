//! Lists for players that know addresses only: M3U, and the folder of `.strm` files.

use axum::http::StatusCode;
use engine::{Add, Config};
use metainfo::{Builder, Content, NewFile, PieceLength};

use crate::house::{House, content, sound_film};

fn series() -> House {
    let film = sound_film(12);
    let other: Vec<u8> = content().into_iter().take(5_000).collect();
    House::of(&[
        ("Zulu Film #1 (2020).mp4", &film),
        ("The Show/Season 1/The Show S01E10 Ten.mkv", &other[..4_000]),
        ("The Show/Season 1/The Show S01E02 Two & Two.mkv", &other[..3_000]),
        ("The Show/Season 2/The Show S02E01.mkv", &other),
    ])
}

/// Titles and addresses of an M3U, in order.
fn entries(list: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = list.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[0], "#EXTM3U");
    let pairs = lines.windows(2).filter_map(|pair| Some((pair[0].strip_prefix("#EXTINF:-1,")?, pair[1])));
    pairs.collect()
}

#[tokio::test]
async fn the_library_is_listed_in_order_with_addresses_that_answer() {
    let house = series();
    let answer = house.get_with("/api/v1/playlist.m3u", &[("host", "films.lan:81")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("content-type").starts_with("audio/x-mpegurl"));
    let text = answer.text();
    let listed = entries(&text);
    let titles: Vec<&str> = listed.iter().map(|(title, _)| *title).collect();
    assert_eq!(
        titles,
        ["The Show S01E02 Two & Two", "The Show S01E10 Ten", "The Show S02E01", "Zulu Film #1 (2020)"]
    );
    for (_, url) in &listed {
        let path = url.strip_prefix("http://films.lan:81").unwrap();
        assert_eq!(house.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert!(listed[3].1.ends_with("/file/Zulu%20Film%20%231%20%282020%29.mp4"), "{}", listed[3].1);
}

#[tokio::test]
async fn the_folder_of_strm_files_can_be_walked_by_its_links() {
    let house = series();
    let (mut folders, mut files) = (vec!["/api/v1/strm/".to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        let page = house.get(&folder).await;
        assert_eq!(page.status, StatusCode::OK, "{folder}");
        assert!(page.header("content-type").starts_with("text/html"));
        let text = page.text();
        let links = text.split("<a href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
        for (link, _) in links.filter(|(link, _)| *link != "../") {
            let list = if link.ends_with('/') { &mut folders } else { &mut files };
            list.push(format!("{folder}{link}"));
        }
    }
    files.sort();
    assert_eq!(
        files,
        [
            "/api/v1/strm/Movies/Zulu%20Film%20%231%20%282020%29.strm",
            "/api/v1/strm/Series/The%20Show/Season%2001/The%20Show%20S01E02%20Two%20%26%20Two.strm",
            "/api/v1/strm/Series/The%20Show/Season%2001/The%20Show%20S01E10%20Ten.strm",
            "/api/v1/strm/Series/The%20Show/Season%2002/The%20Show%20S02E01.strm",
        ]
    );
    let film =
        house.get_with(&files[0], &[("x-forwarded-proto", "https"), ("host", "films.lan")]).await.text();
    let path = film.strip_prefix("https://films.lan").unwrap().strip_suffix('\n').unwrap();
    assert_eq!(house.get(path).await.body.as_ref(), sound_film(12));
    let bare = house.get("/api/v1/strm/Series/The%20Show").await;
    assert_eq!(bare.status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(bare.header("location"), "/api/v1/strm/Series/The%20Show/");
    for nothing in
        ["/api/v1/strm/Movies/x.strm", "/api/v1/strm/Mov", "/api/v1/strm/Mov/", "/api/v1/strm/Movies//"]
    {
        assert_eq!(house.get(nothing).await.status, StatusCode::NOT_FOUND, "{nothing}");
    }
}

#[tokio::test]
async fn a_torrents_episodes_are_listed_before_anything_of_it_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, length| NewFile { path: vec![name.to_owned()], length, executable: false };
    let files = vec![file("Pack.S01E02.mkv", 20_000), file("Pack.S01E01.mkv", 20_000), file("info.txt", 9)];
    let builder = Builder {
        piece_length: PieceLength::Bytes(16 << 10),
        ..Builder::new("A <Pack>", Content::Folder(files))
    };
    let torrent = builder.build(&[7; 60]).unwrap();
    let house = House::with_torrents(Config::loopback(dir.path().join("d"), dir.path().join("s")));
    let torrents = house.torrents.clone().unwrap();
    let session = torrents.session().await.unwrap();
    let added = session.add(Add { paused: true, ..Add::metainfo(torrent.bytes().clone()) }).await.unwrap().0;
    let hash = added.info_hash();
    let answer = house.get(&format!("/api/v1/torrents/{hash}/playlist.m3u")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let one = format!("http://localhost:8080/api/v1/video/{hash}-1/file/Pack.S01E01.mkv");
    let two = format!("http://localhost:8080/api/v1/video/{hash}-0/file/Pack.S01E02.mkv");
    let expected = [("Pack S01E01", one.as_str()), ("Pack S01E02", two.as_str())];
    assert_eq!(entries(&answer.text()), expected);
    assert_eq!(entries(&house.get("/api/v1/playlist.m3u").await.text())[2..], expected);
    let strm = house.get("/api/v1/strm/Torrents/A%20_Pack_/Pack%20S01E01.strm").await;
    assert_eq!(strm.text(), format!("{one}\n"));
    let nobody = house.get(&format!("/api/v1/torrents/{}/playlist.m3u", "0".repeat(40))).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    torrents.stop().await;
}
