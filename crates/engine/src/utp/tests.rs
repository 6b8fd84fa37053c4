//! Streams between two sockets on loopback.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::egress::sockets::Way;

fn config() -> Config {
    Config::new("/nowhere", "/nowhere")
}

async fn open(egress: &Egress, addr: &str) -> Arc<Utp> {
    Utp::start(&config(), egress, &[addr.parse().unwrap()]).await.unwrap().unwrap()
}

#[tokio::test]
async fn bytes_arrive_both_ways_over_either_family() {
    let egress = Egress::of(Way::default());
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let (a, b) = (open(&egress, addr).await, open(&egress, addr).await);
        let to = b.sockets[0].0;
        let (dialled, accepted) = tokio::join!(a.connect(to), b.accept());
        let (mut dialled, (mut accepted, from)) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(from, a.sockets[0].0);
        let data: Vec<u8> = (0..300_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        let (head, body) = data.split_at(13);
        let send = async {
            let mut sent = 0;
            while sent < data.len() {
                let slices = [
                    std::io::IoSlice::new(&head[sent.min(13)..]),
                    std::io::IoSlice::new(&body[sent.saturating_sub(13)..]),
                ];
                sent += dialled.write_vectored(&slices).await.unwrap();
            }
            dialled.flush().await.unwrap();
        };
        let mut received = vec![0; data.len()];
        let (_, read) = tokio::join!(send, accepted.read_exact(&mut received));
        read.unwrap();
        assert!(received == data);
        accepted.write_all(b"enough").await.unwrap();
        let mut answer = [0; 6];
        dialled.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"enough");
    }
}

#[tokio::test]
async fn after_the_way_out_has_changed_the_same_port_serves_new_streams() {
    let (here, there) = (Egress::of(Way::default()), Egress::of(Way::default()));
    let (a, b) = (open(&here, "127.0.0.1:0").await, open(&there, "127.0.0.1:0").await);
    let to = b.sockets[0].0;
    for round in 0..2 {
        let (dialled, accepted) = tokio::join!(a.connect(to), b.accept());
        let (mut dialled, (mut accepted, _)) = (dialled.unwrap(), accepted.unwrap());
        dialled.write_all(&[round]).await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), round);
        // By the interface that leads there anyway.
        there.set(Way { interface: Some("lo".into()), ..Way::default() });
        if there.blocked().is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn switched_off_or_behind_a_proxy_there_is_none() {
    let addr = ["127.0.0.1:0".parse().unwrap()];
    let off = Config { utp: false, ..config() };
    assert!(Utp::start(&off, &Egress::of(Way::default()), &addr).await.unwrap().is_none());
    let proxy = Egress::of(Way { proxy: Some("socks5://127.0.0.1:9".parse().unwrap()), ..Way::default() });
    assert!(Utp::start(&config(), &proxy, &addr).await.unwrap().is_none());
}
