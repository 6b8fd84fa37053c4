//! Three network namespaces: us, with a tunnel and an ordinary interface that the default route prefers, and what each leads to.
//!
//! Both ends answer on the same public address, so that a packet is known by the way it took. Made and removed by `ip`, watched by `nft`;
//! needs the rights of root.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, UdpSocket};

/// What both ends answer on.
pub(super) const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
pub(super) const HTTP_PORT: u16 = 8080;
pub(super) const UDP_PORT: u16 = 6969;
/// A tracker by name: addresses that only one of the two ends has, and the public one.
pub(super) const NAME: &str = "tracker.test";

pub(super) struct World {
    tag: String,
    /// Requests that came over the tunnel, and over the ordinary interface.
    pub(super) by_tunnel: Arc<AtomicUsize>,
    pub(super) by_other: Arc<AtomicUsize>,
}

impl World {
    /// `None`, said loudly, where there are no rights to make one.
    pub(super) fn new(name: &str) -> Option<Self> {
        let tag = format!("hw{}-{name}", std::process::id());
        let allowed = rustix::process::geteuid().is_root()
            && run("ip", &["netns", "add", &format!("{tag}-us")]).is_ok();
        if !allowed {
            assert!(std::env::var_os("CI").is_none(), "network namespaces need root");
            eprintln!("SKIPPED: network namespaces need root");
            return None;
        }
        let world = Self { tag, by_tunnel: Arc::default(), by_other: Arc::default() };
        let [us, tunnel, other] = ["us", "tunnel", "other"].map(|end| world.name(end));
        for end in [&tunnel, &other] {
            must("ip", &["netns", "add", end]);
            must("ip", &["-n", end, "addr", "add", &format!("{PUBLIC}/32"), "dev", "lo"]);
        }
        must("ip", &["-n", &us, "link", "set", "lo", "up"]);
        must("ip", &["-n", &tunnel, "link", "set", "lo", "up"]);
        must("ip", &["-n", &other, "link", "set", "lo", "up"]);
        world.link("eth0", &other, 8, 100);
        world.make_tunnel();
        // What it does not know, the tunnel's end says at once.
        must("ip", &["netns", "exec", &tunnel, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
        must("ip", &["-n", &tunnel, "route", "add", "unreachable", "10.8.0.0/24"]);
        let rules = "table inet watch {
            counter other { }
            counter tunnel { }
            chain out {
                type filter hook output priority 0;
                oifname tun0 tcp flags & rst != rst counter name tunnel
                oifname tun0 meta l4proto udp counter name tunnel
                oifname != tun0 meta l4proto { tcp, udp } counter name other
            }
        }";
        must("ip", &["netns", "exec", &us, "nft", rules]);
        world.serve("tunnel", world.by_tunnel.clone());
        world.serve("other", world.by_other.clone());
        Some(world)
    }

    fn name(&self, end: &str) -> String {
        format!("{}-{end}", self.tag)
    }

    /// A pair of interfaces of one name, ours with address `.2` of network `number`, the other end with `.1`.
    fn link(&self, name: &str, to: &str, number: u8, metric: u32) {
        let us = self.name("us");
        must("ip", &["-n", &us, "link", "add", name, "type", "veth", "peer", "name", name, "netns", to]);
        for (end, host) in [(us.as_str(), 2), (to, 1)] {
            must("ip", &["-n", end, "addr", "add", &format!("10.{number}.0.{host}/24"), "dev", name]);
            must("ip", &["-n", end, "link", "set", name, "up"]);
            let v6 = format!("fd0{number}::{host}/64");
            must("ip", &["-n", end, "addr", "add", &v6, "dev", name, "nodad"]);
        }
        self.route(name, number, metric);
    }

    fn route(&self, name: &str, number: u8, metric: u32) {
        let (us, metric) = (self.name("us"), metric.to_string());
        for gateway in [format!("10.{number}.0.1"), format!("fd0{number}::1")] {
            must(
                "ip",
                &["-n", &us, "route", "add", "default", "via", &gateway, "dev", name, "metric", &metric],
            );
        }
    }

    pub(super) fn make_tunnel(&self) {
        self.link("tun0", &self.name("tunnel"), 9, 500);
    }

    pub(super) fn remove_tunnel(&self) {
        must("ip", &["-n", &self.name("us"), "link", "del", "tun0"]);
    }

    pub(super) fn tunnel_down(&self) {
        must("ip", &["-n", &self.name("us"), "link", "set", "tun0", "down"]);
    }

    /// Up again, with the addresses and routes that the kernel took away.
    pub(super) fn tunnel_up(&self) {
        let us = self.name("us");
        must("ip", &["-n", &us, "link", "set", "tun0", "up"]);
        must("ip", &["-n", &us, "addr", "replace", "fd09::2/64", "dev", "tun0", "nodad"]);
        self.route("tun0", 9, 500);
    }

    /// TCP and UDP packets of ours that left by anything but the tunnel, since the last time this was asked.
    pub(super) fn leaked(&self) -> u64 {
        self.counted("other")
    }

    /// Those that left by the tunnel, likewise; without what the kernel says to who knocks where nobody listens.
    pub(super) fn tunnelled(&self) -> u64 {
        self.counted("tunnel")
    }

    fn counted(&self, counter: &str) -> u64 {
        let nft = ["netns", "exec", &self.name("us"), "nft", "reset", "counter", "inet", "watch", counter];
        let said = must("ip", &nft);
        let packets = said.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        packets.and_then(|packets| packets.parse().ok()).unwrap_or_else(|| panic!("nft says {said}"))
    }

    /// Runs `work` as ours, on a thread of its own.
    pub(super) fn run<F: Future<Output = ()>>(&self, work: impl FnOnce() -> F + Send) {
        let us = self.name("us");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&us);
                runtime().block_on(work());
            });
            thread.join().unwrap();
        });
    }

    /// A tracker of both kinds and a name server, answering in a namespace until the process ends.
    fn serve(&self, end: &str, hits: Arc<AtomicUsize>) {
        let (ready, is_ready) = mpsc::channel();
        self.spawn(end, move || async move {
            for any in ["0.0.0.0", "::"].map(|ip| ip.parse::<IpAddr>().unwrap()) {
                let bind = |port| super::Way::default().bind_udp(SocketAddr::new(any, port)).unwrap();
                tokio::spawn(udp_tracker(bind(UDP_PORT), hits.clone()));
                tokio::spawn(name_server(bind(53), hits.clone()));
                let http = super::Way::default().listen_tcp(SocketAddr::new(any, HTTP_PORT)).unwrap();
                tokio::spawn(http_tracker(http, hits.clone()));
            }
            ready.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        is_ready.recv().unwrap();
    }

    /// Runs `work` at an end, on a thread of its own that nobody waits for.
    pub(super) fn spawn<F: Future<Output = ()>>(&self, end: &str, work: impl FnOnce() -> F + Send + 'static) {
        let name = self.name(end);
        std::thread::spawn(move || {
            enter(&name);
            runtime().block_on(work());
        });
    }

    /// Whether a connection from an end to us is taken.
    pub(super) fn reaches_us(&self, end: &str, addr: SocketAddr) -> bool {
        let name = self.name(end);
        std::thread::spawn(move || {
            enter(&name);
            std::net::TcpStream::connect_timeout(&addr, std::time::Duration::from_secs(2)).is_ok()
        })
        .join()
        .unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for end in ["us", "tunnel", "other"] {
            let _ = run("ip", &["netns", "del", &self.name(end)]);
        }
    }
}

async fn http_tracker(listener: TcpListener, hits: Arc<AtomicUsize>) {
    let answer = move |_: &str| {
        hits.fetch_add(1, Ordering::Relaxed);
        super::ok("d8:intervali1800e5:peers6:\x7f\0\0\x01\x1a\x65e")
    };
    super::serve(listener, answer).await;
}

async fn udp_tracker(socket: UdpSocket, hits: Arc<AtomicUsize>) {
    let mut datagram = [0; 2048];
    while let Ok((_, from)) = socket.recv_from(&mut datagram).await {
        hits.fetch_add(1, Ordering::Relaxed);
        let body: &[u8] = if datagram[11] == 0 { &[7; 8] } else { b"\0\0\x07\x08\0\0\0\x01\0\0\0\x02" };
        let answer = [&[0, 0, 0, datagram[11]], &datagram[12..16], body].concat();
        let _ = socket.send_to(&answer, from).await;
    }
}

async fn name_server(socket: UdpSocket, hits: Arc<AtomicUsize>) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query).await {
        hits.fetch_add(1, Ordering::Relaxed);
        let addresses: &[&[u8]] = match query[length - 3] {
            1 => &[&[10, 8, 0, 1], &PUBLIC.octets(), &[10, 9, 0, 1]],
            _ => &[
                &[0xfd, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                &[0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ],
        };
        let count = u8::try_from(addresses.len()).unwrap();
        let mut answer =
            [&query[..2], &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0], &query[12..length]].concat();
        for address in addresses {
            answer.extend([0xc0, 12, 0, query[length - 3], 0, 1, 0, 0, 0, 60, 0]);
            answer.push(u8::try_from(address.len()).unwrap());
            answer.extend(*address);
        }
        let _ = socket.send_to(&answer, from).await;
    }
}

fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
    }
}

fn must(program: &str, arguments: &[&str]) -> String {
    run(program, arguments).unwrap_or_else(|error| panic!("{error}"))
}
