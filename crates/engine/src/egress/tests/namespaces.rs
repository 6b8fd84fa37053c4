//! In network namespaces: with an interface bound nothing leaves by another, whatever happens to it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use metainfo::InfoHash;
use tokio::time::timeout;
use tracker_proto::{AnnounceRequest, Encryption, Event, Failure};

use super::{
    world::{HTTP_PORT, NAME, PUBLIC, UDP_PORT, World},
    *,
};
use crate::trackers::carry::{Carrier, News};

const ANSWERED: usize = usize::MAX;

fn by(interface: Option<&str>) -> Way {
    Way {
        interface: interface.map(str::to_owned),
        dns: vec!["10.9.0.1:53".parse().unwrap()],
        ..Way::default()
    }
}

async fn announce(carrier: &Arc<Carrier>, url: String) -> Result<(), Failure> {
    let request = AnnounceRequest {
        info_hash: InfoHash([1; 20]),
        peer_id: [2; 20],
        port: 3,
        key: 4,
        uploaded: 5,
        downloaded: 6,
        left: Some(7),
        event: Some(Event::Started),
        peers_wanted: 8,
        tracker_id: None,
        encryption: Encryption::Supported,
    };
    let first = Mutex::new(None);
    let tell = |news| {
        if let News::First(result) = news {
            *first.lock().unwrap() = Some(result);
        }
        std::future::ready(())
    };
    carrier.announce(url.parse().unwrap(), request, tell).await;
    first.into_inner().unwrap().unwrap().map(|_| ())
}

/// Everything that a swarm does, as far as it is done by the egress: how much of it was answered.
async fn everything(egress: &Egress) -> Result<usize, String> {
    let carrier = Arc::new(Carrier::new(egress.clone()));
    let mut failures = Vec::new();
    for url in [
        format!("http://{NAME}:{HTTP_PORT}/announce"),
        format!("udp://{NAME}:{UDP_PORT}/announce"),
        format!("http://{PUBLIC}:{HTTP_PORT}/announce"),
        format!("http://[fd09::1]:{HTTP_PORT}/announce"),
    ] {
        if let Err(failure) = announce(&carrier, url.clone()).await {
            failures.push(format!("{url}: {failure}"));
        }
    }
    let peer = SocketAddr::from((PUBLIC, HTTP_PORT));
    if let Err(error) = egress.connect_tcp(peer).await {
        failures.push(format!("peer: {error}"));
    }
    // As the DHT does: a socket of its own that sends anywhere.
    match egress.bind_udp("0.0.0.0:0".parse().unwrap()) {
        Ok(socket) => {
            for _ in 0..3 {
                if let Err(error) = socket.send_to(&[0; 16], SocketAddr::from((PUBLIC, UDP_PORT))).await {
                    failures.push(format!("datagram: {error}"));
                    break;
                }
            }
        }
        Err(error) => failures.push(format!("datagram: {error}")),
    }
    match failures.len() {
        0 => Ok(ANSWERED),
        6 => Err(failures.join("; ")),
        some => panic!("{some} of 6 failed: {}", failures.join("; ")),
    }
}

async fn wait_for(egress: &Egress, blocked: bool) {
    let mut watch = egress.watch();
    let seen = watch.wait_for(|standing| standing.blocked.is_some() == blocked);
    timeout(Duration::from_secs(20), seen).await.expect("the interface is watched").unwrap();
}

#[test]
fn nothing_goes_around_the_bound_interface() {
    let Some(world) = World::new("egress") else { return };
    world.run(|| scenario(&world));
}

async fn scenario(world: &World) {
    // The capture sees what it is for: unbound, everything takes the other interface.
    let open = Egress::of(by(None));
    assert!(fetch(&open, &format!("http://{PUBLIC}:{HTTP_PORT}/announce")).await.is_ok());
    assert!(world.by_other.swap(0, Ordering::Relaxed) > 0);
    assert!(world.leaked() > 0);

    let egress = Egress::of(by(Some("tun0")));
    assert_eq!(everything(&egress).await, Ok(ANSWERED));
    assert_eq!((world.by_other.load(Ordering::Relaxed), world.leaked()), (0, 0), "bound");

    let listener = egress.listen_tcp("0.0.0.0:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(world.reaches_us("tunnel", ([10, 9, 0, 2], port).into()));
    assert!(!world.reaches_us("other", ([10, 8, 0, 2], port).into()), "the listener is bound as well");
    drop(listener);
    let _ = world.leaked();

    // A stream and a socket from before the tunnel goes keep to it.
    let before = egress.bind_udp("0.0.0.0:0".parse().unwrap()).unwrap();
    for round in 0..2 {
        let generation = egress.watch().borrow().generation;
        world.by_tunnel.store(0, Ordering::Relaxed);
        if round == 0 {
            world.tunnel_down();
        } else {
            world.remove_tunnel();
        }
        // At once, not when the watch has seen it.
        everything(&egress).await.unwrap_err();
        let _ = before.send_to(&[0; 16], SocketAddr::from((PUBLIC, UDP_PORT))).await;
        wait_for(&egress, true).await;
        let reason = egress.blocked().unwrap();
        assert!(reason.contains("interface tun0"), "{reason}");
        everything(&egress).await.unwrap_err();
        assert_eq!(world.by_tunnel.load(Ordering::Relaxed), 0, "round {round}");
        assert_eq!((world.by_other.load(Ordering::Relaxed), world.leaked()), (0, 0), "round {round}: gone");
        if round == 0 {
            world.tunnel_up();
        } else {
            world.make_tunnel();
        }
        wait_for(&egress, false).await;
        assert!(egress.watch().borrow().generation > generation);
        let _ = before.send_to(&[0; 16], SocketAddr::from((PUBLIC, UDP_PORT))).await;
        assert_eq!(everything(&egress).await, Ok(ANSWERED), "round {round}: back");
        assert_eq!((world.by_other.load(Ordering::Relaxed), world.leaked()), (0, 0), "round {round}: back");
    }

    // The setting changed, to what is not there and to a proxy that does not answer, and back.
    let proxy = Way { proxy: Some("socks5://10.9.0.1:1".parse().unwrap()), ..by(Some("tun0")) };
    for way in [by(Some("tun1")), proxy] {
        egress.set(way);
        everything(&egress).await.unwrap_err();
        assert_eq!((world.by_other.load(Ordering::Relaxed), world.leaked()), (0, 0), "changed");
        egress.set(by(Some("tun0")));
        assert_eq!(everything(&egress).await, Ok(ANSWERED), "changed back");
        assert_eq!((world.by_other.load(Ordering::Relaxed), world.leaked()), (0, 0), "changed back");
    }
}
