//! One announce or scrape, carried over HTTP or UDP through the egress.
//!
//! A tracker with IPv4 and IPv6 addresses is told over both, at once: each family's peers are others (BEP 7). Within a family its
//! addresses are tried, one beside the other, until one answers. What an answer means for the next announce is `tracker_proto::Announcer`'s affair.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, sleep_until, timeout_at},
};
use tracker_proto::{
    AnnounceAnswer, AnnounceRequest, BODY_BYTES_MAX, Event, Failure, Retry, Scheme, ScrapeEntry, TrackerUrl,
    read_announce, read_scrape, scrape_target, scrape_url,
    udp::{CONNECTION_LIFETIME, ConnectionId, DATAGRAM_BYTES_MAX, Exchange, Family, Outcome, Query, Step},
};

use crate::egress::{
    Egress,
    guard::Purpose,
    http::{Ask, HttpError},
    random,
    socks::Destination,
};

/// For one announce, whatever happens.
const WAIT: Duration = Duration::from_secs(60);
/// For the last one: who leaves does not wait.
const WAIT_STOPPED: Duration = Duration::from_secs(4);
/// For a scrape, which is worth less.
const WAIT_SCRAPE: Duration = Duration::from_secs(15);
/// Announces on their way at a time, over all torrents.
const AT_ONCE_MAX: usize = 200;
/// Addresses of one family that are tried.
const ADDRESSES_MAX: usize = 4;
/// Sendings to each address: 45 seconds of BEP 15's schedule.
const SENDS: u32 = 2;
/// How long the first address is waited for before the next is tried beside it.
const STAGGER: Duration = Duration::from_secs(1);
/// UDP connections that are remembered for other torrents.
const CONNECTIONS_MAX: usize = 1024;

/// Carries the announces of every torrent.
#[derive(Debug)]
pub(crate) struct Carrier {
    egress: Egress,
    at_once: Semaphore,
    start: Instant,
    connections: Mutex<Connections>,
}

/// Connection ids of UDP trackers, with when they were given.
#[derive(Debug, Default)]
struct Connections {
    /// Of the egress they were given to.
    generation: u64,
    ids: HashMap<SocketAddr, (ConnectionId, Duration)>,
}

/// What comes home of one announce: exactly one `First`, then what other addresses said, and a scrape where the answer did not
/// count peers.
#[derive(Debug)]
pub(crate) enum News {
    First(Result<AnnounceAnswer, Failure>),
    More(AnnounceAnswer),
    Scraped(ScrapeEntry),
}

impl Carrier {
    pub(crate) fn new(egress: Egress) -> Self {
        Self {
            egress,
            at_once: Semaphore::new(AT_ONCE_MAX),
            start: Instant::now(),
            connections: Mutex::default(),
        }
    }

    /// Carries `request` to `url`; `tell` hears what comes of it.
    ///
    /// # Cancel safety
    /// Dropping it closes its connections; the tracker may have heard the request.
    pub(crate) async fn announce<F: Future<Output = ()>>(
        self: &Arc<Self>,
        url: TrackerUrl,
        request: AnnounceRequest,
        mut tell: impl FnMut(News) -> F,
    ) {
        let wait = if request.event == Some(Event::Stopped) { WAIT_STOPPED } else { WAIT };
        let deadline = tokio::time::Instant::now() + wait;
        let Ok(Ok(_permit)) = timeout_at(deadline, self.at_once.acquire()).await else {
            let reason = "too many announces at a time".to_owned();
            return tell(News::First(Err(Failure::Unreachable { reason }))).await;
        };
        let groups = match timeout_at(deadline, self.addresses(&url)).await {
            Ok(Ok(groups)) => groups,
            Ok(Err(error)) => return tell(News::First(Err(unreachable(&error)))).await,
            Err(_) => {
                let reason = format!("{} was not resolved within {} s", url.host(), wait.as_secs());
                return tell(News::First(Err(Failure::Unreachable { reason }))).await;
            }
        };
        let (event, info_hash) = (request.event, request.info_hash);
        let mut attempts = JoinSet::new();
        for addrs in groups {
            let (carrier, url, request) = (self.clone(), url.clone(), request.clone());
            attempts.spawn(async move {
                match url.scheme() {
                    Scheme::Http | Scheme::Https => {
                        carrier.announce_http(&url, &request, addrs, deadline).await
                    }
                    Scheme::Udp => {
                        let query = Query::Announce(request, url.target().to_owned());
                        match carrier.ask_udp(&url, query, addrs, deadline).await? {
                            Outcome::Announce(answer) => Ok(answer),
                            Outcome::Scrape(_) => Err(odd()),
                        }
                    }
                }
            });
        }
        let (mut told, mut uncounted, mut failure) = (false, false, None);
        while let Some(joined) = attempts.join_next().await {
            match joined {
                Ok(Ok(answer)) if told => tell(News::More(answer)).await,
                Ok(Ok(answer)) => {
                    told = true;
                    uncounted = answer.seeders.is_none() && event != Some(Event::Stopped);
                    tell(News::First(Ok(answer))).await;
                }
                Ok(Err(failed)) => {
                    failure = Some(failure.map_or(failed.clone(), |before| graver(before, failed)))
                }
                Err(error) => tracing::error!(%error, "an announce panicked"),
            }
        }
        if uncounted && let Ok(Some(entry)) = self.scrape(&url, info_hash).await {
            tell(News::Scraped(entry)).await;
        }
        if !told {
            let failure = failure.unwrap_or_else(|| Failure::Unreachable { reason: "no address".into() });
            tell(News::First(Err(failure))).await;
        }
    }

