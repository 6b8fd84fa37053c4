//! Whole downloads through a SOCKS5 proxy: trackers by name over HTTP and UDP, and peers. The direct way is open and every packet on
//! it is counted, so that none means that nothing tried.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use e2e::swarm::{
    PATIENCE, Recipe, Share,
    clients::Libtorrent,
    namespace::{FAR, Namespace},
    ours::Ours,
    process::Process,
    script,
    trackers::Tracker,
};

/// Known to the proxy alone.
const NAME: &str = "tracker.invalid";
const PORT: u16 = 1080;

struct World {
    near: Namespace,
    far: Namespace,
    tracker: Tracker,
    share: Share,
    seeder: Libtorrent,
}

/// A tracker and libtorrent behind `far`; the torrent names the tracker in this order.
fn world(tag: &str, order: impl Fn(u16) -> Vec<String>) -> Option<World> {
    let (near, far) = Namespace::pair(tag).unwrap()?;
    let tracker = Tracker::bittorrent_tracker_at(&far).unwrap();
    let share = Share::new(&Recipe { trackers: order(tracker.port()), ..Recipe::mib(8) }).unwrap();
    let (torrent, save) = (share.torrent().display().to_string(), share.seed_dir().display().to_string());
    let args = ["--seed", "--torrent", &torrent, "--save", &save, "--upload-limit", "3000000"];
    let seeder = Libtorrent::start_in(&far, &share, &args).unwrap();
    // Else who asks the tracker hears of nobody, and asks again much later.
    tracker.announce("start").unwrap();
    near.count(&format!("ip daddr {FAR} meta l4proto {{ tcp, udp }} th dport {PORT}")).unwrap();
    Some(World { near, far, tracker, share, seeder })
}

impl World {
    fn proxy(&self) -> Process {
        let mut command = self.far.command("python3");
        command.arg(script("proxy.py")).args([&format!("{FAR}:{PORT}"), NAME, FAR, "me", "secret"]);
        let proxy = Process::start(command, &self.share.scratch("logs").unwrap().join("proxy")).unwrap();
        proxy.expect("port", PATIENCE, |line| line["listening"].as_u64()).unwrap();
        proxy
    }

    /// With everything on that finds peers.
    fn download(&self, more: &[&str]) -> Ours {
        let (torrent, out) =
            (self.share.torrent().display().to_string(), self.share.leech_dir().display().to_string());
        let args = ["download", &torrent, "-o", &out, "--json"];
        Ours::start_in(&self.near, &self.share, &[&args[..], more].concat()).unwrap()
    }
}

#[test]
fn a_download_through_a_proxy_leaves_no_other_way_also_while_the_proxy_is_gone() {
    let names =
        |port| vec![format!("http://{NAME}:{port}/announce"), format!("http://{FAR}:{port}/announce")];
    let Some(mut world) = world("proxy", names) else { return };
    let proxy_url = format!("socks5://me:secret@{FAR}:{PORT}");

    // The count counts: without a proxy everything goes the direct way.
    world.download(&["--peer", &world.seeder.address.to_string(), "--no-upnp"]).finished().unwrap();
    let (_, direct) = world.near.counted().unwrap();
    assert!(direct > 100, "{direct} packets were counted on the direct way");
    world.share.forget().unwrap();

    let proxy = world.proxy();
    let mut ours = world.download(&["--proxy", &proxy_url]);
    ours.progress("a quarter", |line| line["progress"].as_f64() > Some(0.25)).unwrap();
    let stats = world.seeder.stats().unwrap();
    // Who has said what it is, is connected. The seeder also dials where the first download listened, and nobody answers there.
    let connected =
        |peer: &&serde_json::Value| peer["client"].as_str().is_some_and(|client| !client.is_empty());
    let peers: Vec<_> = stats["peers"].as_array().unwrap().iter().filter(connected).collect();
    assert!(!peers.is_empty(), "{stats}");
    assert!(peers.iter().all(|peer| peer["address"].as_str().unwrap().starts_with(FAR)), "{stats}");
    let said = proxy.said();
    let to = |what: &str| said.iter().any(|line| line["stream"] == what);
    assert!(to(&format!("{NAME}:{}", world.tracker.port())), "the tracker, by its name: {said:?}");
    assert!(to(&world.seeder.address.to_string()), "{said:?}");

    drop(proxy);
    std::thread::sleep(Duration::from_secs(2));
    let stuck = ours.process().said().last().unwrap()["have"].as_u64().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let still = ours.process().said().last().unwrap()["have"].as_u64().unwrap();
    assert_eq!(stuck, still, "something came although the proxy was gone");
    assert!(still < world.share.bytes);

    let _proxy = world.proxy();
    ours.finished().unwrap();
    world.share.check().unwrap();
    let (through, around) = world.near.counted().unwrap();
    assert!(through > 100, "{through} packets were counted on the way to the proxy");
    assert_eq!(around - direct, 0, "packets went around the proxy");
}

#[test]
fn a_tracker_over_udp_is_asked_through_the_proxy_as_well() {
    let names = |port| vec![format!("udp://{NAME}:{port}/announce"), format!("http://{FAR}:{port}/announce")];
    let Some(world) = world("proxyudp", names) else { return };
    let proxy = world.proxy();
    let mut ours = world.download(&["--proxy", &format!("socks5://me:secret@{FAR}:{PORT}")]);
    ours.finished().unwrap();
    world.share.check().unwrap();
    let said = proxy.said();
    let tracker = format!("{NAME}:{}", world.tracker.port());
    assert!(said.iter().any(|line| line["datagram"] == tracker.as_str()), "{said:?}");
    let (through, around) = world.near.counted().unwrap();
    assert!(through > 100, "{through} packets were counted on the way to the proxy");
    assert_eq!(around, 0, "packets went around the proxy");
}
