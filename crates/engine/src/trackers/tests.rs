//! Announces carried to small trackers on loopback.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use metainfo::InfoHash;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
};
use tracker_proto::{
    AnnounceRequest, Encryption, Event, Failure, Identity, Options, Retry, ScrapeEntry, TrackerUrl,
};

use super::{
    Counters, Trackers,
    carry::{Carrier, News},
};
use crate::egress::{Egress, sockets::Way};

fn carrier() -> Arc<Carrier> {
    Arc::new(Carrier::new(Egress::of(Way::default())))
}

fn request(event: Option<Event>) -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash([b'a'; 20]),
        peer_id: [b'b'; 20],
        port: 6881,
        key: 1,
        uploaded: 2,
        downloaded: 3,
        left: Some(4),
        event,
        peers_wanted: 5,
        tracker_id: None,
        encryption: Encryption::Supported,
    }
}

async fn announce(carrier: &Arc<Carrier>, url: &str, event: Option<Event>) -> Vec<News> {
    let news = Arc::new(Mutex::new(Vec::new()));
    let url: TrackerUrl = url.parse().unwrap();
    let told = news.clone();
    carrier
        .announce(url, request(event), move |item| {
            told.lock().unwrap().push(item);
            std::future::ready(())
        })
        .await;
    Arc::try_unwrap(news).unwrap().into_inner().unwrap()
}

fn peers(news: &[News]) -> Vec<String> {
    match news {
        [News::First(Ok(answer))] => answer.peers.iter().map(|peer| peer.addr.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn failure(news: Vec<News>) -> Failure {
    match news.into_iter().next() {
        Some(News::First(Err(failure))) => failure,
        other => panic!("{other:?}"),
    }
}

async fn http_tracker(answer: &'static [u8]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            hears.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
            let _ = stream.write_all(answer).await;
        }
    });
    (addr, heard)
}

#[tokio::test]
async fn an_http_tracker_hears_an_announce_and_answers_with_peers() {
    let answer =
        b"HTTP/1.0 200 OK\r\n\r\nd8:intervali60e5:peers6:\x7f\0\0\x01\x1a\xe15:filesd20:aaaaaaaaaaaaaaaaaaaad\
          8:completei1eeee";
    let (addr, heard) = http_tracker(answer).await;
    let carrier = carrier();
    let url = format!("http://u:p@{addr}/announce");
    // Nothing in the answer counts peers: a scrape does.
    let mut news = announce(&carrier, &url, Some(Event::Started)).await;
    let scraped = ScrapeEntry { seeders: 1, ..ScrapeEntry::default() };
    assert!(matches!(news.pop(), Some(News::Scraped(entry)) if entry == scraped));
    assert_eq!(peers(&news), ["127.0.0.1:6881"]);
    let heard = heard.lock().unwrap();
    assert!(heard[0].starts_with("GET /announce?info_hash=aaaa"), "{}", heard[0]);
    assert!(heard[0].to_lowercase().contains("authorization: basic dtpw"), "{}", heard[0]);
    assert!(heard[1].starts_with("GET /scrape?info_hash=aaaa"), "{}", heard[1]);
}

#[tokio::test]
async fn a_refusal_is_one_whatever_its_status() {
    let (addr, _) = http_tracker(b"HTTP/1.0 403 Forbidden\r\n\r\nd14:failure reason2:noe").await;
    let said = failure(announce(&carrier(), &format!("http://{addr}/announce"), None).await);
    assert_eq!(said, Failure::Refused { reason: "no".into(), retry: None });
    let (addr, _) = http_tracker(b"HTTP/1.0 503 Busy\r\nRetry-After: 90\r\n\r\n<html>").await;
    let busy = failure(announce(&carrier(), &format!("http://{addr}/announce"), None).await);
    let retry = Some(Retry::In(std::time::Duration::from_secs(90)));
    assert_eq!(busy, Failure::Refused { reason: "HTTP status 503 Service Unavailable".into(), retry });
}

