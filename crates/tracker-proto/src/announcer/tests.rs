//! The announcer in virtual time.

use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{answer::Retry, status::TrackerState};

const WANTED: Counters = Counters { uploaded: 1, downloaded: 2, left: Some(3), peers_wanted: 50 };

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `"a b | c"` is a tier of two trackers and one of one.
fn tiers(picture: &str) -> Tiers {
    let url = |name: &str| format!("http://{name}.test/announce").parse().unwrap();
    picture.split('|').map(|tier| tier.split_whitespace().map(url).collect()).collect()
}

fn announcer(picture: &str) -> Announcer {
    Announcer::new(tiers(picture), Options::default(), 1)
}

/// What is due now, as `name:event`.
fn due(announcer: &mut Announcer, at: u64) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(announce) = announcer.poll(s(at), &WANTED) {
        let name = announce.url.host().trim_end_matches(".test");
        all.push(format!("{name}:{}", announce.event.map_or("-", Event::as_str)));
        assert!(all.len() < 50, "poll does not end: {all:?}");
    }
    all
}

fn key(announcer: &Announcer, name: &str) -> TrackerKey {
    let at = announcer.trackers.iter().position(|t| t.url.host() == format!("{name}.test")).unwrap();
    TrackerKey(u32::try_from(at).unwrap())
}

fn answer(announcer: &mut Announcer, name: &str, at: u64) {
    let answer = AnnounceAnswer { interval: Some(s(1800)), ..AnnounceAnswer::default() };
    announcer.handle_response(s(at), key(announcer, name), &answer);
}

fn fail(announcer: &mut Announcer, name: &str, at: u64) {
    let failure = Failure::Unreachable { reason: "refused".into() };
    announcer.handle_failure(s(at), key(announcer, name), &failure);
}

fn state(announcer: &Announcer, name: &str) -> TrackerState {
    announcer.status().into_iter().find(|t| t.url.contains(&format!("/{name}."))).unwrap().state
}

#[test]
fn the_first_announce_is_due_at_once_and_says_started_once() {
    let mut a = announcer("a");
    assert_eq!(a.next_timeout(s(0)), Some(s(0)));
    assert_eq!(due(&mut a, 0), ["a:started"]);
    assert_eq!(due(&mut a, 0), [""; 0]);
    answer(&mut a, "a", 0);
    let next = a.next_timeout(s(0)).unwrap();
    assert!(next >= s(1800) && next <= s(1800 + 1800 / 16), "{next:?}");
    assert_eq!(due(&mut a, 1799), [""; 0]);
    assert_eq!(due(&mut a, next.as_secs() + 1), ["a:-"]);
}

#[test]
fn counters_and_wishes_are_told_as_they_are() {
    let mut a = announcer("a");
    let announce = a.poll(s(0), &Counters { peers_wanted: 5000, ..WANTED }).unwrap();
    assert_eq!(announce.counters.downloaded, 2);
    assert_eq!(announce.peers_wanted, 200);
}

#[test]
fn every_tier_has_its_tracker_and_failing_ones_give_way() {
    let mut a = announcer("a b | c");
    let first = due(&mut a, 0);
    assert_eq!(first.len(), 2);
    assert_eq!(first[1], "c:started");
    let (one, other) = if first[0] == "a:started" { ("a", "b") } else { ("b", "a") };
    fail(&mut a, one, 1);
    assert_eq!(due(&mut a, 1), [format!("{other}:started")]);
    answer(&mut a, other, 1);
    // Promoted: it is asked first from now on, and the failing one is left alone while it answers.
    assert_eq!(a.tiers()[0][0].host(), format!("{other}.test"));
    answer(&mut a, "c", 1);
    assert_eq!(due(&mut a, 1000), [""; 0]);
    assert!(a.next_timeout(s(1000)).unwrap() > s(1800));
}

