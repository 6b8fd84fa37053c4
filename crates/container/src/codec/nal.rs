//! What H.264 and HEVC share: length-prefixed NAL units, the aspect ratio table and the colour description of the VUI.

use bytes::Bytes;

use super::bits::{BitReader, broken};
use crate::{ColorInfo, ContainerError, Rational};

/// NAL units of a sample that are looked at: what decides comes first, behind parameter sets and SEI messages.
const UNITS_MAX: usize = 512;

/// NAL units of a sample, each with its payload as far as the bytes go. The last may be cut short.
#[derive(Clone, Debug)]
pub(super) struct NalUnits<'a> {
    rest: &'a [u8],
    length_size: usize,
    budget: usize,
}

impl<'a> NalUnits<'a> {
    pub(super) fn new(sample: &'a [u8], length_size: u8) -> Self {
        Self { rest: sample, length_size: usize::from(length_size.clamp(1, 4)), budget: UNITS_MAX }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.budget = self.budget.checked_sub(1)?;
        let (prefix, body) = self.rest.split_at_checked(self.length_size)?;
        let len = prefix.iter().fold(0_usize, |n, &b| (n << 8) | usize::from(b));
        let (nal, rest) = body.split_at(len.min(body.len()));
        self.rest = rest;
        Some(nal)
    }
}

/// Shape of a pixel: `aspect_ratio_idc` and what follows it (ISO/IEC 14496-10 table E-1, 23008-2 table E.1).
pub(super) fn aspect_ratio(r: &mut BitReader<'_>) -> Result<Option<Rational>, ContainerError> {
    const EXTENDED: u8 = 255;
    const TABLE: [(u32, u32); 16] = [
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    let idc = r.byte(8)?;
    let (num, den) = match idc {
        EXTENDED => (r.bits(16)?, r.bits(16)?),
        1..=16 => TABLE.get(usize::from(idc) - 1).copied().unwrap_or_default(),
        _ => (0, 0),
    };
    Ok((num > 0 && den > 0 && num != den).then_some(Rational { num, den }))
}

/// `video_signal_type_present_flag` and what follows it.
pub(super) fn video_signal(r: &mut BitReader<'_>) -> Result<Option<ColorInfo>, ContainerError> {
    const UNSPECIFIED: u8 = 2;
    if !r.flag()? {
        return Ok(None);
    }
    r.skip(3)?;
    let full_range = r.flag()?;
    if !r.flag()? {
        let color =
            ColorInfo { primaries: UNSPECIFIED, transfer: UNSPECIFIED, matrix: UNSPECIFIED, full_range };
        return Ok(full_range.then_some(color));
    }
    Ok(Some(ColorInfo { primaries: r.byte(8)?, transfer: r.byte(8)?, matrix: r.byte(8)?, full_range }))
}

/// `scale / ticks` frames a second, if that is a rate anything is shown at.
pub(super) fn frame_rate(scale: u32, ticks: u64) -> Option<Rational> {
    const FRAMES_A_SECOND_MAX: u64 = 1_000;
    let divisor = gcd(scale.into(), ticks);
    let (num, den) = (u64::from(scale).checked_div(divisor)?, ticks.checked_div(divisor)?);
    let plausible =
        num > 0 && den > 0 && num <= den.saturating_mul(FRAMES_A_SECOND_MAX) && den <= num.saturating_mul(60);
    plausible.then_some(Rational { num: num.try_into().ok()?, den: den.try_into().ok()? })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A parameter set with its 16-bit length, at `at` of `record`; `at` moves behind it.
pub(super) fn take_parameter_set(record: &Bytes, at: &mut usize) -> Result<Bytes, ContainerError> {
    let ends = || broken(*at, "the record ends inside a parameter set");
    let len = record.get(*at..).and_then(|rest| rest.first_chunk::<2>()).ok_or_else(ends)?;
    let start = *at + 2;
    let end = start + usize::from(u16::from_be_bytes(*len));
    if end > record.len() {
        return Err(ends());
    }
    *at = end;
    Ok(record.slice(start..end))
}

/// Appends a parameter set with its 16-bit length.
pub(super) fn put_parameter_set(record: &mut Vec<u8>, set: &[u8]) -> Result<(), ContainerError> {
    let len = u16::try_from(set.len())
        .map_err(|_| broken(record.len(), format!("a parameter set of {} bytes", set.len())))?;
    record.extend(len.to_be_bytes());
    record.extend(set);
    Ok(())
}

/// `size` less two crop offsets in `unit`s.
pub(super) fn cropped(r: &mut BitReader<'_>, size: u32, unit: u32) -> Result<u32, ContainerError> {
    let crop = (u64::from(r.ue()?) + u64::from(r.ue()?)) * u64::from(unit);
    match u32::try_from(crop) {
        Ok(crop) if crop < size => Ok(size - crop),
        _ => Err(r.broken(format!("{crop} of {size} pixels cropped away"))),
    }
}
