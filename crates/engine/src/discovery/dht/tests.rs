//! Many nodes in a made network with a virtual clock, then two on loopback.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use metainfo::InfoHash;
use tokio::{sync::mpsc, time::timeout};

use seeded::Rng;

use crate::egress::{Egress, sockets::Way};

use super::{
    krpc::{Family, NodeId},
    node::{Found, Node},
    task::{Dht, Options},
};

const HASH: InfoHash = InfoHash([0x5a; 20]);

/// Nodes that reach one another after 20 ms, unless they are silent.
struct World {
    now: Duration,
    nodes: HashMap<SocketAddr, Node>,
    silent: Vec<SocketAddr>,
    flying: VecDeque<(Duration, SocketAddr, SocketAddr, Vec<u8>)>,
    found: HashMap<SocketAddr, Vec<Found>>,
    datagrams: usize,
}

impl World {
    fn new(count: usize, seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let mut nodes = HashMap::new();
        for n in 0..count {
            let node = Node::new(NodeId(random.bytes()), Family::V4, random.next(), Duration::ZERO);
            nodes.insert(addr(n), node);
        }
        for n in 1..count {
            let entry = addr(random.below(n));
            nodes.get_mut(&addr(n)).unwrap().add_entry(entry, Duration::ZERO);
        }
        Self {
            now: Duration::ZERO,
            nodes,
            silent: Vec::new(),
            flying: VecDeque::new(),
            found: HashMap::new(),
            datagrams: 0,
        }
    }

    fn node(&mut self, n: usize) -> &mut Node {
        self.nodes.get_mut(&addr(n)).unwrap()
    }

