//! The video routes over a film of sound made here; what is in the segments is the oracles' business (`crates/e2e`).

use axum::http::{Method, StatusCode};

use crate::house::{House, request};

const FILM: &str = "Some Film (2020).mp4";

fn house() -> (House, String) {
    let house = House::usual();
    let base = format!("/api/v1/video/{}", house.id(FILM));
    (house, base)
}

#[tokio::test]
async fn a_video_is_described() {
    let (house, base) = house();
    let video = house.get(&base).await.json();
    assert_eq!(video["file"], FILM);
    assert_eq!(video["title"], "Some Film");
    assert_eq!(video["size"].as_u64().unwrap(), std::fs::metadata(house.path().join(FILM)).unwrap().len());
    assert!((video["duration"].as_f64().unwrap() - 12.0).abs() < 0.03, "{video}");
    assert_eq!(video["tracks"][0]["codec"], "aac");
    assert_eq!(video["decision"]["mode"], "cut");
    assert!(video["renditions"].as_array().is_some_and(|all| !all.is_empty()));
}

#[tokio::test]
async fn a_file_that_is_no_film_is_described_and_refused_with_the_reason() {
    let house = House::usual();
    let base = format!("/api/v1/video/{}", house.id("noise.mkv"));
    let video = house.get(&base).await.json();
    assert_eq!(video["decision"]["mode"], "refused");
    assert_eq!(video["decision"]["code"], "unknown_container");
    let master = house.get(&format!("{base}/master.m3u8")).await;
    assert_eq!((master.status.as_u16(), master.json()["reason"].as_str()), (422, Some("unknown_container")));
}

#[tokio::test]
async fn playlists_lead_to_segments_that_may_be_kept_for_ever() {
    let (house, base) = house();
    let master = house.get(&format!("{base}/master.m3u8")).await;
    assert_eq!(master.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(master.header("cache-control"), "private, no-cache");
    let playlist = master.text().lines().find(|line| line.ends_with("stream.m3u8")).unwrap().to_owned();
    let folder = format!("{base}/{}", playlist.strip_suffix("/stream.m3u8").unwrap());
    let playlist = house.get(&format!("{base}/{playlist}")).await.text();
    assert!(playlist.contains("#EXT-X-ENDLIST"));
    let segments: Vec<&str> = playlist.lines().filter(|line| line.ends_with(".m4s")).collect();
    assert!(segments.len() > 1, "{playlist}");
    for name in segments.iter().chain([&"init.mp4"]) {
        let path = format!("{folder}/{name}");
        let segment = house.get(&path).await;
        assert_eq!(segment.status, StatusCode::OK, "{path}");
        assert_eq!(segment.header("cache-control"), "private, max-age=31536000, immutable");
        assert_eq!(segment.header("content-length"), segment.body.len().to_string());
        assert_eq!(segment.header("content-encoding"), "");
        let kept = house
            .get_with(&path, &[("if-none-match", segment.header("etag")), ("accept-encoding", "gzip")])
            .await;
        assert_eq!((kept.status, kept.body.len()), (StatusCode::NOT_MODIFIED, 0));
        let head = house.send(request(Method::HEAD, &path, &[])).await;
        assert_eq!(head.header("content-length"), segment.body.len().to_string());
        assert!(head.body.is_empty());
        assert!(house.get(&path).await.body == segment.body);
    }
}

#[tokio::test]
async fn the_transport_stream_form_and_the_manifest_are_there() {
    let (house, base) = house();
    let master = house.get(&format!("{base}/master.m3u8?container=ts")).await.text();
    let playlist =
        master.lines().find(|line| line.contains("stream.m3u8") && !line.starts_with("#")).unwrap();
    let list = house.get(&format!("{base}/{playlist}")).await.text();
    let name = list.lines().find(|line| line.contains(".ts")).unwrap_or_else(|| panic!("{list}"));
    let folder = playlist.split_once("/stream").unwrap().0;
    let segment = house.get(&format!("{base}/{folder}/{name}")).await;
    assert_eq!(segment.header("content-type"), "video/mp2t");
    assert!(segment.body.len() % 188 == 0 && segment.body[0] == 0x47);
    let manifest = house.get(&format!("{base}/manifest.mpd")).await;
    assert_eq!(manifest.header("content-type"), "application/dash+xml");
    assert!(manifest.text().contains("<SegmentTimeline"));
}

#[tokio::test]
async fn a_player_that_decodes_nothing_of_it_is_told_so() {
    let (house, base) = house();
    let master = house.get(&format!("{base}/master.m3u8?codecs=avc1,opus")).await;
    assert_eq!(master.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(master.json()["detail"].as_str().unwrap().contains("mp4a.40.2"), "{}", master.text());
}

#[tokio::test]
async fn a_progressive_stream_begins_at_the_segment_that_holds_its_second() {
    let (house, base) = house();
    let whole = house.get(&format!("{base}/stream.mp4")).await;
    let later = house.get(&format!("{base}/stream.mp4?t=7.5")).await;
    assert_eq!((whole.status, later.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert_eq!(&whole.body[4..8], b"ftyp");
    assert!(later.body.len() < whole.body.len());
    let moofs = |bytes: &[u8]| bytes.windows(4).filter(|w| w == b"moof").count();
    assert!(moofs(&later.body) < moofs(&whole.body));
    // What both have is the same but for the sequence numbers in the heads.
    assert!(whole.body.ends_with(&later.body[later.body.len() - 5_000..]));
    let past = house.get(&format!("{base}/stream.mp4?t=99999")).await;
    assert_eq!(moofs(&past.body), 1);
}

#[tokio::test]
async fn subtitle_files_beside_a_film_are_listed_and_given() {
    let srt = b"1\n00:00:01,000 --> 00:00:02,000\nhello\n";
    let house = House::of(&[(FILM, &crate::house::sound_film(3)), ("Some Film (2020).de.srt", srt)]);
    let base = format!("/api/v1/video/{}", house.id(FILM));
    let video = house.get(&base).await.json();
    let subtitle = &video["subtitles"][0];
    assert_eq!((subtitle["track"].as_str(), subtitle["language"].as_str()), (Some("file-0"), Some("de")));
    let vtt = house.get(&format!("{base}/subtitles/file-0.vtt")).await;
    assert_eq!(vtt.header("content-type"), "text/vtt; charset=utf-8");
    assert!(vtt.text().starts_with("WEBVTT") && vtt.text().contains("hello"));
    assert_eq!(house.get(&format!("{base}/subtitles/file-0.ass")).await.status, StatusCode::BAD_REQUEST);
}
