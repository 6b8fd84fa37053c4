//! What the check reads of MP4 fragments: timescale, first decode time, duration (ISO/IEC 14496-12). It shares no code
//! with the writer, so that the two cannot be wrong together.

use anyhow::{Context, Result, ensure};

/// When a media segment begins and how long it is, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) start: u64,
    pub(super) duration: u64,
}

/// Ticks per second of the first track of an init segment.
pub(super) fn timescale(init: &[u8]) -> Result<u32> {
    let mdhd = path(init, &[b"moov", b"trak", b"mdia", b"mdhd"]).context("the init segment has no mdhd")?;
    let offset = if mdhd.first() == Some(&1) { 20 } else { 12 };
    be32(mdhd, offset).filter(|t| *t > 0).context("the timescale is 0")
}

/// Times of a media segment: its first `tfdt`, and the durations of all samples of all fragments.
pub(super) fn times(segment: &[u8]) -> Result<Times> {
    let (mut start, mut duration) = (None, 0_u64);
    for (kind, moof) in boxes(segment) {
        if &kind != b"moof" {
            continue;
        }
        let traf = path(moof, &[b"traf"]).context("a fragment has no traf")?;
        let tfdt = path(traf, &[b"tfdt"]).context("a fragment has no tfdt")?;
        let time = match tfdt.first() {
            Some(1) => {
                Some(u64::from(be32(tfdt, 4).unwrap_or(0)) << 32 | u64::from(be32(tfdt, 8).unwrap_or(0)))
            }
            _ => be32(tfdt, 4).map(u64::from),
        };
        let time = time.context("tfdt is too short")?;
        let first = *start.get_or_insert(time);
        ensure!(
            time == first + duration,
            "a fragment begins at {time}, the one before ended at {}",
            first + duration
        );
        let usual = default_duration(path(traf, &[b"tfhd"]).context("a fragment has no tfhd")?);
        for (kind, trun) in boxes(traf) {
            if &kind == b"trun" {
                duration += run_duration(trun, usual)?;
            }
        }
    }
    Ok(Times { start: start.context("there is no fragment in it")?, duration })
}

/// The samples of a media segment, fragment by fragment.
pub(super) fn payload(segment: &[u8]) -> Vec<&[u8]> {
    boxes(segment).filter(|(kind, _)| kind == b"mdat").map(|(_, samples)| samples).collect()
}

fn default_duration(tfhd: &[u8]) -> Option<u32> {
    let flags = be32(tfhd, 0)? & 0x00ff_ffff;
    let mut at = 8;
    at += if flags & 0x01 != 0 { 8 } else { 0 };
    at += if flags & 0x02 != 0 { 4 } else { 0 };
    (flags & 0x08 != 0).then(|| be32(tfhd, at)).flatten()
}

fn run_duration(trun: &[u8], usual: Option<u32>) -> Result<u64> {
    let flags = be32(trun, 0).context("trun")? & 0x00ff_ffff;
    let count = be32(trun, 4).context("trun")?;
    let mut at = 8;
    at += if flags & 0x01 != 0 { 4 } else { 0 };
    at += if flags & 0x04 != 0 { 4 } else { 0 };
    let each = 4 * usize::try_from((flags & 0xf00).count_ones())?;
    let mut sum = 0;
    for n in 0..usize::try_from(count)? {
        let duration = if flags & 0x100 != 0 { be32(trun, at + n * each) } else { usual };
        sum += u64::from(duration.context("a sample has no duration")?);
    }
    Ok(sum)
}

fn path<'a>(mut bytes: &'a [u8], kinds: &[&[u8; 4]]) -> Option<&'a [u8]> {
    for kind in kinds {
        bytes = boxes(bytes).find(|(found, _)| found == *kind)?.1;
    }
    Some(bytes)
}

/// The boxes that stand one after another in `bytes`, with their content.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let kind = *rest.get(4..)?.first_chunk::<4>()?;
        let (head, size) = match usize::try_from(be32(rest, 0)?).ok()? {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(be32(rest, 12)?).ok()?),
            size => (8, size),
        };
        let content = rest.get(head..size)?;
        rest = rest.get(size..)?;
        Some((kind, content))
    })
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}