#[test]
fn to_the_letter_a_tier_is_asked_when_those_before_it_fail() {
    let mut a = Announcer::new(tiers("a | b"), Options { every_tier: false }, 1);
    assert_eq!(due(&mut a, 0), ["a:started"]);
    fail(&mut a, "a", 1);
    assert_eq!(due(&mut a, 1), ["b:started"]);
    answer(&mut a, "b", 1);
    // The first tier is tried again.
    assert_eq!(due(&mut a, 30), ["a:started"]);
    answer(&mut a, "a", 30);
    assert_eq!(due(&mut a, 1829), [""; 0]);
}

#[test]
fn a_slow_tracker_does_not_keep_the_next_from_being_asked() {
    let mut a = announcer("a b");
    let first = due(&mut a, 0);
    assert_eq!(first.len(), 1);
    assert_eq!(a.next_timeout(s(0)), Some(PATIENCE));
    let second = due(&mut a, PATIENCE.as_secs());
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
    assert_eq!(a.next_timeout(s(60)), None, "both are on their way");
}

#[test]
fn back_off_doubles_up_to_an_hour_and_never_beyond() {
    let mut a = announcer("a");
    let mut at = s(0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert!(a.poll(at, &WANTED).is_some());
        a.handle_failure(at, TrackerKey(0), &Failure::NoAnswer { reason: "late".into() });
        let next = a.next_timeout(at).unwrap();
        waits.push((next - at).as_secs());
        at = next;
    }
    assert!((7..=13).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 3600 * 5 / 4), "{waits:?}");
    assert!(waits[11] >= 2700, "{waits:?}");
    assert_eq!(state(&a, "a"), TrackerState::Failing);
}

#[test]
fn an_unanswered_started_is_said_again_but_an_answered_one_is_not() {
    let mut a = announcer("a");
    assert_eq!(due(&mut a, 0), ["a:started"]);
    a.handle_failure(s(1), TrackerKey(0), &Failure::NoAnswer { reason: "late".into() });
    assert_eq!(due(&mut a, 60), ["a:started"]);
    answer(&mut a, "a", 60);
    assert_eq!(due(&mut a, 4000), ["a:-"]);
    fail(&mut a, "a", 4000);
    assert_eq!(due(&mut a, 4100), ["a:-"]);
}

#[test]
fn completed_is_said_once_to_each_tracker_that_knows_us() {
    let mut a = announcer("a | b");
    due(&mut a, 0);
    answer(&mut a, "a", 0);
    fail(&mut a, "b", 0);
    a.completed();
    assert!(a.owes_completed());
    assert_eq!(due(&mut a, 5), ["a:completed"]);
    answer(&mut a, "a", 5);
    assert!(!a.owes_completed());
    assert_eq!(due(&mut a, 20), ["b:started"]);
    answer(&mut a, "b", 20);
    assert_eq!(due(&mut a, 20), ["b:completed"]);
    answer(&mut a, "b", 20);
    a.completed();
    assert_eq!(due(&mut a, 4000), ["a:-", "b:-"]);
}

#[test]
fn a_torrent_that_was_whole_from_the_start_completes_nothing() {
    let mut a = announcer("a");
    due(&mut a, 0);
    answer(&mut a, "a", 0);
    assert_eq!(due(&mut a, 4000), ["a:-"]);
    assert!(!a.owes_completed());
}

#[test]
fn stopped_goes_to_whoever_may_know_us_and_to_nobody_else() {
    let mut a = announcer("a | b | c | d");
    due(&mut a, 0);
    answer(&mut a, "a", 0);
    fail(&mut a, "b", 0);
    a.handle_failure(s(0), key(&a, "c"), &Failure::NoAnswer { reason: "late".into() });
    // The announce to d is still on its way.
    a.stop();
    assert!(!a.is_stopped());
    assert_eq!(due(&mut a, 1), ["a:stopped", "c:stopped", "d:stopped"]);
    answer(&mut a, "a", 1);
    fail(&mut a, "c", 1);
    assert!(!a.is_stopped());
    answer(&mut a, "d", 1);
    assert!(a.is_stopped());
    a.reannounce(s(2));
    assert_eq!(due(&mut a, 9999), [""; 0]);
    assert_eq!(a.next_timeout(s(9999)), None);
    a.resume(s(9999));
    assert_eq!(due(&mut a, 9999), ["a:started", "b:started", "c:started", "d:started"]);
}

