//! 3GPP timed text samples (3GPP TS 26.245 §5.17): a length, text, and boxes of which `styl` is read.

use super::{
    Cue,
    text::{CueText, Look, decode},
};
use crate::limits::CUE_TEXT_BYTES_MAX;

/// Style records read of one sample.
const RUNS_MAX: usize = 1_024;

/// What a sample shows; `None` when it clears the screen.
#[must_use]
pub fn cue_from_sample(start_ms: i64, duration_ms: i64, payload: &[u8]) -> Option<Cue> {
    let (len, rest) = payload.split_first_chunk::<2>()?;
    let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
    let (text, boxes) = rest.split_at(len);
    let text = decode(text.get(..CUE_TEXT_BYTES_MAX).unwrap_or(text));
    let runs = runs(boxes);
    let mut out = CueText::default();
    let mut run = runs.iter().peekable();
    for (at, c) in (0_u32..).zip(text.chars()) {
        // Runs are in order and do not overlap (§5.17.1.1).
        while run.next_if(|run| u32::from(run.end) <= at).is_some() {}
        let look = run.peek().filter(|run| u32::from(run.start) <= at).map(|run| run.look);
        *out.look() = look.unwrap_or_default();
        out.char(c);
    }
    Cue::shown(start_ms, duration_ms, "", out.finish())
}

struct Run {
    start: u16,
    end: u16,
    look: Look,
}

/// The records of the first `styl` box.
fn runs(mut boxes: &[u8]) -> Vec<Run> {
    while let Some((size, rest)) = boxes.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size);
        let Some(body_len) = usize::try_from(size).ok().and_then(|size| size.checked_sub(8)) else { break };
        let Some((kind, rest)) = rest.split_first_chunk::<4>() else { break };
        let Some((body, rest)) = rest.split_at_checked(body_len) else { break };
        boxes = rest;
        if kind == b"styl" {
            return body
                .get(2..)
                .unwrap_or_default()
                .as_chunks::<12>()
                .0
                .iter()
                .take(RUNS_MAX)
                .map(run)
                .collect();
        }
    }
    Vec::new()
}

fn run(record: &[u8; 12]) -> Run {
    let [s0, s1, e0, e1, _, _, face, ..] = *record;
    Run {
        start: u16::from_be_bytes([s0, s1]),
        end: u16::from_be_bytes([e0, e1]),
        look: Look { bold: face & 1 != 0, italic: face & 2 != 0, underline: face & 4 != 0 },
    }
}
