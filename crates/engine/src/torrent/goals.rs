//! When a torrent has seeded enough, and what a tracker's rules still ask for (the hit-and-run guard).

use std::{collections::BTreeMap, time::Duration};

use swarm::Input;

use super::task::Task;
use crate::{Event, Owes, SeedGoal};

/// What a torrent gave so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) uploaded: u64,
    /// Bytes taken from others; without any nothing is owed.
    pub(crate) downloaded: u64,
    /// Bytes of what is wanted.
    pub(crate) wanted: u64,
    pub(crate) seeding_time: Duration,
}

impl Given {
    #[expect(clippy::cast_precision_loss, reason = "a ratio's last bits do not matter")]
    pub(crate) fn ratio(&self) -> f64 {
        // Of what is only read, what was taken counts.
        let of = if self.wanted == 0 { self.downloaded } else { self.wanted };
        if of == 0 { 0.0 } else { self.uploaded as f64 / of as f64 }
    }
}

/// What the trackers of `hosts` ask for.
pub(crate) fn asked(rules: &BTreeMap<String, SeedGoal>, hosts: &[String]) -> Vec<(String, SeedGoal)> {
    hosts.iter().filter_map(|host| Some((host.clone(), *rules.get(host)?))).collect()
}

/// Whether it has seeded enough: one part of its own goal is reached, and nothing is owed to a tracker.
pub(crate) fn is_reached(own: SeedGoal, asked: &[(String, SeedGoal)], given: &Given) -> bool {
    let ratio = own.ratio.is_some_and(|ratio| given.ratio() >= ratio);
    let time = own.time.is_some_and(|time| given.seeding_time >= time);
    (ratio || time) && owed(asked, given).is_empty()
}

/// What each tracker is still owed. Its rules are met by its ratio or its time, whichever is first.
pub(crate) fn owed(asked: &[(String, SeedGoal)], given: &Given) -> Vec<Owes> {
    if given.downloaded == 0 {
        return Vec::new();
    }
    asked
        .iter()
        .filter_map(|(tracker, goal)| {
            let ratio = goal.ratio.map(|ratio| (ratio, given.ratio() >= ratio));
            let time = goal.time.map(|time| (time, given.seeding_time >= time));
            if ratio.is_some_and(|(_, met)| met) || time.is_some_and(|(_, met)| met) {
                return None;
            }
            let mut parts = Vec::new();
            if let Some((ratio, _)) = ratio {
                parts.push(format!("ratio {:.2} of {ratio:.2}", given.ratio()));
            }
            if let Some((time, _)) = time {
                let hours = |time: Duration| time.as_secs_f64() / 3_600.0;
                parts.push(format!("seeded {:.1} of {:.1} hours", hours(given.seeding_time), hours(time)));
            }
            (!parts.is_empty()).then(|| Owes {
                tracker: tracker.clone(),
                goal: *goal,
                detail: parts.join(", "),
            })
        })
        .collect()
}

/// How long until a goal of time is reached, if that is what is waited for.
pub(crate) fn time_left(own: SeedGoal, asked: &[(String, SeedGoal)], given: &Given) -> Option<Duration> {
    let times = own.time.into_iter().chain(asked.iter().filter_map(|(_, goal)| goal.time));
    times.filter(|time| *time > given.seeding_time).map(|time| time - given.seeding_time).min()
}

impl Task {
    pub(super) fn given(&self, now: Duration) -> Given {
        let totals = self.totals(&self.swarm.stats(now).counters);
        let since = self.seeding_since.map_or(0.0, |since| now.saturating_sub(since).as_secs_f64());
        let time = Duration::try_from_secs_f64(self.saved.seeding_time + since).unwrap_or_default();
        Given {
            uploaded: totals.uploaded,
            downloaded: totals.downloaded,
            wanted: self.wanted,
            seeding_time: time,
        }
    }

    pub(super) fn goal(&self) -> SeedGoal {
        self.saved.seed_goal.unwrap_or(self.core.config.seed_goal)
    }