#[test]
fn leaving_asks_for_no_peers() {
    let mut a = announcer("a");
    due(&mut a, 0);
    answer(&mut a, "a", 0);
    a.stop();
    assert_eq!(a.poll(s(1), &WANTED).unwrap().peers_wanted, 0);
}

#[test]
fn on_demand_the_minimum_is_obeyed() {
    let mut a = announcer("a");
    due(&mut a, 0);
    let answer =
        AnnounceAnswer { interval: Some(s(1800)), min_interval: Some(s(300)), ..AnnounceAnswer::default() };
    a.handle_response(s(0), TrackerKey(0), &answer);
    a.reannounce(s(10));
    assert_eq!(a.next_timeout(s(10)), Some(s(300)));
    assert_eq!(due(&mut a, 299), [""; 0]);
    assert_eq!(due(&mut a, 300), ["a:-"]);
}

#[test]
fn intervals_beyond_reason_are_bounded() {
    for (told, least, most) in [(0, 30, 32), (u64::MAX, 86_400, 91_800)] {
        let mut a = announcer("a");
        due(&mut a, 0);
        let answer = AnnounceAnswer {
            interval: Some(s(told)),
            min_interval: Some(s(told)),
            ..AnnounceAnswer::default()
        };
        a.handle_response(s(0), TrackerKey(0), &answer);
        let next = a.next_timeout(s(0)).unwrap();
        assert!(next >= s(least) && next <= s(most), "{next:?}");
    }
}

#[test]
fn a_tracker_that_says_when_is_asked_then_and_one_that_says_never_never() {
    let mut a = announcer("a | b");
    due(&mut a, 0);
    let refused = |retry| Failure::Refused { reason: "no".into(), retry: Some(retry) };
    a.handle_failure(s(0), key(&a, "a"), &refused(Retry::In(s(600))));
    a.handle_failure(s(0), key(&a, "b"), &refused(Retry::Never));
    a.reannounce(s(1));
    assert_eq!(a.next_timeout(s(1)), Some(s(600)));
    assert_eq!(due(&mut a, 600), ["a:started"]);
    assert_eq!(state(&a, "b"), TrackerState::Off);
}

#[test]
fn tiers_are_shuffled_by_the_seed_within_themselves() {
    let all = "a b c d e f | g";
    let order = |seed| {
        let a = Announcer::new(tiers(all), Options::default(), seed);
        a.tiers().concat().iter().map(|u| u.host()[..1].to_owned()).collect::<String>()
    };
    assert_eq!(order(3), order(3));
    assert!((0..20).any(|seed| order(seed) != order(3)));
    assert!((0..20).all(|seed| order(seed).ends_with('g')));
}

#[test]
fn an_address_that_comes_twice_is_one_tracker_and_there_is_a_limit() {
    assert_eq!(announcer("a a | a b").status().len(), 2);
    let many: Vec<_> = (0..300).map(|n| format!("t{n}")).collect();
    assert_eq!(announcer(&many.join(" ")).status().len(), TRACKERS_MAX);
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Answer(u8, u64),
    Unreachable(u8),
    NoAnswer(u8),
    Refuse(u8),
    Completed,
    Reannounce,
    Stop,
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..4000).prop_map(Step::Pass),
        6 => (any::<u8>(), 0u64..4000).prop_map(|(n, interval)| Step::Answer(n, interval)),
        2 => any::<u8>().prop_map(Step::Unreachable),
        2 => any::<u8>().prop_map(Step::NoAnswer),
        1 => any::<u8>().prop_map(Step::Refuse),
        1 => Just(Step::Completed),
        1 => Just(Step::Reannounce),
        1 => Just(Step::Stop),
        1 => Just(Step::Resume),
    ]
}

/// What one tracker has heard since it was last told that we left, as a tracker would see it.
#[derive(Default, Clone)]
struct Seen {
    flying: Option<Option<Event>>,
    listed: bool,
    completed: u32,
    answered_at: Option<(Duration, Duration)>,
}

