//! AV1: `av1C` (AV1 Codec ISO Media File Format Binding §2.3), the sequence header OBU (AV1 bitstream specification
//! §5.5) and what a sample's first frame header says about starting at it.

use bytes::Bytes;

use super::{
    RandomAccess,
    bits::{BitReader, broken},
};
use crate::{ColorInfo, ContainerError, Rational, VideoInfo};

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;
/// OBUs of a sample that are looked at: the first frame header follows a few at most.
const OBUS_MAX: usize = 64;
const UNSPECIFIED: u8 = 2;

/// An `av1C` record with the facts of its sequence header; empty until
/// [`complete_from_frame`](Self::complete_from_frame) where a file has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Av1Config {
    record: Bytes,
    head: Option<Head>,
    sequence: Option<Sequence>,
}

/// What `av1C` says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    profile: u8,
    level: u8,
    high_tier: bool,
    bit_depth: u8,
    mono: bool,
    /// Horizontal and vertical subsampling, and the position of chroma samples.
    chroma: [u8; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sequence {
    head: Head,
    reduced: bool,
    width: u32,
    height: u32,
    frame_rate: Option<Rational>,
    color: Option<ColorInfo>,
}

impl Av1Config {
    /// From the payload of `av1C`, which is also Matroska's private data.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record; a broken sequence header is an error too.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        let Some(&[marker, levels, flags, _]) = record.first_chunk::<4>() else {
            return Err(broken(0, format!("an av1C of {} bytes", record.len())));
        };
        if marker != 0x81 {
            return Err(broken(0, format!("av1C marker and version {marker:#04x}")));
        }
        let bit_depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        let head = Head {
            profile: levels >> 5,
            level: levels & 0x1f,
            high_tier: flags & 0x80 != 0,
            bit_depth,
            mono: flags & 0x10 != 0,
            chroma: [(flags >> 3) & 1, (flags >> 2) & 1, flags & 3],
        };
        let sequence = Obus::new(&record[4..])
            .find(|obu| obu.kind == OBU_SEQUENCE_HEADER)
            .map(|obu| Sequence::parse(obu.payload, 4 + obu.offset))
            .transpose()?;
        Ok(Self { record: record.clone(), head: Some(head), sequence })
    }

    /// The payload of `av1C`.
    #[must_use]
    pub fn record(&self) -> Bytes {
        self.record.clone()
    }

    /// Whether there is a record.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.head.is_some()
    }

    /// Makes the record from the sequence header of a key frame's sample.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when there is none or it cannot be read, with the offset in the sample.
    pub fn complete_from_frame(&mut self, sample: &[u8]) -> Result<(), ContainerError> {
        let obu = Obus::new(sample)
            .find(|obu| obu.kind == OBU_SEQUENCE_HEADER)
            .ok_or_else(|| broken(0, "the first AV1 sample has no sequence header"))?;
        let Head { profile, level, high_tier, bit_depth, mono, chroma: [x, y, position] } =
            Sequence::parse(obu.payload, obu.offset)?.head;
        let flags = [high_tier, bit_depth > 8, bit_depth == 12, mono];
        let flags = flags.iter().fold(0, |bits, &flag| (bits << 1) | u8::from(flag));
        let mut record = vec![0x81, (profile << 5) | level, (flags << 4) | (x << 3) | (y << 2) | position, 0];
        record.push((OBU_SEQUENCE_HEADER << 3) | 2);
        let mut len = obu.payload.len();
        while len > 0x7f {
            record.push(u8::try_from(len & 0x7f).unwrap_or(0) | 0x80);
            len >>= 7;
        }
        record.push(u8::try_from(len).unwrap_or(0));
        record.extend(obu.payload);
        *self = Self::parse(&record.into())?;
        Ok(())
    }

    /// `av01.P.LLT.DD`, with chroma and colour where they are not 4:2:0 and BT.709.
    #[must_use]
    pub fn rfc6381(&self) -> Option<String> {
        const USUAL: [u8; 3] = [1, 1, 1];
        let Head { profile, level, high_tier, bit_depth, mono, chroma: [x, y, position] } = self.head?;
        let tier = if high_tier { 'H' } else { 'M' };
        let mut codec = format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}");
        let color = self.sequence.and_then(|sequence| sequence.color);
        let known = color.filter(|c| {
            c.full_range || [c.primaries, c.transfer, c.matrix].iter().any(|&n| n != UNSPECIFIED && n != 1)
        });
        if known.is_some() || mono || [x, y] != [1, 1] {
            let mono = u8::from(mono);
            let [primaries, transfer, matrix] = color.map_or(USUAL, |c| [c.primaries, c.transfer, c.matrix]);
            let range = u8::from(color.is_some_and(|c| c.full_range));
            let position = if [x, y] == [1, 1] { position } else { 0 };
            codec.push_str(&format!(
                ".{mono}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{range}"
            ));
        }
        Some(codec)
    }

    /// Bits of a sample.
    #[must_use]
    pub fn bit_depth(&self) -> Option<u8> {
        self.head.map(|head| head.bit_depth)
    }

    /// Size, and where the container left them open: colour, frame rate.
    pub fn fill_video(&self, info: &mut VideoInfo) {
        let Some(sequence) = self.sequence else { return };
        (info.width, info.height) = (sequence.width, sequence.height);
        info.frame_rate = info.frame_rate.or(sequence.frame_rate);
        super::fill_color(info, sequence.color);
    }

    /// By the first frame header: a key frame that is shown, one that is shown later, or neither.
    #[must_use]
    pub fn random_access(&self, sample: &[u8]) -> RandomAccess {
        const KEY_FRAME: u32 = 0;
        let mut reduced = self.sequence.is_some_and(|sequence| sequence.reduced);
        for obu in Obus::new(sample) {
            match obu.kind {
                OBU_SEQUENCE_HEADER => {
                    if let Ok(sequence) = Sequence::parse(obu.payload, obu.offset) {
                        reduced = sequence.reduced;
                    }
                }
                OBU_FRAME | OBU_FRAME_HEADER if reduced => return RandomAccess::Clean,
                OBU_FRAME | OBU_FRAME_HEADER => {
                    let mut r = BitReader::new(obu.payload, obu.offset, "an AV1 frame header");
                    let mut header = || Ok::<_, ContainerError>((r.flag()?, r.bits(2)?, r.flag()?));
                    return match header() {
                        Ok((false, KEY_FRAME, true)) => RandomAccess::Clean,
                        Ok((false, KEY_FRAME, false)) => RandomAccess::RecoveryPoint,
                        Ok(_) => RandomAccess::No,
                        Err(_) => RandomAccess::Unknown,
                    };
                }
                _ => {}
            }
        }
        RandomAccess::Unknown
    }
}

