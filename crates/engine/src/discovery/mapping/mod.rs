//! The router's port: asked for by PCP, NAT-PMP or UPnP, whichever is answered first in this order; renewed, and given back at the
//! end. Over the one way out: where an interface is bound, its gateway is asked and nobody else.
//!
//! Why it is our own: design 0008.

mod natpmp;
#[cfg(test)]
mod router;
mod upnp;

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info};

use crate::egress::{Egress, unspecified};

/// How long a port is asked for; it is renewed at half of what is granted.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// A router is asked again no sooner than this, whatever it grants.
const RENEW_MIN: Duration = Duration::from_secs(60);

/// Nobody answered: tried again later, and later still.
const RETRY_FIRST: Duration = Duration::from_secs(5 * 60);
const RETRY_LAST: Duration = Duration::from_secs(3_600);

/// Other ports tried where one is taken on the router.
const PORTS_TRIED: u16 = 4;

/// How long giving back may take.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// Where Linux lists its routes.
const ROUTES: &str = "/proc/net/route";

/// What is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

/// A port of ours that others shall reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// Who mapped.
enum Router {
    Gateway(natpmp::Gateway),
    Upnp(upnp::Gateway),
}

/// Keeps ports mapped until it is stopped.
pub(super) struct Mapping {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
    outer: watch::Receiver<Option<u16>>,
}

impl Mapping {
    /// Asks for `wants`, the first of which is what trackers are told of.
    pub(super) fn start(egress: Egress, wants: Vec<Want>, seed: u64) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (found, outer) = watch::channel(None);
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&seed.to_be_bytes());
        let keeper = Keeper { egress, wants, nonce, mapped: Vec::new(), router: None, found };
        let task = Mutex::new(Some(tokio::spawn(keeper.run(stopped))));
        Self { stop, task, outer }
    }

    /// The outer port of the first that is wanted, while it is mapped.
    pub(super) fn outer_port(&self) -> watch::Receiver<Option<u16>> {
        self.outer.clone()
    }

    /// Gives the ports back.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && timeout(STOP_WAIT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

struct Keeper {
    egress: Egress,
    wants: Vec<Want>,
    nonce: [u8; 12],
    /// With the outer port.
    mapped: Vec<(Want, u16)>,
    router: Option<Router>,
    found: watch::Sender<Option<u16>>,
}