proptest! {
    /// Whatever happens: a listed tracker hears no second `started`, `completed` comes once and only after `started`, whoever
    /// lists us hears `stopped`, nobody is asked twice at once or again before its interval.
    #[test]
    fn what_trackers_hear_makes_sense(steps in prop::collection::vec(step(), 1..60), seed: u64, every_tier: bool) {
        let mut a = Announcer::new(tiers("a b c | d e | f"), Options { every_tier }, seed);
        let mut seen = vec![Seen::default(); 6];
        let (mut now, mut completed, mut stopping, mut demanded) = (s(0), false, false, false);
        for step in steps {
            let flying: Vec<usize> = (0..6).filter(|n| seen[*n].flying.is_some()).collect();
            let chosen = |n: u8| (!flying.is_empty()).then(|| flying[usize::from(n) % flying.len()]);
            let tracker = |n: usize| TrackerKey(u32::try_from(n).unwrap());
            match step {
                Step::Pass(seconds) => now += s(seconds),
                Step::Answer(n, interval) => if let Some(n) = chosen(n) {
                    let answer = AnnounceAnswer { interval: Some(s(interval)), ..AnnounceAnswer::default() };
                    a.handle_response(now, tracker(n), &answer);
                    match seen[n].flying.take().unwrap() {
                        Some(Event::Stopped) => seen[n] = Seen { completed: seen[n].completed, ..Seen::default() },
                        event => {
                            seen[n].listed = true;
                            seen[n].completed += u32::from(event == Some(Event::Completed));
                            seen[n].answered_at = Some((now, s(interval)));
                        }
                    }
                },
                Step::Unreachable(n) => if let Some(n) = chosen(n) {
                    a.handle_failure(now, tracker(n), &Failure::Unreachable { reason: "no".into() });
                    if seen[n].flying.take() == Some(Some(Event::Stopped)) { seen[n].listed = false; }
                    seen[n].answered_at = None;
                },
                Step::NoAnswer(n) => if let Some(n) = chosen(n) {
                    a.handle_failure(now, tracker(n), &Failure::NoAnswer { reason: "no".into() });
                    if seen[n].flying.take() == Some(Some(Event::Stopped)) { seen[n].listed = false; }
                    seen[n].answered_at = None;
                },
                Step::Refuse(n) => if let Some(n) = chosen(n) {
                    a.handle_failure(now, tracker(n), &Failure::Refused { reason: "no".into(), retry: None });
                    if seen[n].flying.take() == Some(Some(Event::Stopped)) { seen[n].listed = false; }
                    seen[n].answered_at = None;
                },
                Step::Completed => { a.completed(); completed = true; }
                Step::Reannounce => { a.reannounce(now); demanded = true; }
                Step::Stop => { a.stop(); stopping = true; }
                Step::Resume => {
                    if stopping { seen.iter_mut().for_each(|t| t.answered_at = None); }
                    a.resume(now);
                    stopping = false;
                }
            }
            let mut announces = 0;
            while let Some(announce) = a.poll(now, &WANTED) {
                announces += 1;
                prop_assert!(announces <= 6, "poll does not end");
                let t = &mut seen[announce.tracker.0 as usize];
                let leaving = announce.event == Some(Event::Stopped);
                prop_assert!(t.flying.is_none() || leaving && t.flying != Some(Some(Event::Stopped)));
                prop_assert_eq!(leaving, stopping);
                prop_assert!(!(t.listed && announce.event == Some(Event::Started)), "started twice");
                if announce.event == Some(Event::Completed) {
                    prop_assert!(completed && t.listed && t.completed == 0);
                }
                if announce.event.is_none() && !demanded && let Some((at, interval)) = t.answered_at {
                    prop_assert!(now >= at + interval);
                }
                t.flying = Some(announce.event);
            }
            let timeout = a.next_timeout(now);
            prop_assert!(timeout.is_none_or(|at| at > now), "{timeout:?} at {now:?}");
            if stopping {
                for t in &seen {
                    prop_assert!(!t.listed || t.flying == Some(Some(Event::Stopped)), "not told that we left");
                }
                prop_assert_eq!(a.is_stopped(), seen.iter().all(|t| t.flying.is_none()));
            }
        }
    }
}
