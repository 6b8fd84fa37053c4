//! Whole sessions in network namespaces: one bound to the tunnel, a seeder behind it, a seeder that only the other interface leads to.

use std::{net::SocketAddr, path::Path, sync::mpsc, time::Duration};

use bytes::Bytes;
use metainfo::{Builder, Content, PieceLength};
use sha1::{Digest as _, Sha1};

use super::world::{HTTP_PORT, NAME, PUBLIC, UDP_PORT, World};
use crate::{Add, Config, Limits, Session, Torrent, TrackerState, egress::sockets::Way};

const LENGTH: usize = 6 << 20;
const PIECE_LENGTH: u32 = 64 << 10;
/// So that there is time to take the tunnel away.
const RATE: u64 = 1 << 20;

fn content() -> Vec<u8> {
    (0..LENGTH as u64 / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

fn torrent(trackers: &[String]) -> Bytes {
    let mut builder = Builder::new("film.bin", Content::File { length: LENGTH as u64 });
    builder.piece_length = PieceLength::Bytes(PIECE_LENGTH);
    builder.trackers = trackers.iter().map(|url| vec![url.clone()]).collect();
    let hashes: Vec<u8> =
        content().chunks(PIECE_LENGTH as usize).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    builder.build(&hashes).unwrap().bytes().clone()
}

/// Everything on that finds peers, so that everything that could go around the tunnel tries to.
fn config(folder: &Path) -> Config {
    Config {
        dht_bootstrap: vec![format!("{PUBLIC}:{UDP_PORT}"), format!("{NAME}:{UDP_PORT}")],
        ..Config::new(folder.join("data"), folder.join("state"))
    }
}

/// A session that seeds at one end until the process ends; its port.
fn seed(world: &World, end: &str, folder: &Path, torrent: Bytes) -> u16 {
    let (name, folder) = (end.to_owned(), folder.join(end));
    std::fs::create_dir_all(folder.join("data")).unwrap();
    std::fs::write(folder.join("data/film.bin"), content()).unwrap();
    let (port, is_ready) = mpsc::channel();
    world.spawn(&name, move || async move {
        let session = Session::start(Config { dht: false, ..config(&folder) }).await.unwrap();
        let (seeding, _) = session.add(Add::metainfo(torrent)).await.unwrap();
        seeding.wait_finished().await.unwrap();
        port.send(session.stats().listen_port.unwrap()).unwrap();
        std::future::pending::<()>().await;
    });
    is_ready.recv_timeout(Duration::from_secs(60)).unwrap()
}

async fn here(torrent: &Torrent, bytes: u64) {
    for _ in 0..900 {
        if torrent.snapshot().have >= bytes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!(
        "{bytes} bytes are not here: {:?}, {:?}, {:?}",
        torrent.snapshot(),
        torrent.peers().await,
        torrent.trackers().await
    );
}

/// A torrent with a seeder at either end, and where they are.
fn seeded(world: &World, folder: &Path) -> (Bytes, Vec<SocketAddr>) {
    let trackers = [
        format!("http://{NAME}:{HTTP_PORT}/announce"),
        format!("http://10.9.0.1:{HTTP_PORT}/announce"),
        format!("http://10.8.0.1:{HTTP_PORT}/announce"),
        format!("udp://{PUBLIC}:{UDP_PORT}/announce"),
    ];
    let torrent = torrent(&trackers);
    let by_tunnel = seed(world, "tunnel", folder, torrent.clone());
    let by_other = seed(world, "other", folder, torrent.clone());
    let peers = vec![
        SocketAddr::from(([10, 9, 0, 1], by_tunnel)),
        SocketAddr::from(([10, 8, 0, 1], by_other)),
        SocketAddr::from((PUBLIC, by_other)),
    ];
    let _ = world.leaked();
    (torrent, peers)
}

#[test]
fn a_session_downloads_through_its_tunnel_or_not_at_all() {
    let Some(world) = World::new("session") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (torrent, peers) = seeded(&world, folder.path());
    world.run(|| async {
        for another in [false, true] {
            downloads(&world, &folder.path().join(format!("us-{another}")), &torrent, &peers, another).await;
        }
    });
}

#[test]
fn a_session_whose_interface_is_changed_leaves_the_one_before_at_once() {
    let Some(world) = World::new("moved") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (torrent, peers) = seeded(&world, folder.path());
    world.run(|| moves(&world, folder.path(), &torrent, &peers));
}

/// A download whose interface is changed on the way: to one that is not there, to the other one, and back.
async fn moves(world: &World, folder: &Path, torrent: &Bytes, peers: &[SocketAddr]) {
    let folder = &folder.join("us");
    // What connections of the interface before have left to say, their end, is said by then.
    const SETTLED: Duration = Duration::from_secs(1);
    let config = Config {
        bind_interface: Some("tun0".into()),
        limits: Limits { download: Some(RATE), upload: None },
        ..config(folder)
    };
    let session = Session::start(config).await.unwrap();
    let bind = |interface: &str| {
        session.egress().set(Way { interface: Some(interface.into()), ..Way::default() });
        tokio::time::sleep(SETTLED)
    };
    let add = Add { peers: peers.to_vec(), ..Add::metainfo(torrent.clone()) };
    let (download, _) = session.add(add).await.unwrap();
    here(&download, LENGTH as u64 / 8).await;
    assert_eq!(world.leaked(), 0, "on the way");

    bind("tun1").await;
    let (had, _) = (download.snapshot().have, world.tunnelled());
    let _ = download.reannounce().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(session.stats().blocked.expect("nothing leaves").contains("tun1"));
    assert_eq!(download.snapshot().have, had, "nothing comes");
    assert_eq!((world.leaked(), world.tunnelled()), (0, 0), "bound to what is not there");

    // The count of the tunnel counts, and so does that of the other interface.
    bind("eth0").await;
    let _ = world.tunnelled();
    here(&download, LENGTH as u64 / 2).await;
    assert_eq!(world.tunnelled(), 0, "bound to the other interface");
    assert!(world.leaked() > 0);

    bind("tun0").await;
    let _ = world.leaked();
    assert!(download.snapshot().have < LENGTH as u64);
    here(&download, LENGTH as u64).await;
    assert!(world.tunnelled() > 0);
    session.stop().await;
    assert!(std::fs::read(folder.join("data/film.bin")).unwrap() == content());
    assert_eq!(world.leaked(), 0, "bound to the tunnel again");
}

/// A download from which the tunnel is taken on the way, and given back, as `another` or the same.
async fn downloads(world: &World, folder: &Path, torrent: &Bytes, peers: &[SocketAddr], another: bool) {
    let config = Config {
        bind_interface: Some("tun0".into()),
        limits: Limits { download: Some(RATE), upload: None },
        ..config(folder)
    };
    let session = Session::start(config.clone()).await.unwrap();
    let add = Add { peers: peers.to_vec(), ..Add::metainfo(torrent.clone()) };
    let (download, _) = session.add(add).await.unwrap();
    here(&download, LENGTH as u64 / 8).await;
    let trackers = download.trackers().await.unwrap();
    assert!(trackers.iter().any(|tracker| tracker.state == TrackerState::Working), "{trackers:?}");
    assert_eq!(world.leaked(), 0, "on the way");

    if another {
        world.remove_tunnel();
    } else {
        world.tunnel_down();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let reason = session.stats().blocked.expect("nothing leaves");
    assert!(reason.contains("tun0"), "{reason}");
    let had = download.snapshot().have;
    let _ = download.reannounce().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(download.snapshot().have, had, "nothing comes");
    assert_eq!(world.leaked(), 0, "the tunnel is gone");

    // Started meanwhile, a session waits.
    let waiting = Session::start(Config { state_dir: folder.join("waiting"), ..config }).await.unwrap();
    assert!(waiting.stats().blocked.is_some());
    waiting.stop().await;

    if another {
        world.make_tunnel();
    } else {
        world.tunnel_up();
    }
    here(&download, LENGTH as u64).await;
    assert_eq!(session.stats().blocked, None);
    session.stop().await;
    assert!(std::fs::read(folder.join("data/film.bin")).unwrap() == content());
    assert_eq!(world.leaked(), 0, "back");
}