/// A UDP tracker: what it got, by action; it answers connects and, if `talks`, announces and scrapes.
async fn udp_tracker(talks: bool) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    tokio::spawn(async move {
        let mut datagram = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut datagram).await {
            let (action, transaction) = (datagram[11], &datagram[12..16]);
            hears.lock().unwrap().push(action);
            let body: &[u8] = match action {
                0 => &[7; 8],
                1 if talks => b"\0\0\x07\x08\0\0\0\x01\0\0\0\x02\x7f\0\0\x01\x1a\xe1",
                2 if talks => b"\0\0\0\x01\0\0\0\x02\0\0\0\x03",
                _ => continue,
            };
            let answer = [&[0, 0, 0, action], transaction, body].concat();
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (addr, heard)
}

#[tokio::test]
async fn a_udp_tracker_is_connected_to_once_a_minute() {
    let (addr, heard) = udp_tracker(true).await;
    let (carrier, url) = (carrier(), format!("udp://{addr}"));
    assert_eq!(peers(&announce(&carrier, &url, Some(Event::Started)).await), ["127.0.0.1:6881"]);
    assert_eq!(peers(&announce(&carrier, &url, None).await), ["127.0.0.1:6881"]);
    let scraped = carrier.scrape(&url.parse().unwrap(), InfoHash([b'a'; 20])).await.unwrap();
    assert_eq!(scraped, Some(ScrapeEntry { seeders: 1, downloaded: 2, leechers: 3 }));
    assert_eq!(*heard.lock().unwrap(), [0, 1, 1, 2]);
}

#[tokio::test]
async fn leaving_waits_for_nobody_long() {
    let (addr, heard) = udp_tracker(false).await;
    let begin = std::time::Instant::now();
    let said = failure(announce(&carrier(), &format!("udp://{addr}/announce"), Some(Event::Stopped)).await);
    assert!(matches!(said, Failure::NoAnswer { .. }), "{said:?}");
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(heard.lock().unwrap().first(), Some(&0));
}

#[tokio::test]
async fn a_tracker_that_is_not_there_never_heard_us() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [
        format!("http://{nobody}/announce"),
        format!("udp://{nobody}/announce"),
        "http://name.invalid/announce".into(),
    ] {
        let said = failure(announce(&carrier(), &url, None).await);
        assert!(matches!(said, Failure::Unreachable { .. }), "{url}: {said:?}");
    }
}

#[tokio::test]
async fn a_tracker_with_both_families_hears_us_over_both() {
    let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = v4.local_addr().unwrap().port();
    let Ok(v6) = TcpListener::bind(("::1", port)).await else {
        eprintln!("skipped: no IPv6 on loopback");
        return;
    };
    if tokio::net::lookup_host(("localhost", port)).await.unwrap().count() < 2 {
        eprintln!("skipped: localhost has one family only");
        return;
    }
    for listener in [v4, v6] {
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nd8:completei0e8:intervali60e5:peers0:e").await;
        });
    }
    let news = announce(&carrier(), &format!("http://localhost:{port}/announce"), None).await;
    assert!(matches!(news[..], [News::First(Ok(_)), News::More(_)]), "{news:?}");
}

#[tokio::test]
async fn a_torrent_starts_completes_and_stops_at_its_trackers() {
    let (addr, heard) =
        http_tracker(b"HTTP/1.0 200 OK\r\n\r\nd8:completei1e8:intervali1800e5:peers6:\x7f\0\0\x01\x1a\xe1e")
            .await;
    let (home, mut replies) = tokio::sync::mpsc::channel(8);
    let home: super::Home = Arc::new(move |reply| {
        let home = home.clone();
        Box::pin(async move { home.send(reply).await.unwrap_or_default() })
    });
    let identity = Identity {
        info_hash: InfoHash([b'a'; 20]),
        peer_id: [b'b'; 20],
        port: 6881,
        key: 0,
        encryption: Encryption::None,
    };
    let tiers = [vec![format!("http://{addr}/announce"), "wss://t.example/".to_owned()]];
    let mut trackers = Trackers::new(carrier(), identity, home, &tiers, Options::default(), 1);
    let (now, counters) = (std::time::Duration::ZERO, Counters { left: Some(9), ..Counters::default() });
    trackers.poll(now, &counters);
    assert_eq!(trackers.next_timeout(now), None, "nothing before it begins");
    trackers.resume(now);
    let mut rounds = Vec::new();
    for step in 0..3 {
        match step {
            0 => {}
            1 => trackers.completed(),
            _ => trackers.stop(),
        }
        trackers.poll(now, &counters);
        let reply = replies.recv().await.unwrap();
        rounds.push(trackers.handle(now, reply).len());
    }
    assert_eq!(rounds, [1, 1, 1]);
    assert!(trackers.is_stopped());
    assert_eq!(trackers.tiers(), tiers);
    assert_eq!(trackers.hosts(), ["127.0.0.1"]);
    let heard = heard.lock().unwrap();
    for (head, event) in heard.iter().zip(["started", "completed", "stopped"]) {
        assert!(head.contains(&format!("&event={event}")), "{head}");
    }
    assert_eq!(heard.len(), 3);
}
