//! HEVC: `hvcC` (ISO/IEC 14496-15 §8.3.2.1), the sequence parameter set (ISO/IEC 23008-2 §7.3.2.2, annex E) and what a
//! sample's first slice says about starting at it.

use bytes::Bytes;

use super::{
    Leading, RandomAccess,
    bits::{BitReader, broken},
    nal::{self, NalUnits},
};
use crate::{ColorInfo, ContainerError, Rational, VideoInfo};

const NAL_VPS: u8 = 32;
const NAL_SPS: u8 = 33;
const NAL_PPS: u8 = 34;
/// Bytes of `hvcC` before its arrays, and of the general profile, tier and level in it.
const HEADER_BYTES: usize = 23;
const PROFILE_BYTES: usize = 12;
/// Parameter sets kept. A stream may hold 16 VPS, 16 SPS and 64 PPS.
const SETS_MAX: usize = 256;

/// An `hvcC` record, with the facts of its first sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HevcConfig {
    record: Bytes,
    /// `general_profile_space` to `general_level_idc`, as the record has them.
    profile: [u8; PROFILE_BYTES],
    nal_length_size: u8,
    bit_depth: u8,
    frame_rate: Option<Rational>,
    sets: Vec<Bytes>,
    sps: Option<Sps>,
}

/// What is used of a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sps {
    profile: [u8; PROFILE_BYTES],
    sub_layers: u8,
    nested: bool,
    chroma_format: u8,
    bit_depth: [u8; 2],
    width: u32,
    height: u32,
    reorder_pictures: u32,
    vui: Vui,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Vui {
    pixel_aspect: Option<Rational>,
    color: Option<ColorInfo>,
    frame_rate: Option<Rational>,
    fields: bool,
}

