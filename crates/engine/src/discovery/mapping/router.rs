//! A made gateway that knows NAT-PMP only, and a real router (`miniupnpd`) in a network namespace of its own: skipped, loudly, where it
//! is not installed or there are no rights.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::UdpSocket, time::timeout};

use super::{natpmp::Gateway, *};
use crate::egress::sockets::Way;

const WANTS: [Want; 2] =
    [Want { protocol: Protocol::Tcp, port: 26_881 }, Want { protocol: Protocol::Udp, port: 26_882 }];

#[tokio::test]
async fn a_gateway_that_knows_nat_pmp_only_is_asked_again_in_its_words() {
    let ip = Ipv4Addr::new(127, 0, 0, 77);
    let gateway = UdpSocket::bind(SocketAddr::from((ip, 5_351))).await.unwrap();
    let server = tokio::spawn(async move {
        let mut buffer = [0; 100];
        loop {
            let (length, from) = gateway.recv_from(&mut buffer).await.unwrap();
            let answer = match buffer[..length] {
                [0, operation, _, _, high, low, ..] => {
                    vec![0, 0x80 | operation, 0, 0, 0, 0, 0, 1, high, low, 0x30, 0x39, 0, 0, 0, 120]
                }
                _ => vec![0, 0x81, 0, 1, 0, 0, 0, 1],
            };
            gateway.send_to(&answer, from).await.unwrap();
        }
    });
    let mut gateway = Gateway::new(&Egress::of(Way::default()), ip, [1; 12]).await.unwrap();
    let granted = gateway.map(WANTS[0], 26_881, LIFETIME).await.unwrap();
    assert_eq!(
        (granted.port, granted.lifetime, gateway.name()),
        (12_345, Duration::from_secs(120), "NAT-PMP")
    );
    server.abort();
}

/// Us and a router, with `miniupnpd` on it.
struct House {
    tag: String,
    folder: tempfile::TempDir,
    daemon: Option<Child>,
}

impl House {
    fn new(tag: &str) -> Option<Self> {
        let tag = format!("hw{tag}{}", std::process::id());
        let ready = rustix::process::geteuid().is_root()
            && Path::new("/usr/sbin/miniupnpd").exists()
            && run("ip", &["netns", "add", &format!("{tag}-us")]).is_ok();
        if !ready {
            eprintln!("SKIPPED: a router needs root and miniupnpd");
            return None;
        }
        let house = Self { tag, folder: tempfile::tempdir().unwrap(), daemon: None };
        let (us, router) = (house.name("us"), house.name("router"));
        must("ip", &["netns", "add", &router]);
        must(
            "ip",
            &["-n", &us, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", &router],
        );
        must("ip", &["-n", &router, "link", "add", "wan0", "type", "veth", "peer", "name", "wan1"]);
        for (end, link, addr) in [
            (&us, "lan0", "192.168.77.2/24"),
            (&router, "lan0", "192.168.77.1/24"),
            // Nobody's documentation: miniupnpd wants an address that is public.
            (&router, "wan0", "45.11.22.33/24"),
        ] {
            must("ip", &["-n", end, "addr", "add", addr, "dev", link]);
            must("ip", &["-n", end, "link", "set", link, "up"]);
        }
        for end in [&us, &router] {
            must("ip", &["-n", end, "link", "set", "lo", "up"]);
        }
        must("ip", &["-n", &us, "route", "add", "default", "via", "192.168.77.1"]);
        must("ip", &["-n", &router, "route", "add", "default", "dev", "wan0"]);
        let rules = "table inet filter {
            chain forward { type filter hook forward priority 0; policy drop; jump miniupnpd; }
            chain miniupnpd { }
            chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
            chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
            chain prerouting_miniupnpd { }
            chain postrouting_miniupnpd { }
        }";
        must("ip", &["netns", "exec", &router, "nft", rules]);
        Some(house)
    }

    fn name(&self, end: &str) -> String {
        format!("{}-{end}", self.tag)
    }

    fn serve(&mut self, pcp: bool) {
        let yes_no = if pcp { "yes" } else { "no" };
        let config = format!(
            "ext_ifname=wan0\next_ip=45.11.22.33\nlistening_ip=lan0\nhttp_port=5555\nenable_upnp=yes\nenable_natpmp={yes_no}\n\
             secure_mode=yes\nmin_lifetime=60\nmax_lifetime=86400\nuuid=5d63b91f-5a79-4692-b1ff-b4f5430f6b23\n\
             lease_file={0}/leases\nallow 1024-65535 192.168.77.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n",
            self.folder.path().display()
        );
        let file = self.folder.path().join("config");
        std::fs::write(&file, config).unwrap();
        let daemon = Command::new("ip")
            .args(["netns", "exec", &self.name("router"), "/usr/sbin/miniupnpd", "-d", "-f"])
            .arg(&file)
            .arg("-P")
            .arg(self.folder.path().join("pid"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.daemon = Some(daemon.unwrap());
        std::thread::sleep(Duration::from_secs(1));
    }

    fn rules(&self) -> String {
        must(
            "ip",
            &[
                "netns",
                "exec",
                &self.name("router"),
                "nft",
                "list",
                "chain",
                "inet",
                "filter",
                "prerouting_miniupnpd",
            ],
        )
    }

    fn run<F: Future<Output = ()>>(&self, work: impl FnOnce() -> F + Send) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(format!("/run/netns/{}", self.name("us"))).unwrap();
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), network).unwrap();
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
            });
            thread.join().unwrap();
        });
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for end in ["us", "router"] {
            let _ = run("ip", &["netns", "del", &self.name(end)]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn must(program: &str, arguments: &[&str]) -> String {
    run(program, arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// Ports are mapped on the router, told, and given back.
async fn mapped_and_given_back(house: &House, interface: Option<&str>) {
    let way = Way { interface: interface.map(str::to_owned), ..Way::default() };
    let mapping = Mapping::start(Egress::of(way), WANTS.to_vec(), 1);
    let mut outer = mapping.outer_port();
    let told = timeout(Duration::from_secs(20), outer.wait_for(Option::is_some)).await;
    assert_eq!(*told.expect("a router answers").unwrap(), Some(WANTS[0].port));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rules = house.rules();
    for want in WANTS {
        assert!(rules.contains(&format!("192.168.77.2:{}", want.port)), "{want:?}: {rules}");
    }
    mapping.stop().await;
    let rules = house.rules();
    assert!(!rules.contains("192.168.77.2"), "{rules}");
}

#[test]
fn a_router_maps_our_ports_by_pcp_and_takes_them_back() {
    let Some(mut house) = House::new("pcp") else { return };
    house.serve(true);
    house.run(|| mapped_and_given_back(&house, Some("lan0")));
}

#[test]
fn a_router_maps_our_ports_by_upnp_and_takes_them_back() {
    let Some(mut house) = House::new("upnp") else { return };
    house.serve(false);
    house.run(|| mapped_and_given_back(&house, None));
}
