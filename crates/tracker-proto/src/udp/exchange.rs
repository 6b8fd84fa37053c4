//! One request to one address of a UDP tracker, from `connect` to its answer, with what is sent again when (BEP 15).

use core::time::Duration;

use metainfo::InfoHash;

use crate::{
    answer::{AnnounceAnswer, Failure},
    request::AnnounceRequest,
    scrape::ScrapeEntry,
    udp::wire::{self, Body, CONNECTION_LIFETIME, ConnectionId, Family, TransactionId},
};

/// How often BEP 15 sends a request again before it gives up, after 63.75 minutes.
pub const RETRANSMITS_MAX: u32 = 8;

/// How long an answer to the `n`th sending of a request, from 0, is waited for: 15 * 2^n seconds (BEP 15).
#[must_use]
pub fn retransmit_after(n: u32) -> Duration {
    Duration::from_secs(15) * (1 << n.min(RETRANSMITS_MAX))
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Query {
    /// An announce, with path and query of the tracker's address (BEP 41).
    Announce(AnnounceRequest, String),
    /// A scrape.
    Scrape(Vec<InfoHash>),
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To an announce.
    Announce(AnnounceAnswer),
    /// To a scrape, in the order asked; shorter if the tracker sent less.
    Scrape(Vec<ScrapeEntry>),
}

/// What an [`Exchange`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, then [`poll`](Exchange::poll) again.
    Send(Vec<u8>),
    /// Wait for a datagram until then.
    WaitUntil(Duration),
    /// It is over.
    Done(Result<Outcome, Failure>),
}

/// One request to one address: [`poll`](Self::poll) says what to do, [`handle_datagram`](Self::handle_datagram) takes what comes.
#[derive(Debug)]
pub struct Exchange {
    query: Query,
    family: Family,
    seed: u64,
    transaction: TransactionId,
    /// With when it was given.
    connection: Option<(ConnectionId, Duration)>,
    /// How often what is due was sent, and when last.
    sent: u32,
    sent_at: Duration,
    sends_max: u32,
    /// Whether the request itself ever went out.
    asked: bool,
    renewed: bool,
    done: Option<Result<Outcome, Failure>>,
}

impl Exchange {
    /// A request that is sent at most `sends_max` times (of BEP 15's nine), over `connection` if it is known.
    #[must_use]
    pub fn new(
        query: Query,
        family: Family,
        connection: Option<(ConnectionId, Duration)>,
        sends_max: u32,
        seed: u64,
    ) -> Self {
        Self {
            query,
            family,
            seed,
            transaction: TransactionId(mix(seed)),
            connection,
            sent: 0,
            sent_at: Duration::ZERO,
            sends_max: sends_max.clamp(1, RETRANSMITS_MAX + 1),
            asked: false,
            renewed: false,
            done: None,
        }
    }

    /// The connection id that the tracker gave and when, to be used for other torrents.
    #[must_use]
    pub fn connection(&self) -> Option<(ConnectionId, Duration)> {
        self.connection
    }

    /// Whether the request itself went out, so that the tracker may have heard it.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked
    }

    /// What to do now.
    pub fn poll(&mut self, now: Duration) -> Step {
        if let Some(done) = &self.done {
            return Step::Done(done.clone());
        }
        if self.sent > 0 {
            let until = self.sent_at + retransmit_after(self.sent - 1);
            if now < until {
                return Step::WaitUntil(until);
            }
            if self.sent >= self.sends_max {
                let failure = if self.asked {
                    Failure::NoAnswer { reason: "no answer to the announce".into() }
                } else {
                    Failure::Unreachable { reason: "no answer to the connect".into() }
                };
                self.done = Some(Err(failure.clone()));
                return Step::Done(Err(failure));
            }
        }
        // An id that ran out between two sendings is asked for anew.
        if self.connection.is_some_and(|(_, given)| now >= given + CONNECTION_LIFETIME) {
            self.connection = None;
        }
        self.sent += 1;
        self.sent_at = now;
        Step::Send(match (self.connection, &self.query) {
            (None, _) => wire::connect(self.transaction),
            (Some((id, _)), Query::Announce(request, target)) => {
                self.asked = true;
                wire::announce(id, self.transaction, request, target)
            }
            (Some((id, _)), Query::Scrape(hashes)) => {
                self.asked = true;
                wire::scrape(id, self.transaction, hashes)
            }
        })
    }

    /// A datagram from the tracker's address. What is not an answer to the last request is nobody's business.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Duration) {
        if self.done.is_some() || self.sent == 0 {
            return;
        }
        let Ok(answer) = wire::read(datagram, self.family) else { return };
        if answer.transaction != self.transaction {
            return;
        }
        match (answer.body, self.connection, &self.query) {
            (Body::Connect(id), None, _) => {
                self.connection = Some((id, now));
                self.sent = 0;
                self.transaction = TransactionId(mix(self.seed.wrapping_add(1)));
            }
            (Body::Announce(answer), Some(_), Query::Announce(..)) => {
                self.done = Some(Ok(Outcome::Announce(answer)));
            }
            (Body::Scrape(entries), Some(_), Query::Scrape(_)) => {
                self.done = Some(Ok(Outcome::Scrape(entries)));
            }
            // A tracker that restarted does not know the id it gave before: once, another is asked for.
            (Body::Error(reason), Some(_), _) if !self.renewed && names_the_connection(&reason) => {
                self.renewed = true;
                self.connection = None;
                self.sent = 0;
            }
            (Body::Error(reason), ..) => {
                self.done = Some(Err(Failure::Refused { reason, retry: None }));
            }
            _ => {}
        }
    }
}

fn names_the_connection(reason: &str) -> bool {
    reason.to_ascii_lowercase().contains("connection")
}

/// Spreads a seed over a transaction id that nobody guesses from the one before.
fn mix(seed: u64) -> u32 {
    u32::try_from(seeded::Rng::new(seed).next() >> 32).unwrap_or(0)
}
