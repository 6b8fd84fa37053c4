//! WebVTT files (W3C WebVTT 1), whole or as HLS segments (RFC 8216 §3.5).

use std::fmt::Write;

use bytes::Bytes;

use crate::subtitle::Cue;

/// What stands above the cues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VttHeader {
    /// `X-TIMESTAMP-MAP`: only for segments that go beside MPEG-TS.
    pub timestamp_map: Option<TimestampMap>,
}

/// Which MPEG-TS time a cue time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampMap {
    /// 90 kHz ticks.
    pub mpegts: u64,
    /// The cue time that it is, milliseconds.
    pub local_ms: u64,
}

/// A WebVTT file of these cues, by start time; of the same start, in the order given. A cue that crosses a segment's
/// boundary belongs in both segments, with its true times and the same text, so that players see one. A cue given
/// twice is written once (typeset subtitles lay the same words over each other); one without text or time is left out.
#[must_use]
pub fn write_vtt(cues: &[Cue], header: VttHeader) -> Bytes {
    let mut out = String::from("WEBVTT\n");
    if let Some(map) = header.timestamp_map {
        let local = Clock(i64::try_from(map.local_ms).unwrap_or(i64::MAX));
        // Writing to a string does not fail.
        let _ = writeln!(out, "X-TIMESTAMP-MAP=LOCAL:{local},MPEGTS:{}", map.mpegts);
    }
    let mut order: Vec<&Cue> = cues.iter().filter(|cue| is_shown(cue)).collect();
    order.sort_by_key(|cue| cue.start_ms);
    let mut at_this_time: Vec<&Cue> = Vec::new();
    for cue in order {
        if at_this_time.first().is_some_and(|first| first.start_ms != cue.start_ms) {
            at_this_time.clear();
        }
        let is_same = |other: &&Cue| {
            other.end_ms == cue.end_ms && other.text == cue.text && other.settings == cue.settings
        };
        if !at_this_time.iter().any(is_same) {
            // Comparing with more would be slow where a hostile file starts everything at once.
            if at_this_time.len() < SAME_TIME_MAX {
                at_this_time.push(cue);
            }
            write_cue(&mut out, cue);
        }
    }
    out.into()
}

const SAME_TIME_MAX: usize = 64;

fn is_shown(cue: &Cue) -> bool {
    cue.end_ms > cue.start_ms && cue.end_ms > 0 && !cue.text.trim().is_empty()
}

fn write_cue(out: &mut String, cue: &Cue) {
    out.push('\n');
    if let Some(id) = one_line(&cue.id) {
        out.push_str(id);
        out.push('\n');
    }
    let _ = write!(out, "{} --> {}", Clock(cue.start_ms), Clock(cue.end_ms));
    if let Some(settings) = one_line(&cue.settings) {
        out.push(' ');
        out.push_str(settings);
    }
    out.push('\n');
    for line in cue.text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()) {
        out.push_str(&line.replace("-->", "--&gt;"));
        out.push('\n');
    }
}

/// What may stand in a line of its own.
fn one_line(text: &str) -> Option<&str> {
    (!text.is_empty() && !text.contains(['\n', '\r']) && !text.contains("-->")).then_some(text)
}

/// `hh:mm:ss.mmm`; before zero is zero.
struct Clock(i64);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.max(0);
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}.{:03}", ms % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_ms: i64, end_ms: i64, text: &str) -> Cue {
        Cue { start_ms, end_ms, text: text.to_owned(), ..Cue::default() }
    }

    #[test]
    fn cues_come_by_time_once_each_and_nothing_breaks_out_of_its_line() {
        let mut odd = cue(-500, 3_600_123, "a\n\n--> b");
        odd.id = "x --> y".to_owned();
        odd.settings = "line:0".to_owned();
        let cues = [cue(5_000, 6_000, "later"), odd, cue(5_000, 6_000, "later"), cue(7_000, 7_000, "never")];
        let header = VttHeader { timestamp_map: Some(TimestampMap { mpegts: 900_000, local_ms: 0 }) };
        let expected = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n\
                        00:00:00.000 --> 01:00:00.123 line:0\na\n--&gt; b\n\n\
                        00:00:05.000 --> 00:00:06.000\nlater\n";
        assert_eq!(write_vtt(&cues, header), expected);
        assert_eq!(write_vtt(&[], VttHeader::default()), "WEBVTT\n");
    }
}