impl HevcConfig {
    /// From the payload of `hvcC`, which is also Matroska's private data.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record; a broken VUI is not an error.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        let Some(head) = record.first_chunk::<HEADER_BYTES>() else {
            return Err(broken(0, format!("an hvcC of {} bytes", record.len())));
        };
        // Version 0 was written while the standard was a draft, with the same fields.
        if head[0] > 1 {
            return Err(broken(0, format!("hvcC version {}", head[0])));
        }
        let mut profile = [0; PROFILE_BYTES];
        profile.copy_from_slice(&head[1..=PROFILE_BYTES]);
        let nal_length_size = (head[21] & 3) + 1;
        if nal_length_size == 3 {
            return Err(broken(21, "NAL unit lengths of 3 bytes"));
        }
        let is_constant = head[21] >> 6 == 1;
        let rate = u16::from_be_bytes([head[19], head[20]]);
        let frame_rate = nal::frame_rate(rate.into(), 256).filter(|_| is_constant);
        let (mut sets, mut sps, mut at) = (Vec::new(), None, HEADER_BYTES);
        for _ in 0..head[22] {
            let Some(&[_, high, low]) = record.get(at..).and_then(|rest| rest.first_chunk::<3>()) else {
                return Err(broken(at, "the record ends before an array of parameter sets"));
            };
            at += 3;
            for _ in 0..u16::from_be_bytes([high, low]) {
                let set = nal::take_parameter_set(record, &mut at)?;
                if sets.len() >= SETS_MAX {
                    return Err(broken(at, format!("more than {SETS_MAX} parameter sets")));
                }
                if sps.is_none() && nal_type(&set) == Some(NAL_SPS) {
                    sps = Some(Sps::parse(&set, at - set.len())?);
                }
                if matches!(nal_type(&set), Some(NAL_VPS..=NAL_PPS)) {
                    sets.push(set);
                }
            }
        }
        // The order they have to be sent in.
        sets.sort_by_key(|set| nal_type(set));
        // Old muxers left the profile out.
        if let (0, Some(sps)) = (profile[0] & 0x1f, &sps) {
            profile = sps.profile;
        }
        let bit_depth = 8 + (head[17] & 7);
        Ok(Self { record: record.clone(), profile, nal_length_size, bit_depth, frame_rate, sets, sps })
    }

    /// The payload of `hvcC`.
    #[must_use]
    pub fn record(&self) -> Bytes {
        self.record.clone()
    }

    /// Takes the parameter sets out of a key frame, for records that have none.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when its parameter set cannot be read. A frame without any is no error.
    pub fn complete_from_frame(&mut self, frame: &[u8]) -> Result<(), ContainerError> {
        let found = |kind| {
            let units = NalUnits::new(frame, self.nal_length_size);
            units.filter(move |n| nal_type(n) == Some(kind)).take(SETS_MAX / 4).collect::<Vec<_>>()
        };
        let arrays = [NAL_VPS, NAL_SPS, NAL_PPS].map(|kind| (kind, found(kind)));
        let Some(first) = arrays[1].1.first() else { return Ok(()) };
        let facts = Sps::parse(first, 0)?;
        let mut record = vec![1];
        record.extend(facts.profile);
        let [luma, chroma] = facts.bit_depth.map(|depth| 0xf8 | (depth - 8));
        // Segmentation, parallelism and average frame rate are not known.
        record.extend([0xf0, 0, 0xfc, 0xfc | facts.chroma_format, luma, chroma, 0, 0]);
        record.push((facts.sub_layers << 3) | (u8::from(facts.nested) << 2) | (self.nal_length_size - 1));
        record.push(u8::try_from(arrays.len()).unwrap_or(0));
        for (kind, sets) in arrays {
            record.push(0x80 | kind);
            record.extend(u16::try_from(sets.len()).unwrap_or(0).to_be_bytes());
            for set in sets {
                nal::put_parameter_set(&mut record, set)?;
            }
        }
        *self = Self::parse(&record.into())?;
        Ok(())
    }

    /// Whether the record holds VPS, SPS and PPS. Without, they are in the samples (`hev1`) and `hvc1` cannot be said.
    #[must_use]
    pub fn has_parameter_sets(&self) -> bool {
        [NAL_VPS, NAL_SPS, NAL_PPS].iter().all(|&kind| self.sets.iter().any(|n| nal_type(n) == Some(kind)))
    }

    /// Video, sequence, then picture parameter sets. SEI messages that the record may hold are not among them.
    pub fn parameter_sets(&self) -> std::slice::Iter<'_, Bytes> {
        self.sets.iter()
    }

    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    #[must_use]
    pub fn nal_length_size(&self) -> u8 {
        self.nal_length_size
    }

    /// `hvc1.A.B.Lc.…` (ISO/IEC 14496-15 annex E).
    #[must_use]
    pub fn rfc6381(&self) -> String {
        let [head, c0, c1, c2, c3, constraints @ .., level] = self.profile;
        let space = ["", "A", "B", "C"][usize::from(head >> 6)];
        let tier = if head & 0x20 == 0 { 'L' } else { 'H' };
        let profile = head & 0x1f;
        // Compatibility flag 0 is the record's first bit and the string's lowest.
        let compatible = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
        let mut codec = format!("hvc1.{space}{profile}.{compatible:X}.{tier}{level}");
        let stated = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for byte in constraints.iter().take(stated) {
            codec.push_str(&format!(".{byte:X}"));
        }
        codec
    }

    /// `general_profile_idc`: 1 is Main, 2 is Main 10.
    #[must_use]
    pub fn profile(&self) -> u8 {
        self.profile[0] & 0x1f
    }

    /// `general_level_idc`: thirty times the level.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.profile[PROFILE_BYTES - 1]
    }

    /// Bits of a luma sample.
    #[must_use]
    pub fn bit_depth(&self) -> u8 {
        self.sps.as_ref().map_or(self.bit_depth, |sps| sps.bit_depth[0])
    }

    /// `sps_max_num_reorder_pics` of the highest sub-layer.
    #[must_use]
    pub fn reorder_frames(&self) -> Option<u32> {
        self.sps.as_ref().map(|sps| sps.reorder_pictures)
    }

    /// Size, and where the container left them open: pixel shape, colour, frame rate.
    pub fn fill_video(&self, info: &mut VideoInfo) {
        let Some(sps) = &self.sps else { return };
        (info.width, info.height) = (sps.width, sps.height);
        info.pixel_aspect = info.pixel_aspect.or(sps.vui.pixel_aspect);
        info.frame_rate = info.frame_rate.or(sps.vui.frame_rate).or(self.frame_rate);
        super::fill_color(info, sps.vui.color);
        info.interlaced |= sps.vui.fields;
    }

    /// By the type of the first slice in the base layer.
    #[must_use]
    pub fn random_access(&self, sample: &[u8]) -> RandomAccess {
        match self.slice_type(sample) {
            // BLA_W_LP to BLA_N_LP, IDR_W_RADL, IDR_N_LP.
            Some(16..=20) => RandomAccess::Clean,
            Some(21) => RandomAccess::OpenGop,
            Some(0..=15) => RandomAccess::No,
            _ => RandomAccess::Unknown,
        }
    }

    /// By the type of the first slice in the base layer.
    #[must_use]
    pub fn leading(&self, sample: &[u8]) -> Leading {
        match self.slice_type(sample) {
            Some(6 | 7) => Leading::Decodable,
            Some(8 | 9) => Leading::Skipped,
            Some(_) => Leading::No,
            None => Leading::Unknown,
        }
    }

    fn slice_type(&self, sample: &[u8]) -> Option<u8> {
        NalUnits::new(sample, self.nal_length_size)
            .filter(|unit| unit.get(1).is_some_and(|low| (unit[0] & 1) == 0 && low >> 3 == 0))
            .filter_map(nal_type)
            .find(|&kind| kind < NAL_VPS)
    }
}

