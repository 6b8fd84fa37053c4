//! How many requests are in flight to one peer.
//!
//! Somebody watches: bounded by time. What is in flight takes [`WATCHED_QUEUE`] of the peer's measured rate beyond the round
//! trip, because a seek has to wait for all of it (CANCEL does not take back what the sender has written). Nobody
//! watches: the queue follows the bandwidth-delay product and more, up to what the peer accepts. Which blocks these are
//! is `piece-picker`'s choice.

use std::time::Duration;

use metainfo::BLOCK_LENGTH;

use crate::rate::{Meter, bytes_in};

/// Beyond the round trip, while somebody watches.
const WATCHED_QUEUE: Duration = Duration::from_millis(40);
/// Beyond the round trip, when nobody does.
const BULK_QUEUE: Duration = Duration::from_millis(500);
/// Requests to a peer whose rate is unknown, while somebody watches.
const WATCHED_START: usize = 4;
/// Requests to a peer whose rate is unknown, when nobody does.
const BULK_START: usize = 16;
/// Never fewer than this, so that a slow peer is not idle for a round trip.
const QUEUE_MIN: usize = 2;
/// Never more than this, whatever the peer accepts: 64 MiB.
const QUEUE_MAX: usize = 4_096;
/// A peer without the extension handshake's `reqq` is given this much at most; clients of old accept 250.
pub(crate) const REQQ_UNKNOWN: usize = 250;
/// Over how long the rate is measured.
const WINDOW: Duration = Duration::from_millis(1_200);
/// A rate over less than this is not believed to be the peer's, while somebody watches: senders' token buckets burst.
const WATCHED_SPAN_MIN: Duration = Duration::from_millis(40);
/// After this long without requests measuring begins anew.
const IDLE: Duration = Duration::from_millis(200);
/// A peer that owed blocks for this long and sent none is snubbing us.
const SNUBBED_AFTER: Duration = Duration::from_secs(12);
/// The same, in units of the time the queue should have taken, for peers whose rate is known, while somebody watches.
const SNUBBED_QUEUES: u32 = 8;
/// But not sooner than this.
const SNUBBED_AFTER_MIN: Duration = Duration::from_secs(3);

/// The request pipeline to one peer.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    meter: Meter,
    /// Requests allowed by growth so far.
    window: usize,
    /// What the peer accepts (BEP 10, `reqq`).
    reqq: usize,
    /// The rate of earlier, while the meter is young.
    known_rate: u64,
    round_trip: Option<Duration>,
    /// One request whose answer is timed: its place as a number, and when it was sent.
    probe: Option<(u64, Duration)>,
    /// Since when nothing has been in flight.
    idle_since: Option<Duration>,
    /// When the last block came, or the first request went.
    last_block: Duration,
    snubbed: bool,
}

