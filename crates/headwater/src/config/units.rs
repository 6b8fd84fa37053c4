//! Sizes and times as people write them.

use std::time::Duration;

/// `10GiB`, `500MB`, `64 MiB`, `1073741824`; units of 1000 without the i, of 1024 with it (and for a bare letter).
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return None,
    };
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        Some((whole, part)) => {
            if part.is_empty() || part.len() > 6 {
                return None;
            }
            let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
            let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
            let scaled = whole.checked_mul(scale)?.checked_add(part.parse().ok()?)?;
            Some(scaled.checked_mul(factor)? / scale)
        }
    }
}

/// The size in the largest unit of 1024 that leaves it whole.
pub(crate) fn human_size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = units.iter().find(|(shift, _)| bytes >> shift > 0 && bytes.is_multiple_of(1 << shift));
    fits.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// `60s`, `10m`, `1h`, `90` (seconds).
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit.trim() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(factor)?))
}

/// The time in the largest unit that leaves it whole.
pub(crate) fn human_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let fits = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [
            ("10GiB", 10 << 30),
            ("500MB", 500_000_000),
            ("64 MiB", 64 << 20),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("1073741824", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "10 parsecs", "-1", "1.GiB", "1.2.3", "99999999999GiB", "é"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(human_size(10 << 30), "10GiB");
        assert_eq!(human_size(1000), "1000");
    }
}
