//! What holds for every answer: problem details, Host, headers, methods, compression, hostile addresses.

use std::io::Read;

use axum::http::{Method, StatusCode};

use crate::house::{Answer, House, request};

fn is_problem(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}");
    for field in ["type", "title", "detail", "reason"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{what}: {field}");
    }
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let house = House::usual();
    let film = house.id("Some Film (2020).mp4");
    for (path, status) in [
        ("/nothing".to_owned(), 404),
        ("/api/v1/nothing".to_owned(), 404),
        ("/api/v1/shows/none".to_owned(), 404),
        ("/api/v1/shows?kind=book".to_owned(), 400),
        ("/api/v1/shows?limit=0".to_owned(), 400),
        ("/api/v1/shows?limit=1&limit=2".to_owned(), 400),
        ("/api/v1/shows?cursor=%00".to_owned(), 400),
        ("/api/v1/video/ABC".to_owned(), 400),
        ("/api/v1/video/00000000000000000000".to_owned(), 404),
        ("/api/v1/video/00000000000000000000/file".to_owned(), 404),
        (format!("/api/v1/video/{film}/master.m3u8?container=avi"), 400),
        (format!("/api/v1/video/{film}/master.m3u8?codecs={}", "a".repeat(4000)), 400),
        (format!("/api/v1/video/{film}/nothing/stream.m3u8"), 404),
        (format!("/api/v1/video/{film}/audio-7/stream.m3u8"), 404),
        (format!("/api/v1/video/{film}/source/99999.m4s"), 404),
        (format!("/api/v1/video/{film}/source/01.m4s"), 404),
        (format!("/api/v1/video/{film}/source/0.vtt"), 404),
        (format!("/api/v1/video/{film}/source/x"), 404),
        (format!("/api/v1/video/{film}/subtitles/0.vtt"), 404),
        (format!("/api/v1/video/{film}/subtitles/file-0.vtt"), 404),
        (format!("/api/v1/video/{film}/subtitles/0.exe"), 404),
        (format!("/api/v1/video/{film}/attachments/0"), 404),
        (format!("/api/v1/video/{film}/attachments/x"), 400),
        (format!("/api/v1/video/{film}/stream.mp4?t=-1"), 400),
        (format!("/api/v1/video/{film}/stream.mp4?t=nan"), 400),
        (format!("/api/v1/video/{film}/stream.mp4?height=480"), 422),
        (format!("/api/v1/video/{}/master.m3u8", house.id("noise.mkv")), 422),
    ] {
        is_problem(&house.get(&path).await, status, &path);
    }
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let house = House::usual();
    for path in ["/", "/api/v1/shows", "/healthz", "/api/v1/video/0/file"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = house.send(request(method, path, &[])).await;
            is_problem(&answer, 405, path);
            assert_eq!(answer.header("allow"), "GET,HEAD");
        }
    }
}

#[tokio::test]
async fn only_our_own_names_are_answered() {
    let house = House::usual();
    for (host, status) in [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("192.168.0.7:8080", 200),
        ("films.lan", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 403),
    ] {
        let answer = house.get_with("/api/v1/shows", &[("host", host)]).await;
        assert_eq!(answer.status.as_u16(), status, "{host}");
    }
    let answer = house.get_with("/api/v1/shows", &[("host", "evil.example")]).await;
    assert_eq!(answer.json()["reason"], "host_not_allowed");
    // Two Host fields are one too many, and an absolute address counts before the field.
    let two = house.get_with("/healthz", &[("host", "localhost"), ("host", "evil.example")]).await;
    is_problem(&two, 400, "two hosts");
    let absolute = house.get_with("http://evil.example/healthz", &[("host", "localhost")]).await;
    is_problem(&absolute, 403, "absolute");
}

#[tokio::test]
async fn no_address_leads_out_of_the_library() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.mkv"), b"secret").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("film.mkv"), b"film").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.mkv"), dir.path().join("link.mkv")).unwrap();
    let house = House::over(dir);
    let id = house.id("film.mkv");
    for path in [
        format!("/api/v1/video/{id}/file/../../../../secret.mkv"),
        format!("/api/v1/video/{id}/file/..%2f..%2fsecret.mkv"),
        format!("/api/v1/video/..%2f{id}/file"),
        "/api/v1/video/%2e%2e/file".to_owned(),
        "/api/v1/video/%00/file".to_owned(),
        "/api/v1/video/%ff%fe/file".to_owned(),
        "/../../../etc/passwd".to_owned(),
        "/assets/../../../etc/passwd".to_owned(),
        "/assets/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "//etc/passwd".to_owned(),
    ] {
        let answer = house.get(&path).await;
        // The name after file/ is free, and then it is the film itself.
        let is_film = answer.status == StatusCode::OK && answer.body == "film";
        assert!(is_film || answer.status.is_client_error(), "{path}: {}", answer.status);
    }
    let titles: Vec<String> = house.library.catalog().shows().iter().map(|s| s.title().to_owned()).collect();
    assert_eq!(titles, ["film"]);
}