fn nal_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|b| (b >> 1) & 0x3f)
}

impl Sps {
    /// `unit` with its NAL header, `base` bytes into the record.
    fn parse(unit: &[u8], base: usize) -> Result<Self, ContainerError> {
        let mut r = BitReader::nal(unit, base, "a sequence parameter set");
        r.skip(16 + 4)?;
        let sub_layers_less_1 = r.byte(3)?;
        if sub_layers_less_1 > 6 {
            return Err(r.broken("8 sub-layers, at most 7 are allowed"));
        }
        let nested = r.flag()?;
        let profile = profile_tier_level(&mut r, sub_layers_less_1)?;
        r.ue_max(15, "sps_seq_parameter_set_id")?;
        let chroma_format = r.ue_byte(3, "chroma_format_idc")?;
        let planes_apart = chroma_format == 3 && r.flag()?;
        let mut width = r.ue_max(SIDE_MAX, "pic_width_in_luma_samples")?;
        let mut height = r.ue_max(SIDE_MAX, "pic_height_in_luma_samples")?;
        if r.flag()? {
            let unit_x = if matches!(chroma_format, 1 | 2) && !planes_apart { 2 } else { 1 };
            let unit_y = if chroma_format == 1 { 2 } else { 1 };
            width = nal::cropped(&mut r, width, unit_x)?;
            height = nal::cropped(&mut r, height, unit_y)?;
        }
        let bit_depth = [8 + r.ue_byte(8, "bit_depth_luma")?, 8 + r.ue_byte(8, "bit_depth_chroma")?];
        let poc_bits = 4 + r.ue_byte(12, "log2_max_pic_order_cnt_lsb")?;
        let orderings = if r.flag()? { 1 + sub_layers_less_1 } else { 1 };
        let mut reorder_pictures = 0;
        for _ in 0..orderings {
            r.ue()?;
            reorder_pictures = r.ue_max(16, "sps_max_num_reorder_pics")?;
            r.ue()?;
        }
        let mut vui = Vui::default();
        // What is left is not needed to cut or to decode here; what was read before any damage stands.
        let _ = vui.read(&mut r, poc_bits);
        let sub_layers = sub_layers_less_1 + 1;
        Ok(Self {
            profile,
            sub_layers,
            nested,
            chroma_format,
            bit_depth,
            width,
            height,
            reorder_pictures,
            vui,
        })
    }
}

