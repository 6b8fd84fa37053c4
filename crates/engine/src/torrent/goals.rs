//! When a torrent has seeded enough, and what a tracker's rules still ask for (the hit-and-run guard).

use std::{collections::BTreeMap, time::Duration};

use crate::{Owes, SeedGoal};

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
        if self.wanted == 0 { 0.0 } else { self.uploaded as f64 / self.wanted as f64 }
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
    fn who_took_nothing_owes_nothing() {
        let asked = [("t.example".to_owned(), goal(Some(1.0), None))];
        assert!(owed(&asked, &Given { downloaded: 0, ..given(0, 0) }).is_empty());
    }
}