    /// What the tracker knows of a torrent, without announcing; `None` if it knows nothing of it.
    pub(crate) async fn scrape(
        self: &Arc<Self>,
        url: &TrackerUrl,
        info_hash: metainfo::InfoHash,
    ) -> Result<Option<ScrapeEntry>, Failure> {
        let deadline = tokio::time::Instant::now() + WAIT_SCRAPE;
        let groups = self.addresses(url).await.map_err(|error| unreachable(&error))?;
        let addrs = groups.into_iter().next().flatten();
        let Some(url) = scrape_url(url) else {
            return Err(Failure::Unreachable { reason: "the tracker's address has no scrape".into() });
        };
        if url.scheme() == Scheme::Udp {
            return match self.ask_udp(&url, Query::Scrape(vec![info_hash]), addrs, deadline).await? {
                Outcome::Scrape(entries) => Ok(entries.first().copied()),
                Outcome::Announce(_) => Err(odd()),
            };
        }
        let target = scrape_target(&url, &[info_hash]);
        let answer = self.fetch(&url, &target, addrs, deadline).await?;
        read_scrape(&answer.body, &[info_hash]).map(|entries| entries.into_iter().next().flatten())
    }

    /// The tracker's addresses by family; one unknown group where a proxy resolves.
    async fn addresses(&self, url: &TrackerUrl) -> io::Result<Vec<Option<Vec<SocketAddr>>>> {
        if self.egress.direct().is_err() {
            return Ok(vec![None]);
        }
        let addrs = self.egress.resolve(url.host(), url.port()).await?;
        let (v6, v4): (Vec<_>, Vec<_>) = addrs.into_iter().partition(SocketAddr::is_ipv6);
        let groups: Vec<_> = [v4, v6].into_iter().filter(|addrs| !addrs.is_empty()).map(Some).collect();
        if groups.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", url.host())));
        }
        Ok(groups)
    }

    async fn announce_http(
        &self,
        url: &TrackerUrl,
        request: &AnnounceRequest,
        addrs: Option<Vec<SocketAddr>>,
        deadline: tokio::time::Instant,
    ) -> Result<AnnounceAnswer, Failure> {
        let answer = self.fetch(url, &request.http_target(url), addrs, deadline).await?;
        let status = answer.status;
        let read = read_announce(&answer.body);
        match read {
            // Some trackers explain a refusal in a bencoded body whatever the status.
            Err(Failure::Refused { .. }) => read,
            _ if status.is_success() => read,
            _ => Err(Failure::Refused {
                reason: format!("HTTP status {status}"),
                retry: answer.retry_after.map(Retry::In),
            }),
        }
    }

    async fn fetch(
        &self,
        url: &TrackerUrl,
        target: &str,
        addrs: Option<Vec<SocketAddr>>,
        deadline: tokio::time::Instant,
    ) -> Result<crate::egress::http::Answer, Failure> {
        let ask = Ask {
            url,
            target: Some(target),
            purpose: Purpose::Tracker,
            addrs: addrs.as_deref(),
            body_bytes_max: BODY_BYTES_MAX,
            wait: deadline.saturating_duration_since(tokio::time::Instant::now()),
        };
        self.egress.fetch(&ask).await.map_err(|error| match error {
            HttpError::Unreachable(error) => unreachable(&error),
            HttpError::NoAnswer(reason) => Failure::NoAnswer { reason },
        })
    }

    /// Asks the first of a tracker's addresses that answers to a `connect`: the others do not hear the request.
    async fn ask_udp(
        self: &Arc<Self>,
        url: &TrackerUrl,
        query: Query,
        addrs: Option<Vec<SocketAddr>>,
        deadline: tokio::time::Instant,
    ) -> Result<Outcome, Failure> {
        let claim = Arc::new(AtomicBool::new(false));
        let Some(addrs) = addrs else {
            // Through the proxy: by name, and of the peers' family only what the name itself tells.
            let to = Destination::new(url.host(), url.port());
            return self.exchange(to, query, &claim, deadline).await;
        };
        let mut waiting = addrs.into_iter().take(ADDRESSES_MAX);
        let mut attempts = JoinSet::new();
        let mut failure: Option<Failure> = None;
        loop {
            if !claim.load(Ordering::Relaxed)
                && let Some(addr) = waiting.next()
            {
                let (carrier, query, claim) = (self.clone(), query.clone(), claim.clone());
                attempts.spawn(async move {
                    carrier.exchange(Destination::Address(addr), query, &claim, deadline).await
                });
            }
            let more = waiting.len() > 0 && !claim.load(Ordering::Relaxed);
            tokio::select! {
                joined = attempts.join_next() => match joined {
                    // A refusal is an answer: the other addresses are the same tracker.
                    Some(Ok(done @ (Ok(_) | Err(Failure::Refused { .. })))) => return done,
                    Some(Ok(Err(failed))) => {
                        failure = Some(failure.map_or(failed.clone(), |before| graver(before, failed)));
                    }
                    Some(Err(error)) => tracing::error!(%error, "an announce panicked"),
                    None => return Err(failure.unwrap_or_else(odd)),
                },
                () = sleep(STAGGER), if more => {}
            }
        }
    }

    async fn exchange(
        &self,
        to: Destination,
        query: Query,
        claim: &AtomicBool,
        deadline: tokio::time::Instant,
    ) -> Result<Outcome, Failure> {
        let (family, known) = match to {
            Destination::Address(addr) if self.egress.direct().is_ok() => {
                (if addr.is_ipv6() { Family::V6 } else { Family::V4 }, Some(addr))
            }
            Destination::Address(addr) if addr.is_ipv6() => (Family::V6, None),
            _ => (Family::V4, None),
        };
        let connection = known.and_then(|addr| self.connection(addr));
        let mut exchange = Exchange::new(query, family, connection, SENDS, random());
        let talk = self.egress.unless_changed(self.talk(&to, &mut exchange, claim));
        let talked = timeout_at(deadline, talk).await.map(io::Result::flatten);
        if let (Some(addr), Some(connection)) = (known, exchange.connection()) {
            self.remember(addr, connection);
        }
        let reason = match talked {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        Err(if exchange.asked() { Failure::NoAnswer { reason } } else { Failure::Unreachable { reason } })
    }

    async fn talk(
        &self,
        to: &Destination,
        exchange: &mut Exchange,
        claim: &AtomicBool,
    ) -> io::Result<Result<Outcome, Failure>> {
        let link = self.egress.udp_link(to).await?;
        let mut ours = false;
        loop {
            match exchange.poll(self.start.elapsed()) {
                Step::Send(datagram) => {
                    if exchange.asked() && !ours {
                        if claim.swap(true, Ordering::Relaxed) {
                            let reason = "another of its addresses answered".to_owned();
                            return Ok(Err(Failure::Unreachable { reason }));
                        }
                        ours = true;
                    }
                    link.send(&datagram).await?;
                }
                Step::Done(outcome) => return Ok(outcome),
                Step::WaitUntil(until) => tokio::select! {
                    received = link.receive(DATAGRAM_BYTES_MAX) => {
                        exchange.handle_datagram(&received?, self.start.elapsed());
                    }
                    () = sleep_until((self.start + until).into()) => {}
                },
            }
        }
    }

    fn connection(&self, addr: SocketAddr) -> Option<(ConnectionId, Duration)> {
        let generation = self.egress.watch().borrow().generation;
        let mut known = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if known.generation != generation {
            // Another address of ours: a tracker takes its ids from the one that it gave them to.
            *known = Connections { generation, ids: HashMap::new() };
        }
        let now = self.start.elapsed();
        known.ids.get(&addr).copied().filter(|(_, given)| now < *given + CONNECTION_LIFETIME)
    }

    fn remember(&self, addr: SocketAddr, connection: (ConnectionId, Duration)) {
        let mut known = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if known.ids.len() >= CONNECTIONS_MAX {
            let now = self.start.elapsed();
            known.ids.retain(|_, (_, given)| now < *given + CONNECTION_LIFETIME);
            if known.ids.len() >= CONNECTIONS_MAX {
                return;
            }
        }
        known.ids.insert(addr, connection);
    }
}

fn unreachable(error: &io::Error) -> Failure {
    Failure::Unreachable { reason: error.to_string() }
}

fn odd() -> Failure {
    Failure::NoAnswer { reason: "an answer to another question".into() }
}

/// Of two failures the one that says more of what the tracker may have heard.
fn graver(one: Failure, other: Failure) -> Failure {
    let weight = |failure: &Failure| match failure {
        Failure::Unreachable { .. } => 0,
        Failure::Refused { .. } => 1,
        Failure::NoAnswer { .. } => 2,
    };
    if weight(&other) > weight(&one) { other } else { one }
}
