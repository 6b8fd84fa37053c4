//! One torrent's trackers: what its announcer says is due is carried over HTTP or UDP; answers come home to its task.
//!
//! Costs no task while nothing is due: the torrent's task sleeps until [`Trackers::next_timeout`], calls [`Trackers::poll`], and brings
//! every [`Reply`] back. When the egress comes back or changes, [`Trackers::reannounce`].

pub(crate) mod carry;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::watch, task::AbortHandle};
use tracker_proto::{AnnounceRequest, Announcer, Identity, Options, TrackerKey, TrackerStatus, TrackerUrl};

use crate::{TrackerInfo, TrackerState, peer::PeerContext, torrent::inbox::Inbox};
use carry::{Carrier, News};

pub(crate) use tracker_proto::Counters;

/// An answer or a failure on its way home.
#[derive(Debug)]
pub(crate) struct Reply {
    tracker: TrackerKey,
    flight: u64,
    news: News,
}

/// Brings replies to the torrent's task, waiting while its inbox is full.
pub(crate) type Home = Arc<dyn Fn(Reply) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The trackers of one torrent. Announces that are on their way end with it.
pub(crate) struct Trackers {
    announcer: Announcer,
    carrier: Arc<Carrier>,
    identity: Identity,
    /// The port that a router maps to ours: told instead of it.
    outer_port: Option<watch::Receiver<Option<u16>>>,
    home: Home,
    begun: bool,
    /// What is on its way, by a number of its own: an announce that another took the place of is nobody's any more.
    flights: HashMap<TrackerKey, (u64, AbortHandle)>,
    flight: u64,
    /// As they were given, those of schemes that are not spoken here included.
    texts: Vec<Vec<String>>,
}

impl Drop for Trackers {
    fn drop(&mut self) {
        self.flights.values().for_each(|(_, announce)| announce.abort());
    }
}

impl Trackers {
    /// Those of a torrent of the session: replies come home as [`Inbox::Tracker`]. A private one's tiers are one tracker's ways in,
    /// asked as BEP 12 says; others' are as many trackers.
    pub(crate) fn of(context: &Arc<PeerContext>, tiers: &[Vec<String>], private: bool) -> Self {
        let core = &context.core;
        let identity = Identity {
            info_hash: context.info_hash,
            peer_id: core.peer_id,
            // Some trackers refuse port 0; nobody is told of a port that is not there.
            port: core.listen_port.unwrap_or(core.config.listen_port).max(1),
            key: 0,
            encryption: match core.config.encryption {
                crate::Encryption::Prefer => tracker_proto::Encryption::Supported,
                crate::Encryption::Require => tracker_proto::Encryption::Required,
                crate::Encryption::Disable => tracker_proto::Encryption::None,
            },
        };
        let inbox = context.inbox.clone();
        let home: Home = Arc::new(move |reply| {
            let inbox = inbox.clone();
            Box::pin(async move {
                // A torrent that is gone awaits nothing.
                let _ = inbox.send(Inbox::Tracker(Box::new(reply))).await;
            })
        });
        let options = Options { every_tier: !private };
        let mut trackers =
            Self::new(core.carrier.clone(), identity, home, tiers, options, crate::random::seed());
        trackers.outer_port = Some(core.discovery.outer_port());
        trackers
    }

    /// `tiers` as BEP 12 has them. Nothing is announced before [`resume`](Self::resume). The key of `identity` is made here.
    pub(crate) fn new(
        carrier: Arc<Carrier>,
        identity: Identity,
        home: Home,
        tiers: &[Vec<String>],
        options: Options,
        seed: u64,
    ) -> Self {
        let parsed = |tier: &Vec<String>| tier.iter().filter_map(|url| url.parse().ok()).collect::<Vec<_>>();
        let tiers_read = tiers.iter().map(parsed).filter(|tier| !tier.is_empty()).collect();
        let announcer = Announcer::new(tiers_read, options, seed);
        Self {
            identity: Identity { key: announcer.key(), ..identity },
            announcer,
            carrier,
            outer_port: None,
            home,
            begun: false,
            flights: HashMap::new(),
            flight: 0,
            texts: tiers.to_vec(),
        }
    }

    /// More trackers, each a tier of its own. Not for private torrents.
    pub(crate) fn add(&mut self, now: Duration, urls: &[String]) {
        for text in urls {
            let Ok(url) = text.parse::<TrackerUrl>() else { continue };
            if self.announcer.add(url, usize::MAX, now).is_some() {
                self.texts.push(vec![text.clone()]);
            }
        }
    }

