//! How many requests are in flight to one peer.
//!
//! Somebody watches: bounded by time. What is in flight takes a few milliseconds of the peer's measured rate beyond the round
//! trip (`climb` finds out how many), because a seek has to wait for all of it (CANCEL does not take back what the sender
//! has written). At the start it doubles with each round trip for as long as that brings more. Nobody watches: the queue
//! follows the bandwidth-delay product and more, up to what the peer accepts. Which blocks these are is `piece-picker`'s
//! choice.

use std::time::Duration;

use metainfo::BLOCK_LENGTH;

use crate::{
    climb::Climb,
    rate::{Meter, bytes_in, rate_of},
};

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
/// A rate over less than this is not believed to last.
const STEADY_SPAN_MIN: Duration = Duration::from_millis(500);
/// A peer at least so far away fills its path by doubling; a nearer one needs no more than ...
const FAR: Duration = Duration::from_millis(10);
/// ... this much on the way until its rate is known to last.
const NEAR_QUEUE: u64 = 6 * BLOCK_LENGTH as u64;
/// The start is over when so many round trips in a row ...
const START_ROUNDS: u8 = 2;
/// ... brought less than this much more, in per cent.
const START_RISE_PERCENT: u64 = 20;
/// The first blocks, whose time may be the round trip's as much as the line's.
const OPENING: u64 = 4 * BLOCK_LENGTH as u64;
/// Until then it is believed to deliver at most so many times what came on average: the average is behind a growing rate.
const OPENING_BOOST: u64 = 2;
/// After a cancel no request is timed for this long at least ...
const CANCELLED_MIN: Duration = Duration::from_secs(1);
/// ... and while the cancelled blocks may still come, up to this.
const CANCELLED_MAX: Duration = Duration::from_secs(10);
/// After this long without requests measuring begins anew.
const IDLE: Duration = Duration::from_millis(200);
/// A peer that owed blocks for this long and sent none is snubbing us.
const SNUBBED_AFTER: Duration = Duration::from_secs(12);
/// The same, in units of the time the queue should have taken, for peers whose rate is known, while somebody watches.
const SNUBBED_QUEUES: u32 = 8;
/// But not sooner than this.
const SNUBBED_AFTER_MIN: Duration = Duration::from_secs(3);

/// The first round trips, which double the queue.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    /// Bytes per second of the best round trip.
    best: u64,
    /// Round trips in a row that brought little more.
    flat: u8,
}

impl Start {
    fn is_over(self) -> bool {
        self.flat >= START_ROUNDS
    }

