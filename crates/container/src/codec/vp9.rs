//! VP9: `vpcC` (VP Codec ISO Media File Format Binding), WebM's private data, and the uncompressed header of a key
//! frame (VP9 bitstream specification §6.2), which is where WebM files state it all. VP8's one bit is here too.

use bytes::Bytes;

use super::{
    RandomAccess,
    bits::{BitReader, broken},
};
use crate::{ColorInfo, ContainerError, VideoInfo};

const UNSPECIFIED: u8 = 2;
const CHROMA_420_COLOCATED: u8 = 1;

/// What a `vpcC` says; unknown until [`complete_from_frame`](Self::complete_from_frame) where a file has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vp9Config {
    facts: Option<Facts>,
    /// Level that a file states beside an otherwise unknown configuration.
    stated_level: Option<u8>,
    size: Option<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    profile: u8,
    /// Ten times the level; 0 is unknown.
    level: u8,
    bit_depth: u8,
    /// 0 and 1: 4:2:0, 2: 4:2:2, 3: 4:4:4.
    chroma: u8,
    color: ColorInfo,
}

impl Vp9Config {
    /// From the payload of `vpcC`, with or without version and flags before it.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        // Without them, byte 2 holds the bit depth and is not zero.
        let base = if record.starts_with(&[1, 0, 0, 0]) { 4 } else { 0 };
        let Some(&[profile, level, depths, primaries, transfer, matrix]) =
            record.get(base..).and_then(|body| body.first_chunk())
        else {
            return Err(broken(0, format!("a vpcC of {} bytes", record.len())));
        };
        let bit_depth = depths >> 4;
        if profile > 3 || !matches!(bit_depth, 8 | 10 | 12) {
            return Err(broken(base, format!("VP9 profile {profile} with {bit_depth} bits")));
        }
        let color = ColorInfo { primaries, transfer, matrix, full_range: depths & 1 == 1 };
        let facts = Facts { profile, level, bit_depth, chroma: (depths >> 1) & 7, color };
        Ok(Self { facts: Some(facts), stated_level: None, size: None })
    }

    /// From WebM's private data: features of an id, a length of one and a value. Usually absent; of what it states,
    /// the level is all that a key frame does not.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record.
    pub fn from_webm_private(private: &Bytes) -> Result<Self, ContainerError> {
        const LEVEL: u8 = 2;
        let mut config = Self::default();
        for (index, feature) in private.chunks(3).enumerate() {
            match *feature {
                [LEVEL, 1, level] => config.stated_level = Some(level),
                [_, 1, _] => {}
                _ => return Err(broken(index * 3, "a VP9 feature that is not one byte long")),
            }
        }
        Ok(config)
    }

    /// The payload of `vpcC`, without version and flags.
    #[must_use]
    pub fn record(&self) -> Bytes {
        let Facts { profile, level, bit_depth, chroma, color } = self.facts_or_usual();
        let depths = (bit_depth << 4) | (chroma << 1) | u8::from(color.full_range);
        Bytes::copy_from_slice(&[profile, level, depths, color.primaries, color.transfer, color.matrix, 0, 0])
    }

    fn facts_or_usual(&self) -> Facts {
        const UNKNOWN: ColorInfo = ColorInfo {
            primaries: UNSPECIFIED,
            transfer: UNSPECIFIED,
            matrix: UNSPECIFIED,
            full_range: false,
        };
        self.facts.unwrap_or(Facts {
            profile: 0,
            level: 0,
            bit_depth: 8,
            chroma: CHROMA_420_COLOCATED,
            color: UNKNOWN,
        })
    }

    /// Whether profile, depth and colour are known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.facts.is_some()
    }

    /// Reads the uncompressed header of a key frame.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when it is none, with the offset in the frame.
    pub fn complete_from_frame(&mut self, frame: &[u8]) -> Result<(), ContainerError> {
        let (mut facts, (width, height)) = key_frame(frame)?;
        facts.level = self.stated_level.unwrap_or_else(|| level_of(width, height));
        self.facts = Some(facts);
        self.size = Some((width, height));
        Ok(())
    }

    /// `vp09.PP.LL.DD`, with chroma and colour where they are not 4:2:0 and BT.709.
    #[must_use]
    pub fn rfc6381(&self) -> Option<String> {
        const LEVEL_1: u8 = 10;
        let Facts { profile, level, bit_depth, chroma, color } = self.facts?;
        // Level 0 is no level; players refuse it.
        let level = level.max(LEVEL_1);
        let mut codec = format!("vp09.{profile:02}.{level:02}.{bit_depth:02}");
        let colored = [color.primaries, color.transfer, color.matrix];
        if chroma > 1 || color.full_range || colored.iter().any(|&c| c != 1 && c != UNSPECIFIED) {
            let [primaries, transfer, matrix] = colored;
            let range = u8::from(color.full_range);
            codec.push_str(&format!(".{chroma:02}.{primaries:02}.{transfer:02}.{matrix:02}.{range:02}"));
        }
        Some(codec)
    }

    /// Bits of a sample.
    #[must_use]
    pub fn bit_depth(&self) -> Option<u8> {
        self.facts.map(|facts| facts.bit_depth)
    }

    /// Colour, and the size where a frame was seen.
    pub fn fill_video(&self, info: &mut VideoInfo) {
        if let Some((width, height)) = self.size {
            (info.width, info.height) = (width, height);
        }
        super::fill_color(info, self.facts.map(|facts| facts.color));
    }

    /// By the uncompressed header of the first frame in the sample.
    #[must_use]
    pub fn random_access(sample: &[u8]) -> RandomAccess {
        match is_key_frame(&mut BitReader::new(sample, 0, "a VP9 frame header")) {
            Ok(Some(_)) => RandomAccess::Clean,
            Ok(None) => RandomAccess::No,
            Err(_) => RandomAccess::Unknown,
        }
    }
}

