//! Through a SOCKS5 proxy: everything, or nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::*;

/// A proxy without login that sends every name to loopback, and what it was asked for.
struct Proxy {
    url: String,
    names: Arc<AtomicUsize>,
}

async fn proxy(relays_udp: bool) -> Proxy {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let url = format!("socks5://{}", listener.local_addr().unwrap());
    let names = Arc::new(AtomicUsize::new(0));
    let counted = names.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(client(stream, relays_udp, counted.clone()));
        }
    });
    Proxy { url, names }
}

async fn client(mut stream: TcpStream, relays_udp: bool, names: Arc<AtomicUsize>) -> Option<()> {
    let mut hello = [0; 3];
    stream.read_exact(&mut hello).await.ok()?;
    stream.write_all(&[5, 0]).await.ok()?;
    let mut head = [0; 3];
    stream.read_exact(&mut head).await.ok()?;
    let to = destination(&mut stream, &names).await?;
    match head[1] {
        1 => {
            let Ok(mut out) = TcpStream::connect(to).await else {
                stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
                return None;
            };
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
            copy_bidirectional(&mut stream, &mut out).await.ok()?;
        }
        3 if relays_udp => {
            let socket = UdpSocket::bind(loopback()).await.ok()?;
            let [high, low] = socket.local_addr().ok()?.port().to_be_bytes();
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, high, low]).await.ok()?;
            tokio::select! {
                _ = relay(socket, &names) => {}
                _ = stream.read_u8() => {}
            }
        }
        _ => stream.write_all(&[5, 7, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?,
    }
    Some(())
}

async fn destination(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    names: &AtomicUsize,
) -> Option<SocketAddr> {
    let ip = match stream.read_u8().await.ok()? {
        1 => {
            let mut ip = [0; 4];
            stream.read_exact(&mut ip).await.ok()?;
            ip
        }
        3 => {
            let mut name = vec![0; usize::from(stream.read_u8().await.ok()?)];
            stream.read_exact(&mut name).await.ok()?;
            assert_eq!(name, b"tracker.invalid");
            names.fetch_add(1, Ordering::Relaxed);
            [127, 0, 0, 1]
        }
        _ => return None,
    };
    Some((ip, stream.read_u16().await.ok()?).into())
}

async fn relay(socket: UdpSocket, names: &AtomicUsize) -> Option<()> {
    let mut buffer = vec![0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.ok()?;
        let mut rest = &buffer[3..length];
        let to = destination(&mut rest, names).await?;
        let out = UdpSocket::bind(loopback()).await.ok()?;
        out.send_to(rest, to).await.ok()?;
        let mut answer = vec![0; 2048];
        let length = out.recv(&mut answer).await.ok()?;
        let mut wrapped = super::super::socks::datagram_head(&Destination::Address(to));
        wrapped.extend_from_slice(&answer[..length]);
        socket.send_to(&wrapped, from).await.ok()?;
    }
}

fn through(url: &str) -> Egress {
    Egress::of(Way { proxy: Some(url.parse().unwrap()), ..Way::default() })
}

#[tokio::test]
async fn streams_and_names_go_through_it() {
    let proxy = proxy(false).await;
    let egress = through(&proxy.url);
    let port = server(|_| ok("hello")).await;
    let fetched = fetch(&egress, &format!("http://tracker.invalid:{port}/announce")).await.unwrap();
    assert_eq!(fetched.body, b"hello");
    assert_eq!(proxy.names.load(Ordering::Relaxed), 1);
    egress.connect_tcp(([127, 0, 0, 1], port).into()).await.unwrap();
    assert!(egress.resolve("tracker.invalid", port).await.is_err());
}

#[tokio::test]
async fn what_needs_a_port_of_its_own_is_off() {
    let proxy = proxy(true).await;
    let egress = through(&proxy.url);
    let reason = format!("proxy {} carries streams and tracker datagrams only", proxy.url);
    assert_eq!(egress.direct().unwrap_err(), reason);
    assert_eq!(egress.listen_tcp(loopback()).unwrap_err().to_string(), reason);
    assert_eq!(egress.bind_udp(loopback()).unwrap_err().to_string(), reason);
}

#[tokio::test]
async fn datagrams_go_through_it_by_name_where_it_relays_them() {
    let echo = UdpSocket::bind(loopback()).await.unwrap();
    let port = echo.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 100];
        while let Ok((length, from)) = echo.recv_from(&mut buffer).await {
            let _ = echo.send_to(&buffer[..length], from).await;
        }
    });
    let relaying = proxy(true).await;
    let link = through(&relaying.url).udp_link(&Destination::new("tracker.invalid", port)).await.unwrap();
    link.send(b"ping").await.unwrap();
    assert_eq!(link.receive(100).await.unwrap(), b"ping");
    assert_eq!(relaying.names.load(Ordering::Relaxed), 1);
    let other = proxy(false).await;
    let refused = through(&other.url).udp_link(&Destination::new("tracker.invalid", port)).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("proxy {}: it does not know the command: no UDP", other.url));
}

#[tokio::test]
async fn without_it_nothing_goes() {
    let closed = TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap();
    let egress = through(&format!("socks5://{closed}"));
    let port = server(|_| ok("reached")).await;
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    for error in [
        egress.connect_tcp(addr).await.unwrap_err(),
        egress.connect_host("localhost", port).await.unwrap_err(),
        egress.udp_link(&Destination::Address(addr)).await.unwrap_err(),
    ] {
        assert!(error.to_string().starts_with(&format!("proxy socks5://{closed}: ")), "{error}");
    }
}
