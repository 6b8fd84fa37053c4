//! What only time brings: rounds of the choker, snubs, time-outs, keep-alives, news that have waited.

use std::time::Duration;

use peer_wire::Message;

use crate::{
    PeerKey, Reason,
    candidates::End,
    fetch::TICK_BUSY,
    torrent::{Phase, Torrent},
};

/// An attempt to connect that is not answered by then has failed.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// A connection over which nothing came for this long is dead; peers send keep-alives every two minutes (BEP 3).
const SILENT_MAX: Duration = Duration::from_secs(180);
/// After this long without a word we say that we are there.
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// A connection of no use to either end for this long is given up when others wait.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How often the torrent looks after itself while somebody takes blocks, or connections come about.
const TICK_SERVING: Duration = Duration::from_secs(1);
/// The same while nothing happens.
const TICK_QUIET: Duration = Duration::from_secs(10);

impl Torrent {
    /// When [`Input::Timeout`](crate::Input::Timeout) is due at the latest; `None` when only other inputs can change anything.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.phase != Phase::Running {
            return None;
        }
        let expiry = self.content.as_ref().and_then(|content| content.picker.next_expiry());
        [self.next_tick, self.news_due, expiry, self.dial_due(self.now)].into_iter().flatten().min()
    }

    /// The next tick is at `due` at the latest.
    pub(crate) fn tick_by(&mut self, due: Duration) {
        self.next_tick = Some(self.next_tick.map_or(due, |planned| planned.min(due)));
    }

    /// Does what is due.
    pub(crate) fn timers(&mut self, now: Duration) {
        if self.phase != Phase::Running {
            self.next_tick = None;
            return;
        }
        if self.news_due.is_some_and(|due| due <= now) {
            self.tell_news(now);
        }
        if let Some(content) = &mut self.content
            && content.picker.next_expiry().is_some_and(|due| due <= now)
        {
            let mut expired = Vec::new();
            content.picker.expired(now, &mut expired);
            self.refill_all = true;
        }
        if self.next_tick.is_some_and(|due| due <= now) {
            self.next_tick = None;
            self.tick(now);
        }
    }

    /// Plans the next tick, when none is.
    pub(crate) fn plan_tick(&mut self, now: Duration) {
        if self.next_tick.is_some() || self.phase != Phase::Running || self.is_alone() {
            return;
        }
        let wanting = !self.needs_nothing() && self.content.is_some();
        let fetching = wanting && self.peers.iter().any(|peer| peer.up && peer.interesting && !peer.choking);
        let lively = self.peers.attempts() > 0 || self.uploading > 0 || !self.needs_nothing();
        let interval = match (fetching, lively) {
            (true, _) => TICK_BUSY,
            (false, true) => TICK_SERVING,
            (false, false) => TICK_QUIET,
        };
        self.next_tick = Some(now + interval);
    }

    fn tick(&mut self, now: Duration) {
        self.uploading = self.peers.iter().filter(|peer| !peer.uploads.is_idle()).count();
        for key in self.peers.keys() {
            self.look_after(now, key);
        }
        if now >= self.choker.next_round() {
            self.choke_round(now);
        }
        self.exchange_peers(now);
        self.request_metadata(now);
        if self
            .content
            .as_ref()
            .is_some_and(|content| !content.picker.progress().is_finished() || content.picker.urgent())
        {
            self.refill_all = true;
        }
    }

    fn look_after(&mut self, now: Duration, key: PeerKey) {
        let watched = self.is_watched(now);
        let crowded = self.peers.connected() * 5 > self.config.limits.connections_max * 4;
        let Some(peer) = self.peers.get_mut(key) else { return };
        let passed = |since: Duration| now.saturating_sub(since);
        if !peer.up {
            if passed(peer.since) > CONNECT_MAX {
                self.disconnect(now, key, Reason::NoAnswer, End::Failed);
            }
            return;
        }
        if let Some(since) = peer.trust_used_up
            && passed(since) >= Duration::from_millis(400)
        {
            peer.trust_used_up = None;
            peer.trust_blocks = peer.trust_blocks.saturating_mul(2);
        }
        if !peer.is_web() {
            if passed(peer.last_received) > SILENT_MAX {
                return self.drop_silent(now, key);
            }
            let useless = !peer.interesting && !peer.interested && passed(peer.last_useful) > IDLE_MAX;
            if useless && crowded {
                return self.disconnect(now, key, Reason::Idle, End::Served);
            }
            if passed(peer.last_sent) > KEEP_ALIVE {
                self.send(now, key, Message::KeepAlive);
            }
        }
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        let in_flight = content.picker.in_flight(key);
        if in_flight > 0 && !peer.pipeline.is_snubbed() && now >= peer.pipeline.snub_due(watched) {
            peer.pipeline.snub();
            content.picker.snubbed(key, now);
            self.refill_all = true;
        }
        if in_flight == 0 {
            self.lose_interest(now, key);
        }
    }

    fn lose_interest(&mut self, now: Duration, key: PeerKey) {
        let (Some(content), Some(peer)) = (&self.content, self.peers.get_mut(key)) else { return };
        if peer.interesting && !peer.is_web() && !content.picker.is_interesting(key) {
            peer.interesting = false;
            self.send(now, key, Message::NotInterested);
            self.drop_if_useless(now, key);
        }
    }
}