    fn run(&mut self, until: Duration) {
        while self.now < until {
            for (from, node) in &mut self.nodes {
                if node.next_timeout(self.now) <= self.now {
                    node.handle_timeout(self.now);
                }
                while let Some((to, datagram)) = node.poll_datagram() {
                    self.datagrams += 1;
                    self.flying.push_back((self.now + Duration::from_millis(20), *from, to, datagram));
                }
                self.found.entry(*from).or_default().extend(std::iter::from_fn(|| node.poll_found()));
            }
            let timers = self.nodes.values().map(|node| node.next_timeout(self.now));
            let next = timers.chain(self.flying.front().map(|(at, ..)| *at)).min().unwrap_or(until);
            self.now = next.clamp(self.now + Duration::from_millis(1), until);
            while self.flying.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, from, to, datagram) = self.flying.pop_front().unwrap();
                if let Some(node) = self.nodes.get_mut(&to).filter(|_| !self.silent.contains(&to)) {
                    node.handle_datagram(from, &datagram, self.now);
                }
            }
        }
    }

    fn peers_found(&self, n: usize) -> Vec<SocketAddr> {
        let found = self.found.get(&addr(n)).into_iter().flatten();
        let mut peers: Vec<_> = found
            .filter_map(|found| match found {
                Found::Peers(HASH, peers) => Some(peers.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }
}

fn addr(n: usize) -> SocketAddr {
    let [high, low] = u16::try_from(n).unwrap().to_be_bytes();
    SocketAddr::from(([50, 1, high, low], 6_881))
}

fn with_port(n: usize, port: u16) -> SocketAddr {
    SocketAddr::new(addr(n).ip(), port)
}

#[test]
fn what_one_of_two_hundred_announces_another_finds() {
    let mut world = World::new(200, 1);
    world.run(Duration::from_secs(30));
    let known = world.nodes.values().map(Node::len).min().unwrap();
    assert!(known >= 8, "a node knows only {known} others");
    let now = world.now;
    world.node(3).search(HASH, Some(7_003), now);
    world.node(4).search(HASH, Some(7_004), now);
    world.run(now + Duration::from_secs(5));
    let (now, sent) = (world.now, world.datagrams);
    world.node(77).search(HASH, None, now);
    world.run(now + Duration::from_secs(1));
    assert_eq!(world.peers_found(77), [with_port(3, 7_003), with_port(4, 7_004)]);
    assert!(world.found[&addr(77)].contains(&Found::Done(HASH, true)));
    assert!(world.datagrams - sent < 150, "a search took {} datagrams", world.datagrams - sent);
}

#[test]
fn a_third_of_the_nodes_may_be_silent() {
    let mut world = World::new(150, 2);
    world.run(Duration::from_secs(30));
    let now = world.now;
    world.node(3).search(HASH, Some(7_003), now);
    world.run(now + Duration::from_secs(10));
    world.silent = (100..150).map(addr).collect();
    let now = world.now;
    world.node(77).search(HASH, None, now);
    world.run(now + Duration::from_secs(15));
    assert_eq!(world.peers_found(77), [with_port(3, 7_003)]);
    assert!(world.found[&addr(77)].contains(&Found::Done(HASH, true)));
}

#[test]
fn a_search_that_came_before_the_first_node_waits_for_it() {
    let mut world = World::new(30, 3);
    world.node(9).search(HASH, Some(7_009), Duration::ZERO);
    world.run(Duration::from_secs(20));
    let now = world.now;
    world.node(10).search(HASH, None, now);
    world.run(now + Duration::from_secs(5));
    assert_eq!(world.peers_found(10), [with_port(9, 7_009)]);
}

#[test]
fn a_quiet_hour_costs_little_and_dead_nodes_are_noticed() {
    let mut world = World::new(20, 4);
    world.run(Duration::from_secs(60));
    let sent = world.datagrams;
    world.run(Duration::from_secs(3_660));
    let each = (world.datagrams - sent) / 20;
    assert!(each < 2_500, "{each} datagrams an hour from each node");
    world.silent = (10..20).map(addr).collect();
    world.run(Duration::from_secs(3 * 3_600));
    let near = world.node(0).nodes();
    let now = world.now;
    world.node(0).search(HASH, None, now);
    world.run(now + Duration::from_secs(10));
    assert!(world.found[&addr(0)].contains(&Found::Done(HASH, true)), "{near:?}");
}

#[test]
fn answers_to_nothing_and_nonsense_change_nothing() {
    let mut node = Node::new(NodeId([1; 20]), Family::V4, 1, Duration::ZERO);
    let mut random = Rng::new(5);
    let reply = b"d1:rd2:id20:abcdefghij01234567895:nodes26:abcdefghij0123456789\x01\x02\x03\x04\x05\x06e1:t2:aa1:y1:re";
    for round in 0..20_000u64 {
        let mut datagram = reply.to_vec();
        for _ in 0..random.below(6) {
            let at = random.below(datagram.len());
            datagram[at] = random.bytes::<1>()[0];
        }
        node.handle_datagram(addr(1), &datagram, Duration::from_millis(round));
        while node.poll_datagram().is_some() {}
    }
    assert_eq!(node.len(), 0);
}

#[test]
fn floods_of_questions_are_answered_within_bounds() {
    let mut node = Node::new(NodeId([1; 20]), Family::V4, 1, Duration::ZERO);
    for n in 0..10_000 {
        node.handle_datagram(
            addr(n),
            b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
            Duration::from_secs(1),
        );
    }
    let answers = std::iter::from_fn(|| node.poll_datagram()).filter(|(_, d)| d.ends_with(b"1:re")).count();
    assert!((100..=200).contains(&answers), "{answers}");
}

async fn dht(ip: &str, bootstrap: Vec<String>, file: Option<std::path::PathBuf>, seed: u64) -> Dht {
    let options = Options {
        addresses: vec![ip.parse().unwrap()],
        announce: Some(7_000 + u16::try_from(seed).unwrap()),
        bootstrap,
        file,
        seed,
    };
    Dht::start(Egress::of(Way::default()), options).await
}

async fn finds(one: &Dht, other: &Dht, ip: &str) {
    let announcing = one.search(HASH, Box::new(|_| {}));
    let (found, mut peers) = mpsc::channel(16);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let seeking = other.search(HASH, Box::new(move |peers| drop(found.try_send(peers))));
    let peers = timeout(Duration::from_secs(10), peers.recv()).await.unwrap().unwrap();
    assert_eq!(peers, [SocketAddr::new(ip.parse().unwrap(), 7_001)]);
    seeking.wanted();
    drop((announcing, seeking));
}

#[tokio::test]
async fn two_nodes_on_loopback_find_each_others_torrents_over_ipv4_and_ipv6() {
    for ip in ["127.0.0.1", "::1"] {
        let one = dht(ip, vec![], None, 1).await;
        let at = SocketAddr::new(ip.parse().unwrap(), one.port().unwrap());
        let other = dht(ip, vec![at.to_string()], None, 2).await;
        finds(&one, &other, ip).await;
        one.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn a_restarted_node_finds_its_way_back_without_help_on_its_old_port() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dht");
    let one = dht("127.0.0.1", vec!["127.0.0.1:1".into()], None, 1).await;
    let at = SocketAddr::from(([127, 0, 0, 1], one.port().unwrap()));
    let other = dht("127.0.0.1", vec![at.to_string()], Some(file.clone()), 2).await;
    finds(&one, &other, "127.0.0.1").await;
    let port = other.port();
    other.stop().await;
    let again = dht("127.0.0.1", vec!["127.0.0.1:1".into()], Some(file), 3).await;
    assert_eq!(again.port(), port);
    finds(&one, &again, "127.0.0.1").await;
}

#[tokio::test]
async fn the_nodes_that_a_torrent_names_lead_into_the_dht() {
    let one = dht("127.0.0.1", vec!["127.0.0.1:1".into()], None, 1).await;
    let other = dht("127.0.0.1", vec!["127.0.0.1:1".into()], None, 2).await;
    other.enter_by(&[SocketAddr::from(([127, 0, 0, 1], one.port().unwrap())).into()]);
    finds(&one, &other, "127.0.0.1").await;
}
