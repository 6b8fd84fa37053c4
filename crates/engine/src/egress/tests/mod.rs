//! The egress on loopback: HTTP, the proxy, an interface that is not there. In network namespaces: [`namespaces`].

mod namespaces;
mod proxy;
mod session;
mod world;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tracker_proto::TrackerUrl;

use super::{
    Egress,
    guard::Purpose,
    http::{Answer, Ask, HttpError},
    listening::Listener,
    sockets::Way,
    socks::Destination,
};

fn open() -> Egress {
    Egress::of(Way::default())
}

fn loopback() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// An HTTP server on loopback that answers every request with what `answer` makes of its target. Its port.
async fn server(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, answer));
    port
}

async fn serve(listener: tokio::net::TcpListener, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                break;
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let _ = stream.write_all(&answer(target)).await;
        let _ = stream.shutdown().await;
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn moved(place: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

async fn fetch(egress: &Egress, url: &str) -> Result<Answer, HttpError> {
    let url: TrackerUrl = url.parse().unwrap();
    let ask = Ask {
        url: &url,
        target: None,
        purpose: Purpose::Tracker,
        addrs: None,
        body_bytes_max: 1000,
        wait: Duration::from_secs(5),
    };
    egress.fetch(&ask).await
}

#[tokio::test]
async fn an_announce_is_fetched_and_a_few_redirects_are_followed() {
    let port = server(|target| match target {
        "/a/announce" => moved("scrape?x=1"),
        "/a/scrape?x=1" => moved("/announce"),
        "/announce" => ok("hello"),
        "/announce/circle/announce" => moved("/announce/circle/announce"),
        _ => b"HTTP/1.1 404 Not Found\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n".to_vec(),
    })
    .await;
    let egress = open();
    let at = |target: &str| format!("http://127.0.0.1:{port}{target}");
    assert_eq!(fetch(&egress, &at("/a/announce")).await.unwrap().body, b"hello");
    let missing = fetch(&egress, &at("/announce-nowhere")).await.unwrap();
    assert_eq!((missing.status.as_u16(), missing.retry_after), (404, Some(Duration::from_secs(7))));
    let circle = fetch(&egress, &at("/announce/circle/announce")).await.unwrap_err();
    assert_eq!(circle.to_string(), "redirected more than 5 times");
}

#[tokio::test]
async fn long_bodies_broken_answers_and_silence_end() {
    let port = server(|target| match target {
        "/announce-long" => ok(&"x".repeat(1001)),
        "/announce-endless" => format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(200_000)).into_bytes(),
        _ => b"ICY 200 OK\r\n\r\n".to_vec(),
    })
    .await;
    let egress = open();
    for target in ["/announce-long", "/announce-endless", "/announce-odd"] {
        let failed = fetch(&egress, &format!("http://127.0.0.1:{port}{target}")).await;
        assert!(matches!(failed, Err(HttpError::NoAnswer(_))), "{target}: {failed:?}");
    }
    let silent = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let url: TrackerUrl = format!("http://{}/announce", silent.local_addr().unwrap()).parse().unwrap();
    let ask = Ask {
        url: &url,
        target: None,
        purpose: Purpose::Tracker,
        addrs: None,
        body_bytes_max: 1000,
        wait: Duration::from_millis(100),
    };
    assert!(matches!(egress.fetch(&ask).await, Err(HttpError::NoAnswer(_))));
    drop(silent);
    assert!(matches!(egress.fetch(&ask).await, Err(HttpError::Unreachable(_))));
}

#[tokio::test]
async fn in_the_house_a_torrent_asks_for_nothing_but_announces() {
    let port = server(|_| ok("done")).await;
    let refused = fetch(&open(), &format!("http://127.0.0.1:{port}/reboot?now=1")).await.unwrap_err();
    assert!(refused.to_string().contains("in the house"), "{refused}");
    let metadata = fetch(&open(), "http://169.254.169.254/announce").await.unwrap_err();
    assert!(metadata.to_string().contains("not spoken to"), "{metadata}");
}

#[tokio::test]
async fn https_is_not_spoken_to_a_server_without_tls() {
    let port = server(|_| ok("plain")).await;
    let refused = fetch(&open(), &format!("https://localhost:{port}/announce")).await;
    assert!(matches!(refused, Err(HttpError::Unreachable(_))), "{refused:?}");
}

/// A server for `localhost` with a certificate of its own making, valid until 2126. Its port.
async fn tls_server() -> u16 {
    let (certificate, key) = (include_bytes!("localhost.der"), include_bytes!("localhost.key.der"));
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.to_vec().into()], key.to_vec().try_into().unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(&ok("hello")).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_is_checked_for_who_vouches_for_it_and_for_its_name() {
    let port = tls_server().await;
    let refused = fetch(&open(), &format!("https://localhost:{port}/announce")).await.unwrap_err();
    assert!(matches!(refused, HttpError::Unreachable(_)), "{refused:?}");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    let trusting = open();
    trusting.inner.tls.trust(include_bytes!("localhost.der"));
    let fetched = fetch(&trusting, &format!("https://localhost:{port}/announce")).await.unwrap();
    assert_eq!(fetched.body, b"hello");
    let other = fetch(&trusting, &format!("https://127.0.0.1:{port}/announce")).await.unwrap_err();
    assert!(other.to_string().contains("certificate"), "{other}");
}

#[tokio::test]
async fn an_interface_that_is_not_there_lets_nothing_out() {
    let egress = Egress::of(Way { interface: Some("hw-none0".into()), ..Way::default() });
    let reason = "interface hw-none0 is not there";
    let port = server(|_| ok("reached")).await;
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(egress.blocked().as_deref(), Some(reason));
    assert_eq!(egress.connect_tcp(addr).await.unwrap_err().to_string(), reason);
    assert_eq!(egress.listen_tcp(loopback()).unwrap_err().to_string(), reason);
    assert_eq!(egress.bind_udp(loopback()).unwrap_err().to_string(), reason);
    assert_eq!(egress.udp_link(&Destination::Address(addr)).await.unwrap_err().to_string(), reason);
    assert_eq!(egress.resolve("t.example", 80).await.unwrap_err().to_string(), reason);
    assert_eq!(egress.connect_host("t.example", 80).await.unwrap_err().to_string(), reason);
    let fetched = fetch(&egress, &format!("http://127.0.0.1:{port}/announce")).await.unwrap_err();
    assert!(fetched.to_string().contains(reason), "{fetched}");
    // A name that the kernel would cut could be another interface's.
    egress.set(Way { interface: Some("lo".repeat(10)), ..Way::default() });
    assert!(egress.blocked().is_some());
    egress.set(Way::default());
    assert_eq!(egress.blocked(), None);
    assert!(egress.connect_tcp(addr).await.is_ok());
}

#[tokio::test]
async fn a_change_of_the_way_is_told() {
    let egress = open();
    let mut watch = egress.watch();
    let before = watch.borrow_and_update().generation;
    egress.set(Way { interface: Some("hw-none0".into()), ..Way::default() });
    watch.changed().await.unwrap();
    let after = watch.borrow().clone();
    assert!(after.generation > before && after.blocked.is_some());
}

#[tokio::test]
async fn a_port_that_cannot_be_opened_yet_is_opened_when_it_can() {
    let egress = Egress::of(Way { interface: Some("hw-none0".into()), ..Way::default() });
    let mut listener = Listener::bind(&egress, loopback()).unwrap();
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], listener.port()));
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    for interface in [None, Some("hw-none0".to_owned()), None] {
        let open = interface.is_none();
        egress.set(Way { interface, ..Way::default() });
        let accepting = tokio::time::timeout(Duration::from_millis(300), listener.accept());
        let (accepted, connected) = tokio::join!(accepting, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tokio::net::TcpStream::connect(addr).await
        });
        assert_eq!((accepted.is_ok(), connected.is_ok()), (open, open));
    }
}
