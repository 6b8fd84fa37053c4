//! Reads the times and sizes of a CMAF segment (ISO/IEC 14496-12 `tfdt`, `trun`), for one track and default flags only.
//!
//! Deliberately naive and apart from the crate under test: if both misread a box, they must do so independently.

use anyhow::{Context, Result, bail, ensure};

/// What a media segment says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// `tfdt` baseMediaDecodeTime.
    pub base: u64,
    /// Per sample: duration, size, composition offset.
    pub samples: Vec<(u32, u32, i32)>,
}

impl Fragment {
    /// Ticks of all samples.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.0)).sum()
    }
}

/// The boxes directly inside `data`: type and payload.
///
/// # Errors
/// A size that does not fit.
pub fn boxes(mut data: &[u8]) -> Result<Vec<([u8; 4], &[u8])>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        ensure!(data.len() >= 8, "{} stray bytes after the last box", data.len());
        let kind: [u8; 4] = data[4..8].try_into()?;
        let (head, size) = match u32_at(data, 0)? {
            1 => (16, usize::try_from(u64::from_be_bytes(data.get(8..16).context("size")?.try_into()?))?),
            0 => (8, data.len()),
            size => (8, usize::try_from(size)?),
        };
        ensure!(size >= head && size <= data.len(), "box {} of {size} bytes", String::from_utf8_lossy(&kind));
        found.push((kind, &data[head..size]));
        data = &data[size..];
    }
    Ok(found)
}

/// The payload of the first box at `path` inside `data`.
///
/// # Errors
/// It is not there.
pub fn find<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> Result<&'a [u8]> {
    let mut here = data;
    for kind in path {
        here = boxes(here)?
            .into_iter()
            .find(|(k, _)| k == *kind)
            .with_context(|| format!("no {}", String::from_utf8_lossy(*kind)))?
            .1;
    }
    Ok(here)
}

/// The timescale that an init segment gives its only track.
///
/// # Errors
/// No `mdhd`.
pub fn timescale(init: &[u8]) -> Result<u32> {
    let mdhd = find(init, &[b"moov", b"trak", b"mdia", b"mdhd"])?;
    u32_at(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 })
}

/// Reads a media segment of one `moof` and one `mdat`, and checks that the sizes fill the `mdat`.
///
/// # Errors
/// It is not of that shape.
pub fn fragment(segment: &[u8]) -> Result<Fragment> {
    let traf = find(segment, &[b"moof", b"traf"])?;
    let tfhd = find(traf, &[b"tfhd"])?;
    let flags = u32_at(tfhd, 0)? & 0xff_ffff;
    let mut at = 8 + if flags & 1 != 0 { 8 } else { 0 } + if flags & 2 != 0 { 4 } else { 0 };
    let mut default = |bit: u32| -> Result<u32> {
        if flags & bit == 0 {
            return Ok(0);
        }
        at += 4;
        u32_at(tfhd, at - 4)
    };
    let (duration, size) = (default(8)?, default(0x10)?);
    let tfdt = find(traf, &[b"tfdt"])?;
    let base = match tfdt.first() {
        Some(1) => u64::from_be_bytes(tfdt.get(4..12).context("tfdt")?.try_into()?),
        _ => u64::from(u32_at(tfdt, 4)?),
    };
    let mut fragment = Fragment { base, samples: Vec::new() };
    for (kind, trun) in boxes(traf)? {
        if kind == *b"trun" {
            run(trun, duration, size, &mut fragment.samples)?;
        }
    }
    let payload: u64 = fragment.samples.iter().map(|s| u64::from(s.1)).sum();
    let mdat: u64 = boxes(segment)?.iter().filter(|(k, _)| k == b"mdat").map(|(_, p)| p.len() as u64).sum();
    ensure!(payload == mdat, "samples are {payload} bytes, mdat holds {mdat}");
    Ok(fragment)
}

fn run(trun: &[u8], duration: u32, size: u32, samples: &mut Vec<(u32, u32, i32)>) -> Result<()> {
    let flags = u32_at(trun, 0)? & 0xff_ffff;
    let count = u32_at(trun, 4)?;
    let mut at = 8 + if flags & 1 != 0 { 4 } else { 0 } + if flags & 4 != 0 { 4 } else { 0 };
    for _ in 0..count {
        let mut field = |bit: u32, default: u32| -> Result<u32> {
            if flags & bit == 0 {
                return Ok(default);
            }
            at += 4;
            u32_at(trun, at - 4)
        };
        let (duration, size) = (field(0x100, duration)?, field(0x200, size)?);
        field(0x400, 0)?;
        let offset = field(0x800, 0)?;
        if trun.first() == Some(&0) && offset > 1 << 31 {
            bail!("a composition offset of {offset} in a version 0 trun");
        }
        samples.push((duration, size, i32::from_be_bytes(offset.to_be_bytes())));
    }
    Ok(())
}

fn u32_at(data: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_be_bytes(
        data.get(at..at + 4).with_context(|| format!("box ends before byte {at}"))?.try_into()?,
    ))
}