    pub(super) fn asked(&self) -> Vec<(String, SeedGoal)> {
        if self.core.config.tracker_goals.is_empty() {
            return Vec::new();
        }
        asked(&self.core.config.tracker_goals, &self.trackers.hosts())
    }

    pub(super) fn goal_is_reached(&self, now: Duration) -> bool {
        // Readers of what is not here yet would wait for ever.
        let idle = self.swarm.is_seed() || self.wanted > 0 && self.shared.readers().open_count() == 0;
        let goal = self.goal();
        let stated = goal.ratio.is_some() || goal.time.is_some();
        stated && idle && !self.goal_ignored && is_reached(goal, &self.asked(), &self.given(now))
    }

    /// When a goal of time may be reached, for the timer.
    pub(super) fn goal_due(&self, now: Duration) -> Option<Duration> {
        if self.goal_ignored {
            return None;
        }
        time_left(self.goal(), &self.asked(), &self.given(now)).map(|left| now + left)
    }

    /// The seeding goal is reached: connections end, trackers are told.
    pub(super) fn rest(&mut self, now: Duration) {
        self.resting = true;
        self.swarm.handle(now, Input::Pause);
        self.trackers.stop();
        self.core.tell(Event::Seeded { info_hash: self.shared.info_hash });
        self.carry_out(now);
        self.unsaved = true;
        self.publish(now);
    }

    /// Goes on, unless something else holds it.
    pub(super) fn go_on(&mut self, now: Duration) {
        if self.is_at_rest() {
            return;
        }
        self.swarm.handle(now, Input::Resume);
        self.trackers.resume(now);
        self.add_web_seeds(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(uploaded: u64, hours: u64) -> Given {
        Given { uploaded, downloaded: 100, wanted: 100, seeding_time: Duration::from_secs(hours * 3_600) }
    }

    fn goal(ratio: Option<f64>, hours: Option<u64>) -> SeedGoal {
        SeedGoal { ratio, time: hours.map(|hours| Duration::from_secs(hours * 3_600)) }
    }

    #[test]
    fn the_first_part_of_a_goal_that_is_met_ends_seeding() {
        let own = goal(Some(1.0), Some(10));
        assert!(!is_reached(own, &[], &given(99, 9)));
        assert!(is_reached(own, &[], &given(100, 0)) && is_reached(own, &[], &given(0, 10)));
        assert!(!is_reached(SeedGoal::FOREVER, &[], &given(1_000, 1_000)));
        assert!(is_reached(SeedGoal::AT_ONCE, &[], &given(0, 0)));
    }

    #[test]
    fn what_a_tracker_asks_for_comes_before_our_own_goal() {
        let asked = [("t.example".to_owned(), goal(Some(1.0), Some(72)))];
        assert!(!is_reached(SeedGoal::AT_ONCE, &asked, &given(50, 71)));
        assert_eq!(owed(&asked, &given(50, 36))[0].detail, "ratio 0.50 of 1.00, seeded 36.0 of 72.0 hours");
        assert!(is_reached(SeedGoal::AT_ONCE, &asked, &given(50, 72)));
        assert_eq!(time_left(SeedGoal::AT_ONCE, &asked, &given(50, 71)), Some(Duration::from_secs(3_600)));
    }

    #[test]
    fn what_is_only_read_is_measured_by_what_was_taken() {
        let asked = [("t.example".to_owned(), goal(Some(1.0), None))];
        let read = |uploaded| Given { wanted: 0, ..given(uploaded, 0) };
        assert!(!owed(&asked, &read(99)).is_empty() && owed(&asked, &read(100)).is_empty());
        assert!(!is_reached(SeedGoal::AT_ONCE, &asked, &read(99)));
    }

    #[test]
    fn who_took_nothing_owes_nothing() {
        let asked = [("t.example".to_owned(), goal(Some(1.0), None))];
        assert!(owed(&asked, &Given { downloaded: 0, ..given(0, 0) }).is_empty());
    }
}
