//! A private torrent is looked for nowhere but at its trackers: no word of it in the DHT, on the local network or to peers.
//! The same watcher sees a public one in all these places, so its silence means something.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use e2e::swarm::{PATIENCE, Recipe, Share, ours::Ours, process::Process, script};
use serde_json::Value;

/// Where a download of such a torrent was heard of, and what it told a peer that it can do.
fn heard(private: bool) -> (BTreeSet<String>, Vec<String>) {
    let share = Share::new(&Recipe { private, ..Recipe::mib(1) }).unwrap();
    let mut watcher = Command::new("python3");
    watcher.arg(script("watcher.py")).arg(&share.info_hash);
    let watcher = Process::start(watcher, &share.scratch("logs").unwrap().join("watcher")).unwrap();
    let (dht, peer) = watcher
        .expect("ports", PATIENCE, |line| Some((line["dht"].as_u64()?, line["peer"].as_u64()?)))
        .unwrap();
    let config = share.scratch("config").unwrap().join("c.toml");
    fs::write(&config, format!("[torrent]\ndht_bootstrap = [\"127.0.0.1:{dht}\"]\n")).unwrap();
    let (torrent, out) = (share.torrent().display().to_string(), share.leech_dir().display().to_string());
    let (peer, config) = (format!("127.0.0.1:{peer}"), config.display().to_string());
    // DHT, PEX and LSD are on.
    let args = ["download", &torrent, "-o", &out, "--json", "--peer", &peer, "--config", &config];
    let ours = Ours::start(&share, &[&args[..], &["--no-upnp", "--encryption", "disable"]].concat()).unwrap();
    // The DHT is entered after some seconds, and what is looked for there is looked for at once then. Of a public torrent it is
    // waited for as long as it takes; of a private one, for a good while after the DHT was entered.
    let (mut said, begun, mut entered) = (Vec::<Value>::new(), Instant::now(), None);
    let heard = |said: &[Value], via: &str| said.iter().any(|line| line["via"] == via);
    while begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        said.extend(watcher.said());
        if entered.is_none() && said.iter().any(|line| line["alive"] == "dht") {
            entered = Some(Instant::now());
        }
        let long_enough = entered.is_some_and(|entered: Instant| entered.elapsed() > Duration::from_secs(8));
        let all = ["dht", "lsd", "peer"].iter().all(|via| heard(&said, via));
        if if private { long_enough && heard(&said, "peer") } else { all } {
            break;
        }
    }
    let hello = said.iter().find(|line| line["via"] == "peer").expect("a handshake").clone();
    drop(ours);
    let via = |line: &Value| line["via"].as_str().filter(|via| *via != "peer").map(str::to_owned);
    let extensions =
        hello["extensions"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    (said.iter().filter_map(via).collect(), extensions.collect())
}

#[test]
fn a_private_torrent_is_told_to_nobody_but_its_trackers() {
    let (places, extensions) = heard(false);
    assert!(
        places.contains("dht") && places.contains("lsd"),
        "the watcher is deaf: a public torrent was heard of only in {places:?}"
    );
    assert!(extensions.iter().any(|name| name == "ut_pex"), "{extensions:?}");
    let (places, extensions) = heard(true);
    assert!(places.is_empty(), "a private torrent was heard of in {places:?}");
    assert!(!extensions.iter().any(|name| name == "ut_pex"), "{extensions:?}");
}