struct Obu<'a> {
    kind: u8,
    payload: &'a [u8],
    /// Of the payload in the sample.
    offset: usize,
}

/// OBUs with sizes (low-overhead bitstream format, §5.2). The last may be cut short.
struct Obus<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: usize,
}

impl<'a> Obus<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, budget: OBUS_MAX }
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Obu<'a>;

    fn next(&mut self) -> Option<Obu<'a>> {
        const LEB128_BYTES_MAX: usize = 8;
        self.budget = self.budget.checked_sub(1)?;
        let header = *self.bytes.get(self.at)?;
        let (extended, sized) = (header & 4 != 0, header & 2 != 0);
        let mut start = self.at + 1 + usize::from(extended);
        let mut len = self.bytes.len().checked_sub(start)?;
        if sized {
            let mut stated = 0_u64;
            for index in 0..LEB128_BYTES_MAX {
                let byte = *self.bytes.get(start)?;
                start += 1;
                stated |= u64::from(byte & 0x7f) << (7 * index);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            len = usize::try_from(stated).unwrap_or(usize::MAX);
        }
        let end = start.saturating_add(len).min(self.bytes.len());
        self.at = end;
        Some(Obu { kind: (header >> 3) & 0xf, payload: self.bytes.get(start..end)?, offset: start })
    }
}