impl Pipeline {
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            meter: Meter::new(WINDOW),
            window: 0,
            reqq: REQQ_UNKNOWN,
            known_rate: 0,
            round_trip: None,
            probe: None,
            idle_since: Some(now),
            last_block: now,
            snubbed: false,
        }
    }

    pub(crate) fn set_reqq(&mut self, reqq: usize) {
        self.reqq = reqq.clamp(1, QUEUE_MAX);
    }

    /// How many requests may be in flight.
    pub(crate) fn target(&self, now: Duration, watched: bool) -> usize {
        if self.snubbed {
            return 1;
        }
        let (start, queue) = if watched { (WATCHED_START, WATCHED_QUEUE) } else { (BULK_START, BULK_QUEUE) };
        let by_growth = self.window.max(start);
        let rate = self.rate(now, watched);
        let by_rate = if rate == 0 {
            start
        } else {
            let time = queue + self.round_trip.unwrap_or_default();
            let blocks = bytes_in(rate, time).div_ceil(u64::from(BLOCK_LENGTH));
            usize::try_from(blocks).unwrap_or(QUEUE_MAX).max(QUEUE_MIN)
        };
        by_rate.min(by_growth).clamp(1, self.reqq.min(QUEUE_MAX))
    }

    /// Bytes per second the peer delivers while it has requests; 0 when not known.
    pub(crate) fn rate(&self, now: Duration, watched: bool) -> u64 {
        let span_min = if watched { WATCHED_SPAN_MIN } else { Duration::from_millis(2) };
        let span = self.meter.span(now);
        let measured = self.meter.rate(now, span_min);
        // A young meter has seen a block or two: what was known before weighs by what is missing of a fifth of a second.
        let young = Duration::from_millis(200);
        if self.known_rate > 0 && span < young {
            let weigh = |rate: u64, time: Duration| bytes_in(rate, time * 5);
            return weigh(measured, span).saturating_add(weigh(self.known_rate, young - span));
        }
        if measured == 0 { self.known_rate / 2 } else { measured }
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(crate) fn is_snubbed(&self) -> bool {
        self.snubbed
    }

    /// Requests were sent, `first` among them; before, `in_flight_before` were in flight.
    pub(crate) fn requested(&mut self, now: Duration, first: u64, in_flight_before: usize) {
        if in_flight_before == 0 {
            if self.idle_since.is_none_or(|since| now.saturating_sub(since) > IDLE) {
                self.meter.restart(now);
            }
            self.last_block = now;
            self.probe = None;
        }
        self.idle_since = None;
        if self.probe.is_none() {
            self.probe = Some((first, now));
        }
    }

    /// A block came; `place` as in [`requested`](Self::requested).
    pub(crate) fn received(&mut self, now: Duration, place: u64, bytes: u64) {
        self.meter.add(now, bytes);
        self.last_block = now;
        self.snubbed = false;
        // Growth by a block per block doubles the queue each round trip, until the rate bounds it.
        self.window = (self.window.max(WATCHED_START) + 1).min(QUEUE_MAX);
        if let Some((probe, sent)) = self.probe
            && probe == place
        {
            let took = now.saturating_sub(sent);
            self.round_trip = Some(self.round_trip.map_or(took, |known| known.min(took)));
            self.probe = None;
        }
    }

    /// After a batch: what is in flight now. Growth follows use, and an empty pipeline keeps what it knew.
    pub(crate) fn settle(&mut self, now: Duration, in_flight: usize, watched: bool) {
        if in_flight == 0 && self.idle_since.is_none() {
            self.known_rate = self.rate(now, watched);
            self.idle_since = Some(now);
            self.probe = None;
        }
        let target = self.target(now, watched);
        // Not far beyond what the rate allows, so that a burst long ago does not count as growth.
        self.window = self.window.min(target.saturating_mul(2).max(BULK_START));
    }

    /// When the peer counts as snubbing us, given that it owes blocks.
    pub(crate) fn snub_due(&self, watched: bool) -> Duration {
        let patience = if watched && self.known_rate > 0 {
            let queue = WATCHED_QUEUE + self.round_trip.unwrap_or_default();
            (queue * SNUBBED_QUEUES).clamp(SNUBBED_AFTER_MIN, SNUBBED_AFTER)
        } else {
            SNUBBED_AFTER
        };
        self.last_block + patience
    }

    /// It snubs us: one request at a time until a block comes.
    pub(crate) fn snub(&mut self) {
        self.snubbed = true;
        self.window = 0;
        self.known_rate = 0;
        self.probe = None;
    }

    /// Choked: what was in flight will not come.
    pub(crate) fn choked(&mut self, now: Duration, watched: bool) {
        self.settle(now, 0, watched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const BLOCK: u64 = BLOCK_LENGTH as u64;

    /// A peer that answers in order at `rate` after `delay`; returns the pipeline after `seconds`.
    fn run(rate: u64, delay: Duration, watched: bool, seconds: u64) -> (Pipeline, usize, Duration) {
        let mut pipeline = Pipeline::new(Duration::ZERO);
        pipeline.set_reqq(2_000);
        let per_block = Duration::from_nanos(1_000_000_000 * BLOCK / rate);
        let (mut queue, mut free, mut now) =
            (std::collections::VecDeque::new(), Duration::ZERO, Duration::ZERO);
        let mut number = 0;
        while now < Duration::from_secs(seconds) {
            let target = pipeline.target(now, watched);
            if queue.len() < target {
                pipeline.requested(now, number, queue.len());
                while queue.len() < target {
                    free = free.max(now + delay) + per_block;
                    queue.push_back((number, free));
                    number += 1;
                }
            }
            let (place, at) = queue.pop_front().unwrap();
            now = at;
            pipeline.received(now, place, BLOCK);
            pipeline.settle(now, queue.len(), watched);
        }
        (pipeline, queue.len(), per_block)
    }

    #[test]
    fn watched_the_queue_is_a_twentieth_of_a_second_beyond_the_round_trip() {
        for (rate, delay) in [(1 << 20, MS), (1 << 20, 100 * MS), (20 << 20, 20 * MS), (100_000, 50 * MS)] {
            let (_, in_flight, per_block) = run(rate, delay, true, 8);
            let time = per_block * u32::try_from(in_flight).unwrap();
            assert!(time >= delay, "{rate} {delay:?} {time:?}");
            assert!(time <= delay + 100 * MS + per_block * 2, "{rate} {delay:?} {time:?}");
        }
    }

    #[test]
    fn unwatched_the_queue_fills_fast_long_pipes() {
        let (_, in_flight, _) = run(100 << 20, 150 * MS, false, 4);
        assert!(in_flight >= 1_900, "{in_flight}");
    }

    #[test]
    fn watching_begins_and_the_target_shrinks_at_once() {
        let (pipeline, _, _) = run(4 << 20, 20 * MS, false, 4);
        let now = Duration::from_secs(4);
        assert!(pipeline.target(now, false) > 100);
        assert!(pipeline.target(now, true) < 64, "{}", pipeline.target(now, true));
    }
}