/// Pixels along one side: the most that level 6.2 and 16-bit fields of a sample entry allow.
const SIDE_MAX: u32 = 65_535;

/// `profile_tier_level()` (§7.3.3): the general part, laid out as in `hvcC`.
fn profile_tier_level(
    r: &mut BitReader<'_>,
    sub_layers_less_1: u8,
) -> Result<[u8; PROFILE_BYTES], ContainerError> {
    let mut general = [0; PROFILE_BYTES];
    for byte in &mut general {
        *byte = r.byte(8)?;
    }
    if sub_layers_less_1 > 0 {
        let present = r.bits(16)?;
        for layer in 0..sub_layers_less_1 {
            let flags = present >> (14 - 2 * layer);
            r.skip(if flags & 2 == 0 { 0 } else { 88 } + if flags & 1 == 0 { 0 } else { 8 })?;
        }
    }
    Ok(general)
}

impl Vui {
    /// From `log2_min_luma_coding_block_size` to the timing in `vui_parameters()`.
    fn read(&mut self, r: &mut BitReader<'_>, poc_bits: u8) -> Result<(), ContainerError> {
        for _ in 0..6 {
            r.ue()?;
        }
        if r.flag()? && r.flag()? {
            skip_scaling_lists(r)?;
        }
        r.skip(2)?;
        if r.flag()? {
            r.skip(8)?;
            r.skip_ue(2)?;
            r.skip(1)?;
        }
        skip_reference_sets(r)?;
        if r.flag()? {
            for _ in 0..r.ue_max(32, "num_long_term_ref_pics_sps")? {
                r.skip(u32::from(poc_bits) + 1)?;
            }
        }
        r.skip(2)?;
        if !r.flag()? {
            return Ok(());
        }
        if r.flag()? {
            self.pixel_aspect = nal::aspect_ratio(r)?;
        }
        if r.flag()? {
            r.skip(1)?;
        }
        self.color = nal::video_signal(r)?;
        if r.flag()? {
            r.skip_ue(2)?;
        }
        r.skip(1)?;
        self.fields = r.flag()?;
        r.skip(1)?;
        if r.flag()? {
            r.skip_ue(4)?;
        }
        if r.flag()? {
            let (tick, scale) = (r.bits(32)?, r.bits(32)?);
            self.frame_rate = nal::frame_rate(scale, tick.into());
        }
        Ok(())
    }
}

/// `scaling_list_data()` (§7.3.4).
fn skip_scaling_lists(r: &mut BitReader<'_>) -> Result<(), ContainerError> {
    for size in 0..4_u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !r.flag()? {
                r.ue()?;
                continue;
            }
            let coefficients = (1_u32 << (4 + 2 * size)).min(64) + u32::from(size > 1);
            for _ in 0..coefficients {
                r.se()?;
            }
        }
    }
    Ok(())
}

/// Every `st_ref_pic_set()` (§7.3.7).
fn skip_reference_sets(r: &mut BitReader<'_>) -> Result<(), ContainerError> {
    let mut pictures = 0_u32;
    for set in 0..r.ue_max(64, "num_short_term_ref_pic_sets")? {
        if set > 0 && r.flag()? {
            r.skip(1)?;
            r.ue()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                // used_by_curr_pic_flag, or else use_delta_flag
                if r.flag()? || r.flag()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            let negative = r.ue_max(16, "num_negative_pics")?;
            pictures = negative + r.ue_max(16, "num_positive_pics")?;
            for _ in 0..pictures {
                r.ue()?;
                r.skip(1)?;
            }
        }
    }
    Ok(())
}