    /// Starts what is due.
    pub(crate) fn poll(&mut self, now: Duration, counters: &Counters) {
        if !self.begun {
            return;
        }
        while let Some(announce) = self.announcer.poll(now, counters) {
            tracing::debug!(tracker = %announce.url, event = ?announce.event, "announce");
            let tracker = announce.tracker;
            let outer = self.outer_port.as_ref().and_then(|outer| *outer.borrow());
            let identity = Identity { port: outer.unwrap_or(self.identity.port), ..self.identity };
            let request = AnnounceRequest::new(&identity, &announce);
            self.flight += 1;
            let (flight, home, carrier) = (self.flight, self.home.clone(), self.carrier.clone());
            // What waits for a slow family, or is given up for a `stopped`.
            if let Some((_, earlier)) = self.flights.remove(&tracker) {
                earlier.abort();
            }
            let task = tokio::spawn(async move {
                let tell = |news| home(Reply { tracker, flight, news });
                carrier.announce(announce.url, request, tell).await;
            });
            self.flights.insert(tracker, (flight, task.abort_handle()));
        }
    }

    /// Takes a reply; the peers in it.
    pub(crate) fn handle(&mut self, now: Duration, reply: Reply) -> Vec<SocketAddr> {
        let awaited = self.flights.get(&reply.tracker).is_some_and(|(flight, _)| *flight == reply.flight);
        let answer = match reply.news {
            News::First(Ok(answer)) => {
                if awaited {
                    self.announcer.handle_response(now, reply.tracker, &answer);
                }
                answer
            }
            News::More(answer) => answer,
            News::Scraped(entry) => {
                self.announcer.handle_scrape(reply.tracker, &entry);
                return Vec::new();
            }
            News::First(Err(failure)) => {
                if awaited {
                    if let Some(url) = self.announcer.url(reply.tracker) {
                        tracing::debug!(tracker = %url, %failure, "announce failed");
                    }
                    self.announcer.handle_failure(now, reply.tracker, &failure);
                }
                return Vec::new();
            }
        };
        answer.peers.into_iter().map(|peer| peer.addr).collect()
    }

    /// When [`poll`](Self::poll) is due.
    pub(crate) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        self.begun.then(|| self.announcer.next_timeout(now)).flatten()
    }

    /// The last piece was downloaded, and not merely found.
    pub(crate) fn completed(&mut self) {
        self.announcer.completed();
    }

    /// Whether no tracker has heard of that yet: to be kept over a restart, and told then by [`completed`](Self::completed).
    pub(crate) fn owes_completed(&self) -> bool {
        self.announcer.owes_completed()
    }

    /// Announces begin, or begin again.
    pub(crate) fn resume(&mut self, now: Duration) {
        self.begun = true;
        self.announcer.resume(now);
    }

    /// `stopped` is due wherever `started` was heard: [`poll`](Self::poll) sends it, each for a few seconds at most.
    pub(crate) fn stop(&mut self) {
        self.announcer.stop();
    }

    /// Whether every `stopped` was answered or given up.
    pub(crate) fn is_stopped(&self) -> bool {
        !self.begun || self.announcer.is_stopped()
    }

    /// The user, a torrent without peers or an egress that is back asks for more; minimum intervals are obeyed.
    pub(crate) fn reannounce(&mut self, now: Duration) {
        self.announcer.reannounce(now);
    }

    /// The tiers with whatever was added, to be kept. Secrets included.
    pub(crate) fn tiers(&self) -> Vec<Vec<String>> {
        self.texts.clone()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.texts.iter().map(Vec::len).sum()
    }

    /// Hosts of trackers that answered: whose rules apply.
    pub(crate) fn hosts(&self) -> Vec<String> {
        self.announcer.answered().map(|url| url.host().to_owned()).collect()
    }

    /// How they fare.
    pub(crate) fn status(&self, now: Duration) -> Vec<TrackerInfo> {
        self.announcer.status().into_iter().map(|status| info(status, now)).collect()
    }
}

fn info(status: TrackerStatus, now: Duration) -> TrackerInfo {
    use tracker_proto::TrackerState as Known;
    TrackerInfo {
        url: status.url,
        tier: status.tier as usize,
        state: match status.state {
            Known::Idle | Known::Stopped => TrackerState::Idle,
            Known::Announcing => TrackerState::Announcing,
            Known::Working => TrackerState::Working,
            Known::Failing => TrackerState::Failing,
            Known::Off => TrackerState::Disabled,
        },
        message: status.message,
        next_announce: status.next_announce.map(|at| at.saturating_sub(now).as_secs_f64()),
        seeders: status.seeders.map(u64::from),
        leechers: status.leechers.map(u64::from),
        completed: status.downloaded.map(u64::from),
    }
}
