//! The commands about torrents: `download`, `seed`, `create`, and what `inspect` says of magnets and `.torrent`s.
//!
//! They drive an [`engine::Session`] and say what it tells; nothing about peers is decided here.

pub(crate) mod create;
pub(crate) mod download;
pub(crate) mod hash;
pub(crate) mod inspect;
pub(crate) mod progress;
pub(crate) mod seed;
mod setup;
mod target;

pub(crate) use setup::{engine_config, state_dir};
pub(crate) use target::Target;

/// Text that others chose must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A size for people: the largest unit of 1024 that leaves at least one, with one digit behind the point.
pub(crate) fn human(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        None => format!("{bytes} B"),
        Some((shift, unit)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// Seconds for people: `0:31`, `1:02:05`.
pub(crate) fn clock(seconds: f64) -> String {
    let total = if seconds.is_finite() { seconds.max(0.0).round() } else { return "?".to_owned() };
    let (hours, rest) = ((total / 3600.0).floor(), total.rem_euclid(3600.0));
    let (minutes, seconds) = ((rest / 60.0).floor(), rest.rem_euclid(60.0));
    if hours >= 1.0 {
        format!("{hours:.0}:{minutes:02.0}:{seconds:02.0}")
    } else {
        format!("{minutes:.0}:{seconds:02.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (64 << 20, "64.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        for (seconds, text) in [(0.2, "0:00"), (31.0, "0:31"), (3725.0, "1:02:05"), (f64::INFINITY, "?")] {
            assert_eq!(clock(seconds), text);
        }
    }
}
