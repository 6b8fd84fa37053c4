//! `file[/{name}]`: RFC 9110 ranges and preconditions, from outside.

use axum::http::{Method, StatusCode};

use crate::house::{Answer, House, LEN, content, request};

async fn ranged(house: &House, id: &str, range: &str) -> Answer {
    house.get_with(&format!("/api/v1/video/{id}/file"), &[("range", range)]).await
}

#[tokio::test]
async fn the_whole_file_comes_with_its_validators() {
    let house = House::usual();
    let id = house.id("noise.mkv");
    let answer = house.get(&format!("/api/v1/video/{id}/file")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body == content());
    assert_eq!(answer.header("content-length"), LEN.to_string());
    assert_eq!(answer.header("content-type"), "video/x-matroska");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert!(answer.header("etag").starts_with('"'));
    assert!(httpdate::parse_http_date(answer.header("last-modified")).is_ok());
    assert!(answer.header("content-disposition").starts_with("inline; filename=\"noise.mkv\""));
    // A name at the end changes nothing.
    let named = house.get(&format!("/api/v1/video/{id}/file/any%2Fname.mkv")).await;
    assert!(named.status == StatusCode::OK && named.body == answer.body);
}

#[tokio::test]
async fn single_ranges_are_cut_to_the_byte() {
    let (house, content) = (House::usual(), content());
    let id = house.id("noise.mkv");
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, LEN),
        ("bytes=1000000-1999999", 1_000_000, 2_000_000),
        ("bytes=-1", LEN - 1, LEN),
        ("bytes=-99999999", 0, LEN),
        ("bytes=2999999-5000000", LEN - 1, LEN),
        ("bytes=500-600,550-700", 500, 701),
    ] {
        let answer = ranged(&house, &id, range).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/{LEN}", to - 1), "{range}");
        assert_eq!(answer.header("content-length"), (to - from).to_string(), "{range}");
        assert!(answer.body == content[from..to], "{range}");
    }
}

#[tokio::test]
async fn several_ranges_come_as_multipart() {
    let (house, content) = (House::usual(), content());
    let id = house.id("noise.mkv");
    let answer = ranged(&house, &id, "bytes=10-19, 0-4, -3").await;
    assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.header("content-range"), "");
    let boundary =
        answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let mut expected = Vec::new();
    for (n, (from, to)) in [(10, 20), (0, 5), (LEN - 3, LEN)].into_iter().enumerate() {
        let head = format!(
            "{}--{boundary}\r\nContent-Type: video/x-matroska\r\nContent-Range: bytes {from}-{}/{LEN}\r\n\r\n",
            if n == 0 { "" } else { "\r\n" },
            to - 1
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&content[from..to]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(answer.body == expected);
    assert_eq!(answer.header("content-length"), expected.len().to_string());
}

#[tokio::test]
async fn a_range_that_is_not_there_is_416_with_the_length() {
    let house = House::usual();
    let id = house.id("noise.mkv");
    for range in ["bytes=3000000-", "bytes=-0", "bytes=4000000-5000000,6000000-"] {
        let answer = ranged(&house, &id, range).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes */{LEN}"));
        assert_eq!(answer.json()["reason"], "range");
    }
}

#[tokio::test]
async fn what_is_no_range_is_the_whole_file() {
    let house = House::usual();
    let id = house.id("noise.mkv");
    let many = (0..40).map(|n| format!("{}-{}", n * 10, n * 10 + 1)).collect::<Vec<_>>().join(",");
    for range in ["bytes=9-1", "bytes=x", "lines=0-1", &format!("bytes={many}")] {
        let answer = ranged(&house, &id, range).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, LEN), "{range}");
    }
}

#[tokio::test]
async fn preconditions_decide_before_ranges() {
    let house = House::usual();
    let path = format!("/api/v1/video/{}/file", house.id("noise.mkv"));
    let first = house.head(&path).await;
    let (etag, modified) = (first.header("etag"), first.header("last-modified"));
    for (headers, status) in [
        (vec![("if-none-match", etag)], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", modified)], 304),
        (vec![("if-match", "\"other\"")], 412),
        (vec![("if-match", etag), ("range", "bytes=0-1")], 206),
        (vec![("if-none-match", etag), ("range", "bytes=0-1")], 304),
        (vec![("if-range", etag), ("range", "bytes=0-1")], 206),
        (vec![("if-range", modified), ("range", "bytes=0-1")], 206),
        (vec![("if-range", "\"other\""), ("range", "bytes=0-1")], 200),
        (vec![("if-range", "\"other\""), ("range", "bytes=9999999-")], 200),
        (vec![("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], 412),
    ] {
        let answer = house.get_with(&path, &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}");
        if status == 304 {
            assert_eq!((answer.header("etag"), answer.body.len()), (etag, 0));
        }
    }
}

#[tokio::test]
async fn head_is_get_without_the_body_and_knows_no_range() {
    let house = House::usual();
    let path = format!("/api/v1/video/{}/file", house.id("noise.mkv"));
    let answer = house.send(request(Method::HEAD, &path, &[("range", "bytes=0-1")])).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert_eq!(answer.header("content-length"), LEN.to_string());
}

#[tokio::test]
async fn a_file_that_changed_is_not_sent_under_its_old_id() {
    let house = House::usual();
    let path = format!("/api/v1/video/{}/file", house.id("noise.mkv"));
    std::fs::write(house.path().join("noise.mkv"), b"shorter").unwrap();
    let answer = house.get(&path).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((answer.json()["reason"].as_str(), answer.header("retry-after")), (Some("changed"), "2"));
    std::fs::remove_file(house.path().join("noise.mkv")).unwrap();
    assert_eq!(house.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn names_cannot_break_out_of_the_header() {
    let house = House::of(&[("a\";x=\"b\u{e9}.mkv", b"x")]);
    let id = house.id("a\";x=\"b\u{e9}.mkv");
    let answer = house.get(&format!("/api/v1/video/{id}/file")).await;
    assert_eq!(
        answer.header("content-disposition"),
        "inline; filename=\"a__x=_b_.mkv\"; filename*=UTF-8''a%22%3Bx%3D%22b%C3%A9.mkv"
    );
}