/// By the first bit of the frame tag (RFC 6386 §9.1).
pub(super) fn vp8_random_access(sample: &[u8]) -> RandomAccess {
    match sample.first() {
        Some(tag) if tag & 1 == 0 => RandomAccess::Clean,
        Some(_) => RandomAccess::No,
        None => RandomAccess::Unknown,
    }
}

/// The profile, if this is a key frame.
fn is_key_frame(r: &mut BitReader<'_>) -> Result<Option<u8>, ContainerError> {
    if r.bits(2)? != 2 {
        return Err(r.broken("no VP9 frame marker"));
    }
    let profile = r.byte(1)? | (r.byte(1)? << 1);
    if profile == 3 {
        r.skip(1)?;
    }
    let shows_existing = r.flag()?;
    Ok((!shows_existing && !r.flag()?).then_some(profile))
}

/// `uncompressed_header()` to the end of `frame_size()`.
fn key_frame(frame: &[u8]) -> Result<(Facts, (u32, u32)), ContainerError> {
    const SYNC_CODE: u32 = 0x49_83_42;
    const RGB: usize = 7;
    /// Primaries, transfer and matrix for each `color_space`.
    const COLORS: [[u8; 3]; 8] =
        [[2; 3], [6; 3], [1; 3], [6; 3], [7; 3], [9, UNSPECIFIED, 9], [2; 3], [1, 13, 0]];
    let mut r = BitReader::new(frame, 0, "a VP9 frame header");
    let Some(profile) = is_key_frame(&mut r)? else {
        return Err(r.broken("the first VP9 frame is not a key frame"));
    };
    r.skip(2)?;
    if r.bits(24)? != SYNC_CODE {
        return Err(r.broken("no VP9 sync code"));
    }
    let bit_depth = match profile {
        0 | 1 => 8,
        _ if r.flag()? => 12,
        _ => 10,
    };
    let space = usize::from(r.byte(3)?);
    let has_chroma_fields = profile & 1 == 1;
    let (mut full_range, mut chroma) = (true, 3);
    if space == RGB {
        r.skip(u32::from(has_chroma_fields))?;
    } else {
        full_range = r.flag()?;
        chroma = CHROMA_420_COLOCATED;
        if has_chroma_fields {
            chroma = match r.byte(2)? {
                0b00 => 3,
                0b10 => 2,
                // 4:4:0 has no number of its own.
                _ => CHROMA_420_COLOCATED,
            };
            r.skip(1)?;
        }
    }
    let size = (1 + r.bits(16)?, 1 + r.bits(16)?);
    let [primaries, transfer, matrix] = COLORS.get(space).copied().unwrap_or([UNSPECIFIED; 3]);
    let color = ColorInfo { primaries, transfer, matrix, full_range };
    Ok((Facts { profile, level: 0, bit_depth, chroma, color }, size))
}

/// The lowest level whose largest picture this is at 30 frames a second (VP9 levels, annex A).
fn level_of(width: u32, height: u32) -> u8 {
    const LEVELS: [(u8, u64, u32); 12] = [
        (10, 36_864, 512),
        (11, 73_728, 768),
        (20, 122_880, 960),
        (21, 245_760, 1_344),
        (30, 552_960, 2_048),
        (31, 983_040, 2_752),
        (40, 2_228_224, 4_160),
        (41, 2_228_224, 4_160),
        (50, 8_912_896, 8_384),
        (51, 8_912_896, 8_384),
        (52, 8_912_896, 8_384),
        (60, 35_651_584, 16_832),
    ];
    let pixels = u64::from(width) * u64::from(height);
    let fits = |&&(_, area, side): &&(u8, u64, u32)| pixels <= area && width.max(height) <= side;
    LEVELS.iter().find(fits).map_or(62, |&(level, ..)| level)
}