    fn round(&mut self, rate: u64) {
        if rate > self.best + self.best / 100 * START_RISE_PERCENT {
            self.flat = 0;
        } else {
            self.flat = self.flat.saturating_add(1);
        }
        self.best = self.best.max(rate);
    }
}

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
    /// One request whose answer is timed: its place as a number, when it was sent, and what has come since.
    probe: Option<(u64, Duration, u64)>,
    /// No request is timed before: a block that was cancelled and asked for again may answer the first request.
    probe_from: Duration,
    climb: Climb,
    start: Start,
    /// Since when the first blocks have been asked for, and what has come since; until the start is over.
    opening: Option<(Duration, u64)>,
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
            probe_from: now,
            climb: Climb::new(),
            start: Start::default(),
            opening: Some((now, 0)),
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
        let (start, queue) = if watched { (WATCHED_START, self.slack()) } else { (BULK_START, BULK_QUEUE) };
        let by_growth = self.window.max(start);
        let rate = self.rate(now, watched);
        let by_rate = if rate == 0 {
            start
        } else {
            let round_trip = self.round_trip.unwrap_or_default();
            let bytes = if watched {
                self.watched_bytes(now, rate, queue, round_trip)
            } else {
                bytes_in(rate, queue + round_trip)
            };
            usize::try_from(bytes.div_ceil(u64::from(BLOCK_LENGTH))).unwrap_or(QUEUE_MAX).max(QUEUE_MIN)
        };
        by_rate.min(by_growth).clamp(1, self.reqq.min(QUEUE_MAX))
    }

    /// Bytes that may be in flight while somebody watches: what the round trip holds at the present rate, and `queue` at the
    /// steady one. A sender with a token bucket gives half a second's worth in a millisecond and then nothing: what such a
    /// burst seems to allow would wait in its queue for seconds, with every seek behind it.
    fn watched_bytes(&self, now: Duration, rate: u64, queue: Duration, round_trip: Duration) -> u64 {
        let steady = self.meter.rate(now, STEADY_SPAN_MIN);
        let on_the_way = bytes_in(rate, round_trip);
        if round_trip >= FAR {
            return on_the_way
                .saturating_add(bytes_in(if self.start.is_over() { steady } else { rate }, queue));
        }
        let near = NEAR_QUEUE.saturating_add(bytes_in(steady, round_trip * 2));
        on_the_way.min(near).saturating_add(bytes_in(steady, queue))
    }

    /// Beyond the round trip, while somebody watches.
    fn slack(&self) -> Duration {
        let slack = self.climb.slack();
        if self.start.is_over() { slack } else { slack.max(self.round_trip.unwrap_or_default()) }
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
        if !self.start.is_over() {
            // The average of a growing rate is behind it: the best round trip is not.
            return measured.max(self.start.best);
        }
        if measured == 0 { self.known_rate / 2 } else { measured }
    }

    /// What it can be relied on to deliver: at its start, not far above what came in all the time since it was first asked. A line
    /// with a token bucket brings its first blocks at any speed.
    pub(crate) fn sure_rate(&self, now: Duration, watched: bool) -> u64 {
        let rate = self.rate(now, watched);
        match self.opening {
            Some((since, came)) if came > 0 => {
                rate.min(OPENING_BOOST * rate_of(came, now.saturating_sub(since)))
            }
            _ => rate,
        }
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
                if self.known_rate == 0 {
                    self.opening = Some((now, 0));
                }
            }
            // It is not to blame for the time without requests.
            if let (Some((since, _)), Some(idle)) = (&mut self.opening, self.idle_since) {
                *since = (*since + now.saturating_sub(idle)).min(now);
            }
            self.last_block = now;
            self.probe = None;
        }
        self.idle_since = None;
        if self.probe.is_none() && now >= self.probe_from {
            self.probe = Some((first, now, 0));
        }
    }

    /// A block came; `place` as in [`requested`](Self::requested).
    pub(crate) fn received(&mut self, now: Duration, place: u64, bytes: u64) {
        self.meter.add(now, bytes);
        self.last_block = now;
        self.snubbed = false;
        // Growth by a block per block doubles the queue each round trip, until the rate bounds it.
        self.window = (self.window.max(WATCHED_START) + 1).min(QUEUE_MAX);
        self.climb.received(bytes);
        let young = |came: u64| came < OPENING || !self.start.is_over();
        self.opening =
            self.opening.map(|(since, came)| (since, came + bytes)).filter(|(_, came)| young(*came));
        if let Some((probe, sent, came)) = &mut self.probe {
            *came += bytes;
            if *probe == place {
                let took = now.saturating_sub(*sent);
                self.round_trip = Some(self.round_trip.map_or(took, |known| known.min(took)));
                if !self.start.is_over() {
                    self.start.round(rate_of(*came, took));
                }
                self.probe = None;
            }
        }
    }

    /// After a batch: what is in flight now. Growth follows use, and an empty pipeline keeps what it knew.
    pub(crate) fn settle(&mut self, now: Duration, in_flight: usize, watched: bool) {
        if in_flight == 0 && self.idle_since.is_none() {
            self.known_rate = self.rate(now, watched);
            self.idle_since = Some(now);
            self.probe = None;
        } else if watched {
            self.climb.step(now, self.round_trip.unwrap_or_default());
            if self.meter.span(now) > IDLE {
                self.known_rate = self.meter.rate(now, WATCHED_SPAN_MIN).max(self.known_rate / 2);
            }
        }
        let target = self.target(now, watched);
        // Not far beyond what the rate allows, so that a burst long ago does not count as growth.
        self.window = self.window.min(target.saturating_mul(2).max(BULK_START));
    }

    /// A request was taken back; its block may come all the same.
    pub(crate) fn cancelled(&mut self, now: Duration) {
        let block = u64::from(BLOCK_LENGTH) * 1_000_000 / self.known_rate.max(1 << 14);
        let until = self.probe_from.max(now + CANCELLED_MIN) + Duration::from_micros(block);
        self.probe_from = until.min(now + CANCELLED_MAX);
        self.probe = None;
    }

    /// Less was asked for than the target allows.
    pub(crate) fn unused(&mut self, now: Duration) {
        self.climb.interrupted(now);
    }

    /// When the peer counts as snubbing us, given that it owes blocks.
    pub(crate) fn snub_due(&self, watched: bool) -> Duration {
        let patience = if watched && self.known_rate > 0 {
            let queue = self.slack() + self.round_trip.unwrap_or_default();
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
        self.cancelled(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const BLOCK: u64 = BLOCK_LENGTH as u64;

    /// A peer that answers in order at `rate` after `delay`; returns the pipeline after `seconds`.
    fn run(rate: u64, delay: Duration, watched: bool, seconds: u64) -> (Pipeline, usize, Duration) {
        let (pipeline, in_flight, per_block, _) = run_with(rate, |_| delay, watched, seconds);
        (pipeline, in_flight, per_block)
    }

    /// The same with a delay that depends on the block, and how many blocks came.
    fn run_with(
        rate: u64,
        delay: impl Fn(u64) -> Duration,
        watched: bool,
        seconds: u64,
    ) -> (Pipeline, usize, Duration, u64) {
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
                    free = free.max(now + delay(number)) + per_block;
                    queue.push_back((number, free));
                    number += 1;
                }
            }
            let (place, at) = queue.pop_front().unwrap();
            now = at;
            pipeline.received(now, place, BLOCK);
            pipeline.settle(now, queue.len(), watched);
        }
        (pipeline, queue.len(), per_block, number)
    }

    #[test]
    fn a_path_on_which_answers_take_longer_than_the_shortest_did_is_still_filled() {
        // The first answers take 20 ms, all others up to 150: others use the path, too.
        let delay =
            |number: u64| Duration::from_millis(if number < 3 { 20 } else { 60 + number * 7_919 % 90 });
        for rate in [1 << 20, 5 << 20, 20 << 20] {
            let (_, in_flight, per_block, blocks) = run_with(rate, delay, true, 30);
            let used = blocks * BLOCK * 100 / (rate * 30);
            let time = per_block * u32::try_from(in_flight).unwrap();
            assert!(used >= 75, "{used} % of {rate} used");
            assert!(time < 450 * MS, "{time:?} in flight");
        }
    }

    #[test]
    fn watched_a_long_path_is_filled_in_few_round_trips() {
        let (_, _, _, blocks) = run_with(10 << 20, |_| 200 * MS, true, 2);
        // Ten round trips, of which the first five double from four blocks.
        assert!(blocks * BLOCK > 8 << 20, "{blocks} blocks");
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
