//! A private torrent is looked for nowhere but at its trackers: no word of it in the DHT, on the local network or to peers.
//!
//! Ours has a network of its own, in which every packet is captured, and whose other end has a tracker, a DHT node, a listener for
//! LSD and a peer. A public torrent is seen and heard in all these places, so the silence of a private one means something.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use e2e::swarm::{
    PATIENCE, Recipe, Share,
    namespace::{FAR, NEAR, Namespace},
    ours::Ours,
    process::Process,
    script,
    trackers::Tracker,
};
use serde_json::Value;

/// How long it is listened on after the DHT was entered and the tracker and the peer were met. A public torrent is heard of
/// within two seconds of it.
const SILENCE: Duration = Duration::from_secs(8);

/// What a download of a torrent was seen and heard to do.
struct Told {
    /// What was captured of ours, by kind: see `tests/swarm/capture.py`.
    saw: BTreeSet<String>,
    /// Where packets that name the torrent went to, the tracker and the peer aside.
    named_to: BTreeSet<String>,
    /// Ways on which the other end heard its name.
    heard: BTreeSet<String>,
    /// Whether the handshake says that there is a DHT node.
    dht: bool,
    extensions: Vec<String>,
    packets: u64,
}

fn told(near: &Namespace, far: &Namespace, private: bool) -> Told {
    let tracker = Tracker::bittorrent_tracker_at(far).unwrap();
    let share = Share::new(&Recipe { private, trackers: vec![tracker.http()], ..Recipe::mib(1) }).unwrap();
    let logs = share.scratch("logs").unwrap();
    let mut watcher = far.command("python3");
    watcher.arg(script("watcher.py")).arg(&share.info_hash).arg(FAR);
    let watcher = Process::start(watcher, &logs.join("watcher")).unwrap();
    let (dht, peer) = watcher
        .expect("ports", PATIENCE, |line| Some((line["dht"].as_u64()?, line["peer"].as_u64()?)))
        .unwrap();
    let mut capture = near.command("python3");
    capture.arg(script("capture.py")).arg(&share.info_hash);
    let mut capture = Process::start(capture, &logs.join("capture")).unwrap();
    capture.expect("begin", PATIENCE, |line| line["capturing"].as_bool()).unwrap();

    let config = share.scratch("config").unwrap().join("c.toml");
    fs::write(&config, format!("[torrent]\ndht_bootstrap = [\"{FAR}:{dht}\"]\n")).unwrap();
    let (torrent, out) = (share.torrent().display().to_string(), share.leech_dir().display().to_string());
    let (peer, config) = (format!("{FAR}:{peer}"), config.display().to_string());
    // DHT, PEX and LSD are on.
    let args = ["download", &torrent, "-o", &out, "--json", "--peer", &peer, "--config", &config];
    let mut ours =
        Ours::start_in(near, &share, &[&args[..], &["--no-upnp", "--encryption", "disable"]].concat())
            .unwrap();

    // Of a public torrent it is waited for as long as it takes.
    let (mut said, mut saw, begun) = (Vec::<Value>::new(), Vec::<Value>::new(), Instant::now());
    let (mut announced, mut met) = (false, None);
    let heard = |said: &[Value], via: &str| said.iter().any(|line| line["via"] == via);
    loop {
        std::thread::sleep(Duration::from_millis(100));
        said.extend(watcher.said());
        saw.extend(capture.said());
        announced |= tracker.announces().iter().any(|line| line["event"] == "start");
        let in_dht = said.iter().any(|line| line["alive"] == "dht");
        if in_dht && announced && heard(&said, "peer") {
            met.get_or_insert_with(Instant::now);
        }
        let all = heard(&said, "dht") && heard(&said, "lsd");
        if met.is_some_and(|met: Instant| (!private && all) || met.elapsed() > SILENCE) {
            break;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "DHT: {in_dht}, announced: {announced}, heard: {said:?}, seen: {saw:?}; ours: {:?}, {}",
            ours.process().said().last(),
            ours.process().complaints()
        );
    }
    capture.tell("numbers").unwrap();
    let numbers = capture
        .expect("numbers", PATIENCE, |line| {
            saw.extend(line.get("saw").map(|_| line.clone()));
            line.get("packets").map(|_| line.clone())
        })
        .unwrap();
    assert_eq!(numbers["lost"].as_u64(), Some(0), "the capture is whole");
    drop(ours);

    let allowed =
        [peer.clone(), tracker.http().trim_start_matches("http://").trim_end_matches("/announce").into()];
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    // What the other end says is its own affair; and the tracker names us to ourselves, who are then dialled once.
    saw.retain(|line| {
        line["saw"].is_string()
            && !text(line, "from").starts_with(&format!("{FAR}:"))
            && !text(line, "to").starts_with(&format!("{NEAR}:"))
    });
    let to_others = |line: &&Value| {
        line["saw"] == "name" && !(line["over"] == "tcp" && allowed.contains(&text(line, "to")))
    };
    let hello = said.iter().find(|line| line["via"] == "peer").unwrap();
    Told {
        named_to: saw.iter().filter(to_others).map(|line| text(line, "to")).collect(),
        saw: saw.iter().map(|line| text(line, "saw")).collect(),
        heard: said.iter().map(|line| text(line, "via")).filter(|via| !via.is_empty()).collect(),
        dht: hello["dht"] == true,
        extensions: hello["extensions"].as_array().unwrap().iter().map(|name| name.to_string()).collect(),
        packets: numbers["packets"].as_u64().unwrap(),
    }
}

#[test]
fn a_private_torrent_is_told_to_nobody_but_its_trackers() {
    let Some((near, far)) = Namespace::pair("private").unwrap() else { return };
    let pex = "\"ut_pex\"".to_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();

    let public = told(&near, &far, false);
    let seen = words(&["find_node", "get_peers", "lsd", "name", "pex"]);
    assert!(
        public.saw.is_superset(&seen),
        "the capture is blind: of a public torrent it saw {:?}",
        public.saw
    );
    assert!(!public.named_to.is_empty());
    assert!(
        public.heard.is_superset(&words(&["dht", "lsd", "peer"])),
        "the watcher is deaf: {:?}",
        public.heard
    );
    assert!(public.dht && public.extensions.contains(&pex), "{:?}", public.extensions);

    let private = told(&near, &far, true);
    assert!(private.packets > 20, "{} packets", private.packets);
    // The DHT is entered, which names nobody; the tracker and the peer are told the name.
    assert_eq!(private.saw, words(&["find_node", "name"]));
    assert_eq!(private.named_to, BTreeSet::new());
    assert_eq!(private.heard, words(&["peer"]));
    assert!(!private.dht && !private.extensions.contains(&pex), "{:?}", private.extensions);
}