impl Sequence {
    /// `sequence_header_obu()`.
    fn parse(payload: &[u8], base: usize) -> Result<Self, ContainerError> {
        const SELECT: u32 = 2;
        let mut r = BitReader::new(payload, base, "an AV1 sequence header");
        let profile = r.byte(3)?;
        if profile > 2 {
            return Err(r.broken(format!("AV1 profile {profile}")));
        }
        r.skip(1)?;
        let reduced = r.flag()?;
        let (mut frame_rate, mut level, mut high_tier) = (None, 0, false);
        if reduced {
            level = r.byte(5)?;
        } else {
            let mut delay_bits = None;
            if r.flag()? {
                let (ticks, scale, equal) = (r.bits(32)?, r.bits(32)?, r.flag()?);
                if equal {
                    let ticks = u64::from(ticks).saturating_mul(u64::from(r.ue()?) + 1);
                    frame_rate = super::nal::frame_rate(scale, ticks);
                }
                if r.flag()? {
                    delay_bits = Some(1 + r.byte(5)?);
                    r.skip(32 + 5 + 5)?;
                }
            }
            let states_delay = r.flag()?;
            for point in 0..=r.bits(5)? {
                r.skip(12)?;
                let point_level = r.byte(5)?;
                let point_tier = point_level > 7 && r.flag()?;
                if point == 0 {
                    (level, high_tier) = (point_level, point_tier);
                }
                if let Some(bits) = delay_bits
                    && r.flag()?
                {
                    r.skip(2 * u32::from(bits) + 1)?;
                }
                if states_delay && r.flag()? {
                    r.skip(4)?;
                }
            }
        }
        let (width_bits, height_bits) = (1 + r.byte(4)?, 1 + r.byte(4)?);
        let (width, height) = (1 + r.bits(width_bits)?, 1 + r.bits(height_bits)?);
        if !reduced && r.flag()? {
            r.skip(4 + 3)?;
        }
        r.skip(3)?;
        if !reduced {
            r.skip(4)?;
            let orders = r.flag()?;
            r.skip(if orders { 2 } else { 0 })?;
            let screen = if r.flag()? { SELECT } else { r.bits(1)? };
            if screen > 0 && !r.flag()? {
                r.skip(1)?;
            }
            r.skip(if orders { 3 } else { 0 })?;
        }
        r.skip(3)?;
        let (bit_depth, mono, chroma, color) = color_config(&mut r, profile)?;
        let head = Head { profile, level, high_tier, bit_depth, mono, chroma };
        Ok(Self { head, reduced, width, height, frame_rate, color })
    }
}

type Color = (u8, bool, [u8; 3], Option<ColorInfo>);

/// `color_config()` (§5.5.2).
fn color_config(r: &mut BitReader<'_>, profile: u8) -> Result<Color, ContainerError> {
    const SRGB: [u8; 3] = [1, 13, 0];
    let high = r.flag()?;
    let bit_depth = match (high, profile == 2) {
        (false, _) => 8,
        (true, true) if r.flag()? => 12,
        (true, _) => 10,
    };
    let mono = profile != 1 && r.flag()?;
    let stated = r.flag()?;
    let described = if stated { [r.byte(8)?, r.byte(8)?, r.byte(8)?] } else { [UNSPECIFIED; 3] };
    let (full_range, chroma) = if mono {
        (r.flag()?, [1, 1, 0])
    } else if described == SRGB {
        (true, [0, 0, 0])
    } else {
        let full_range = r.flag()?;
        let [x, y] = match profile {
            0 => [1, 1],
            1 => [0, 0],
            _ if bit_depth == 12 => {
                let x = r.byte(1)?;
                [x, if x == 1 { r.byte(1)? } else { 0 }]
            }
            _ => [1, 0],
        };
        (full_range, [x, y, if [x, y] == [1, 1] { r.byte(2)? } else { 0 }])
    };
    let [primaries, transfer, matrix] = described;
    let color = ColorInfo { primaries, transfer, matrix, full_range };
    Ok((bit_depth, mono, chroma, (stated || full_range).then_some(color)))
}