#[tokio::test]
async fn answers_carry_their_armour() {
    let house = House::usual();
    for path in ["/", "/api/v1/shows", "/nothing", "/healthz"] {
        let answer = house.get(path).await;
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    assert!(!house.get("/").await.header("content-security-policy").contains("unsafe"));
}

#[tokio::test]
async fn texts_are_compressed_and_validated() {
    let files: Vec<(String, Vec<u8>)> =
        (0..60).map(|n| (format!("Film number {n}.mkv"), vec![n; 10])).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let house = House::of(&files);
    let plain = house.get("/api/v1/shows").await;
    let zipped = house.get_with("/api/v1/shows", &[("accept-encoding", "gzip")]).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert_eq!(zipped.header("vary"), "accept-encoding");
    assert_ne!(zipped.header("etag"), plain.header("etag"));
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(zipped.body.as_ref()).read_to_end(&mut unzipped).unwrap();
    assert!(plain.body == unzipped);
    let again = house
        .get_with("/api/v1/shows", &[("accept-encoding", "gzip"), ("if-none-match", zipped.header("etag"))])
        .await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let head = house.head("/api/v1/shows").await;
    assert_eq!(head.header("content-length"), plain.body.len().to_string());
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn shows_come_in_pages_and_by_search() {
    let house = House::of(&[
        ("Am\u{e9}lie (2001).mkv", b"a"),
        ("Dark/Dark S01E01 Secrets.mkv", b"b"),
        ("Dark/Dark S01E02.mkv", b"c"),
    ]);
    let found = house.get("/api/v1/shows?search=AMELIE").await.json();
    assert_eq!(
        (found[0]["info"]["title"].as_str(), found[0]["info"]["year"].as_u64()),
        (Some("Am\u{e9}lie"), Some(2001))
    );
    assert_eq!(found[0]["video_id"], house.id("Am\u{e9}lie (2001).mkv"));
    let series = house.get("/api/v1/shows?kind=series").await.json();
    assert_eq!(series[0]["episodes"][0]["index"], "S01E01");
    assert_eq!(series[0]["episodes"][0]["title"], "Secrets");
    let one = house.get(&format!("/api/v1/shows/{}", series[0]["info"]["id"].as_str().unwrap())).await.json();
    assert_eq!(one, series[0]);
    let page = house.get("/api/v1/shows?limit=1").await;
    assert_eq!(page.header("x-total-count"), "2");
    let next = page.header("link").strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    let second = house.get(&next).await;
    assert_eq!(second.json()[0]["info"]["title"], "Dark");
    assert_eq!(second.header("link"), "");
}

#[tokio::test]
async fn the_server_tells_about_itself() {
    let house = House::usual();
    assert_eq!(house.get("/healthz").await.json()["status"], "ok");
    assert_eq!(house.get("/readyz").await.status, StatusCode::OK);
    house.get("/api/v1/nothing").await;
    let metrics = house.get("/metrics").await.text();
    assert!(
        metrics.contains("headwater_http_requests_total{route=\"health\",status=\"200\"} 2\n"),
        "{metrics}"
    );
    assert!(metrics.contains("headwater_http_requests_total{route=\"other\",status=\"404\"} 1\n"));
    assert!(metrics.contains("headwater_library_videos 2\n"));
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn the_status_says_whether_films_can_be_transcoded() {
    let house = House::usual();
    let status = house.get("/api/v1/status").await.json();
    // This house has nothing that encodes; with workers, crates/media-worker and the end-to-end tests look.
    assert_eq!(status["transcode"]["state"], "off");
    assert!(status["transcode"]["reason"].as_str().unwrap().contains("switched off"));
    assert!(status["version"].is_string() && status["uptime"].is_number());
}

#[tokio::test]
async fn the_description_names_every_route() {
    let house = House::usual();
    let api = house.get("/api/v1/openapi.json").await.json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3."));
    let described: Vec<&str> = api["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let pages = ["/", "/assets/{*path}"];
    let routed: Vec<&str> = http_api::routes().filter(|route| !pages.contains(route)).collect();
    for route in &routed {
        // A rest of a path is not told from a part of one in a description.
        assert!(described.contains(&route.replace("{*", "{").as_str()), "{route} is not described");
    }
    assert_eq!(described.len(), routed.len());
}

#[tokio::test]
async fn events_tell_of_the_library_and_end_with_the_server() {
    let house = House::usual();
    let (library, shutdown) = (house.library.clone(), house.shutdown.clone());
    std::fs::write(house.path().join("new.mkv"), b"new").unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        library.scan_blocking();
        tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
        shutdown.begin();
    });
    let answer = house.get("/api/v1/events").await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let text = answer.text();
    let (before, after) = (text.find("\"videos\":2").unwrap(), text.find("\"videos\":3").unwrap());
    assert!(before < after && text.starts_with("event: library\n"), "{text}");
}
