//! From keyframes to boundaries: which of the places where a segment may begin become ones.
//!
//! Pure arithmetic on times; where keyframes lie and what they are was found out before.

use container::{Timescale, codec::RandomAccess};

use super::PlanOptions;

/// A place where a segment may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Smallest presentation time of the run that begins here, ticks of the plan's clock.
    pub(crate) start: i64,
    /// See [`Interval::key`](super::Interval::key).
    pub(crate) stored: i64,
    /// See [`Interval::place`](super::Interval::place).
    pub(crate) place: u64,
    /// See [`Interval::relative`](super::Interval::relative).
    pub(crate) relative: Option<u64>,
    /// What it is to a decoder.
    pub(crate) kind: RandomAccess,
}

impl Key {
    /// Whether a decoder that starts here shows everything. Where the codec does not say, the container is believed.
    pub(crate) fn is_clean(&self) -> bool {
        matches!(self.kind, RandomAccess::Clean | RandomAccess::Unknown)
    }
}

/// The lengths that the first segments aim at, so that playing starts soon; milliseconds.
const OPENING_MS: [u32; 3] = [1_000, 2_000, 3_000];

/// Drops what is no starting point at all, what is out of order, and open-GOP points where clean ones are frequent
/// enough. The first key stays whatever it is: there is nothing better before it.
pub(crate) fn usable(keys: &[Key], end: i64, clock: Timescale, options: &PlanOptions) -> Vec<Key> {
    let mut real: Vec<Key> = Vec::with_capacity(keys.len());
    for (n, key) in keys.iter().enumerate() {
        let in_order = real.last().is_none_or(|last| key.start > last.start && key.place >= last.place);
        if in_order && (n == 0 || key.kind != RandomAccess::No) && (key.start < end || n == 0) {
            real.push(*key);
        }
    }
    if real.iter().all(Key::is_clean) {
        return real;
    }
    let clean: Vec<Key> =
        real.iter().enumerate().filter(|(n, key)| *n == 0 || key.is_clean()).map(|(_, key)| *key).collect();
    let gap_max = ticks(options.clean_gap_ms, clock);
    if longest_gap(&clean, end) <= gap_max { clean } else { real }
}

/// Longest stretch from one key to the next, and from the last to `end`; ticks.
pub(crate) fn longest_gap(keys: &[Key], end: i64) -> i64 {
    let between = keys.windows(2).map(|pair| pair[1].start.saturating_sub(pair[0].start)).max();
    let last = keys.last().map(|key| end.saturating_sub(key.start));
    between.max(last).unwrap_or(0)
}

/// Chooses boundaries among `starts` (ascending; the first always is one): each segment as near to its target as can
/// be, the first ones short, a short tail folded into the segment before it. Gives indices.
pub(crate) fn choose(starts: &[i64], end: i64, clock: Timescale, options: &PlanOptions) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut at = 0;
    while let Some(&start) = starts.get(at) {
        chosen.push(at);
        let opening = OPENING_MS.get(chosen.len() - 1).copied().filter(|ms| *ms < options.target_ms);
        let target = opening.unwrap_or(options.target_ms);
        let least = if opening.is_some() { target / 2 } else { options.tail_ms.min(target) };
        let aim = start.saturating_add(ticks(target, clock));
        let from = start.saturating_add(ticks(least, clock).max(1));
        let after = at + 1 + starts[at + 1..].partition_point(|t| *t < from);
        let over = at + 1 + starts[at + 1..].partition_point(|t| *t < aim);
        let next = [over.saturating_sub(1), over]
            .into_iter()
            .filter(|i| *i >= after && *i < starts.len())
            .min_by_key(|i| starts[*i].abs_diff(aim))
            // The end is as good a boundary as any: no scrap is left behind it.
            .filter(|i| starts[*i].abs_diff(aim) < end.abs_diff(aim));
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    let tail = ticks(options.tail_ms, clock);
    while chosen.len() > 1 && chosen.last().is_some_and(|i| end.saturating_sub(starts[*i]) < tail) {
        chosen.pop();
    }
    chosen
}