impl Keeper {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut standing = self.egress.watch();
        let mut generation = standing.borrow_and_update().generation;
        let mut retry = RETRY_FIRST;
        'keep: loop {
            let egress = self.egress.clone();
            let renewed = tokio::select! {
                renewed = egress.unless_changed(self.renew()) => renewed.flatten(),
                () = ended(&mut stopped) => break,
            };
            let next = match renewed {
                Ok(lifetime) => {
                    retry = RETRY_FIRST;
                    (lifetime / 2).max(RENEW_MIN)
                }
                Err(error) => {
                    debug!(%error, "no router maps our port");
                    self.router = None;
                    self.mapped.clear();
                    self.found.send_replace(None);
                    let next = retry;
                    retry = (retry * 2).min(RETRY_LAST);
                    next
                }
            };
            let next = Instant::now() + next;
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    () = ended(&mut stopped) => break 'keep,
                    changed = standing.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let new = standing.borrow_and_update().generation;
                        if new != generation {
                            // Another interface has another router.
                            (generation, self.router) = (new, None);
                            break;
                        }
                    }
                }
            }
        }
        self.give_back().await;
    }

    /// Maps everything, by the router that did before or by the first that does; for how long.
    async fn renew(&mut self) -> io::Result<Duration> {
        if self.router.is_some()
            && let Ok(lifetime) = self.map_all().await
        {
            return Ok(lifetime);
        }
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "no gateway");
        if let Some(ip) = self.gateway() {
            match natpmp::Gateway::new(&self.egress, ip, self.nonce).await {
                Ok(gateway) => {
                    self.router = Some(Router::Gateway(gateway));
                    match self.map_all().await {
                        Ok(lifetime) => return Ok(lifetime),
                        Err(error) => failure = error,
                    }
                }
                Err(error) => failure = error,
            }
        }
        debug!(error = %failure, "neither PCP nor NAT-PMP");
        self.router = Some(Router::Upnp(upnp::Gateway::find(&self.egress).await?));
        self.map_all().await
    }

    async fn map_all(&mut self) -> io::Result<Duration> {
        let mut shortest = LIFETIME;
        for (n, want) in self.wants.clone().into_iter().enumerate() {
            let before = self.mapped.iter().find(|(mapped, _)| *mapped == want).map(|(_, port)| *port);
            let (outer, lifetime) = self.map(want, before.unwrap_or(want.port)).await?;
            shortest = shortest.min(lifetime);
            if before != Some(outer) {
                let by = match &self.router {
                    Some(Router::Gateway(gateway)) => gateway.name(),
                    _ => "UPnP",
                };
                info!(protocol = ?want.protocol, port = want.port, outer, by, "the router maps our port");
                self.mapped.retain(|(mapped, _)| *mapped != want);
                self.mapped.push((want, outer));
            }
            if n == 0 {
                self.found.send_if_modified(|found| found.replace(outer) != Some(outer));
            }
        }
        Ok(shortest)
    }

    /// Maps one port, where it can be had.
    async fn map(&mut self, want: Want, outer: u16) -> io::Result<(u16, Duration)> {
        match &mut self.router {
            Some(Router::Gateway(gateway)) => {
                let granted = gateway.map(want, outer, LIFETIME).await?;
                Ok((granted.port, granted.lifetime))
            }
            Some(Router::Upnp(gateway)) => {
                let mut failure = io::ErrorKind::AddrInUse.into();
                for offset in 0..PORTS_TRIED {
                    let port = outer.checked_add(offset).unwrap_or(outer - offset);
                    match gateway.map(&self.egress, want, port, LIFETIME).await {
                        Ok(()) => return Ok((port, LIFETIME)),
                        Err(error) => failure = error,
                    }
                }
                Err(failure)
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn give_back(&mut self) {
        for (want, outer) in std::mem::take(&mut self.mapped) {
            let given = match &mut self.router {
                Some(Router::Gateway(gateway)) => gateway.map(want, outer, Duration::ZERO).await.map(drop),
                Some(Router::Upnp(gateway)) => gateway.unmap(&self.egress, want, outer).await,
                None => return,
            };
            debug!(port = want.port, outer, ok = given.is_ok(), "a port is given back");
        }
    }

    /// The gateway of the bound interface, or of the default route.
    fn gateway(&self) -> Option<Ipv4Addr> {
        let routes = fs::read_to_string(ROUTES).ok()?;
        let interface = self.egress.interface();
        default_route(&routes, interface.as_deref()).or_else(|| {
            // A tunnel's far end is no gateway to the system; by custom it is the first of the network, as with ProtonVPN.
            interface?;
            let socket = self.egress.bind_udp(unspecified(Ipv4Addr::UNSPECIFIED.into())).ok()?;
            let socket = socket2::SockRef::from(&socket);
            socket.connect(&std::net::SocketAddr::from(([9, 9, 9, 9], 9)).into()).ok()?;
            match socket.local_addr().ok()?.as_socket()?.ip() {
                IpAddr::V4(own) => {
                    let [a, b, c, d] = own.octets();
                    Some(Ipv4Addr::new(a, b, c, 1)).filter(|_| d != 1 && own.is_private())
                }
                IpAddr::V6(_) => None,
            }
        })
    }
}

/// When the mapping is to end.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    // Nobody being left to say so says so too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The gateway of the default route in Linux' table, by `interface` if one is given.
fn default_route(routes: &str, interface: Option<&str>) -> Option<Ipv4Addr> {
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, destination, gateway) = (fields.next()?, fields.next()?, fields.next()?);
        let mask = fields.nth(4)?;
        let wanted = interface.is_none_or(|interface| interface == name);
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        (wanted && destination == "00000000" && mask == "00000000")
            .then(|| Ipv4Addr::from(gateway.to_le_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_that_of_the_default_route_of_the_interface() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            wg0\t00000000\t0100020A\t0003\t0\t0\t50\t00000000\t0\t0\t0\n";
        assert_eq!(default_route(routes, None), Some(Ipv4Addr::new(192, 168, 0, 1)));
        assert_eq!(default_route(routes, Some("wg0")), Some(Ipv4Addr::new(10, 2, 0, 1)));
        assert_eq!(default_route(routes, Some("tun0")), None);
        assert_eq!(default_route("", None), None);
    }
}