/// Milliseconds in ticks.
pub(crate) fn ticks(ms: u32, clock: Timescale) -> i64 {
    Timescale::MILLIS.rescale(i64::from(ms), clock)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keyframes drawn on a line, a character each half second: `k` is one, `.` none. The segments' lengths come back.
    fn cut(picture: &str) -> String {
        let starts: Vec<i64> =
            picture.chars().enumerate().filter(|(_, c)| *c == 'k').map(|(i, _)| i as i64 * 500).collect();
        let end = picture.len() as i64 * 500;
        let chosen = choose(&starts, end, Timescale::MILLIS, &PlanOptions::default());
        let mut edges: Vec<i64> = chosen.iter().map(|i| starts[*i]).collect();
        edges.push(end);
        edges.windows(2).map(|w| format!("{}", (w[1] - w[0]) as f64 / 1000.0)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_second_gops_open_short_and_go_on_in_fives() {
        assert_eq!(cut(&"k.".repeat(21)), "1 2 3 5 5 5");
    }

    #[test]
    fn two_second_gops_become_fours() {
        assert_eq!(cut(&"k...".repeat(9)), "2 2 2 4 4 4");
    }

    #[test]
    fn gops_longer_than_the_target_are_segments_of_their_own() {
        assert_eq!(cut(&format!("k{}k{}k{}", ".".repeat(20), ".".repeat(20), ".".repeat(9))), "10.5 10.5 5");
    }

    #[test]
    fn a_tail_under_a_second_is_folded() {
        assert_eq!(cut(&format!("{}k", "k.........".repeat(4))), "5 5 5 5.5");
        assert_eq!(cut(&format!("{}k.", "k.........".repeat(4))), "5 5 5 5 1");
    }

    #[test]
    fn the_nearest_keyframe_wins_when_none_is_in_reach() {
        // After the opening: 3.5 s is nearer to 5 s than 8 s is.
        assert_eq!(cut("k.k...k.....k......k........k......"), "1 2 3 3.5 4.5 3.5");
    }

    fn key(start: i64, kind: RandomAccess) -> Key {
        Key { start, stored: start, place: 0, relative: None, kind }
    }

    /// `I` clean, `c` open GOP, `x` no starting point; a character each second. What is usable comes back.
    fn usable_of(picture: &str) -> String {
        let kind = |c| match c {
            'I' => Some(RandomAccess::Clean),
            'c' => Some(RandomAccess::OpenGop),
            'x' => Some(RandomAccess::No),
            _ => None,
        };
        let keys: Vec<Key> = picture
            .chars()
            .enumerate()
            .filter_map(|(i, c)| kind(c).map(|kind| key(i as i64 * 1000, kind)))
            .collect();
        let end = picture.len() as i64 * 1000;
        let kept = usable(&keys, end, Timescale::MILLIS, &PlanOptions::default());
        let mut out = vec!['.'; picture.len()];
        for key in kept {
            let i = usize::try_from(key.start / 1000).unwrap();
            out[i] = picture.chars().nth(i).unwrap();
        }
        out.into_iter().collect()
    }

    #[test]
    fn open_gop_points_go_where_clean_ones_are_frequent() {
        assert_eq!(usable_of("I..c..I..c..I.."), "I.....I.....I..");
    }

    #[test]
    fn open_gop_points_stay_where_clean_ones_are_rare() {
        assert_eq!(usable_of("I....c....c....c....I"), "I....c....c....c....I");
    }

    #[test]
    fn false_keyframes_go() {
        assert_eq!(usable_of("I..x..I..x..I"), "I.....I.....I");
    }

    proptest! {
        #[test]
        fn boundaries_are_ascending_and_tails_are_folded(
            gaps in prop::collection::vec(1i64..9_000, 1..200),
            tail in 1i64..9_000,
        ) {
            let starts: Vec<i64> = gaps.iter().scan(0, |t, gap| { let at = *t; *t += gap; Some(at) }).collect();
            let end = starts.last().unwrap() + tail;
            let options = PlanOptions::default();
            let chosen = choose(&starts, end, Timescale::MILLIS, &options);
            prop_assert_eq!(chosen[0], 0);
            prop_assert!(chosen.windows(2).all(|w| w[0] < w[1]));
            let last = starts[*chosen.last().unwrap()];
            prop_assert!(chosen.len() == 1 || end - last >= 1_000);
            // Nothing but the gaps themselves makes a segment long.
            let gap = gaps.iter().max().unwrap().max(&tail);
            for w in chosen.windows(2) {
                prop_assert!(starts[w[1]] - starts[w[0]] <= 5_000.max(*gap) + gap);
            }
        }
    }
}
