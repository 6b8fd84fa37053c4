//! H.264: `avcC` (ISO/IEC 14496-15 §5.3.3.1), the sequence parameter set (ISO/IEC 14496-10 §7.3.2.1, annex E) and what
//! a sample's NAL units say about starting at it.

use bytes::Bytes;

use super::{
    RandomAccess,
    bits::{BitReader, broken},
    nal::{self, NalUnits},
};
use crate::{ColorInfo, ContainerError, Rational, VideoInfo};

const NAL_SLICE: u8 = 1;
const NAL_PARTITION_A: u8 = 2;
const NAL_IDR: u8 = 5;
const NAL_SEI: u8 = 6;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
/// The count of sequence parameter sets has five bits.
const SPS_COUNT_MAX: usize = 31;

/// An `avcC` record, with the facts of its first sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig {
    record: Bytes,
    /// `AVCProfileIndication`, the constraint flags, `AVCLevelIndication`.
    indication: [u8; 3],
    nal_length_size: u8,
    sets: Vec<Bytes>,
    sps: Option<Sps>,
}

/// What is used of a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sps {
    indication: [u8; 3],
    chroma_format: u8,
    bit_depth: [u8; 2],
    width: u32,
    height: u32,
    frames_only: bool,
    poc_type: u32,
    /// Of a frame.
    macroblocks: u32,
    vui: Vui,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Vui {
    pixel_aspect: Option<Rational>,
    color: Option<ColorInfo>,
    frame_rate: Option<Rational>,
    reorder_frames: Option<u32>,
}

impl AvcConfig {
    /// From the payload of `avcC`, which is also Matroska's private data.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record; a broken VUI is not an error.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        let &[version, profile, constraints, level, length, ..] = record.as_ref() else {
            return Err(broken(0, format!("an avcC of {} bytes", record.len())));
        };
        if version != 1 {
            return Err(broken(0, format!("avcC version {version}")));
        }
        let nal_length_size = (length & 3) + 1;
        if nal_length_size == 3 {
            return Err(broken(4, "NAL unit lengths of 3 bytes"));
        }
        let (mut sets, mut sps, mut at) = (Vec::new(), None, 5);
        for mask in [0x1f, 0xff] {
            // A record may end before its picture parameter sets: they are then in the samples.
            let Some(count) = record.get(at) else { break };
            at += 1;
            for _ in 0..count & mask {
                let set = nal::take_parameter_set(record, &mut at)?;
                if sps.is_none() && nal_type(&set) == Some(NAL_SPS) {
                    sps = Some(Sps::parse(&set, at - set.len())?);
                }
                sets.push(set);
            }
        }
        let indication = [profile, constraints, level];
        Ok(Self { record: record.clone(), indication, nal_length_size, sets, sps })
    }

    /// The payload of `avcC`.
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
            units.filter(move |n| nal_type(n) == Some(kind)).take(SPS_COUNT_MAX).collect::<Vec<_>>()
        };
        let (sps, pps) = (found(NAL_SPS), found(NAL_PPS));
        let Some(first) = sps.first() else { return Ok(()) };
        let facts = Sps::parse(first, 0)?;
        let mut record = vec![1];
        record.extend(facts.indication);
        record.push(0xfc | (self.nal_length_size - 1));
        for (mask, sets) in [(0xe0, &sps), (0, &pps)] {
            record.push(mask | u8::try_from(sets.len()).unwrap_or(0));
            for set in sets {
                nal::put_parameter_set(&mut record, set)?;
            }
        }
        if has_chroma_fields(facts.indication[0]) {
            let [luma, chroma] = facts.bit_depth.map(|depth| 0xf8 | (depth - 8));
            record.extend([0xfc | facts.chroma_format, luma, chroma, 0]);
        }
        *self = Self::parse(&record.into())?;
        Ok(())
    }

    /// Whether the record holds a sequence and a picture parameter set. Without, they are in the samples (`avc3`).
    #[must_use]
    pub fn has_parameter_sets(&self) -> bool {
        self.sps.is_some() && self.sets.iter().any(|n| nal_type(n) == Some(NAL_PPS))
    }

    /// Sequence, then picture parameter sets.
    pub fn parameter_sets(&self) -> std::slice::Iter<'_, Bytes> {
        self.sets.iter()
    }

    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    #[must_use]
    pub fn nal_length_size(&self) -> u8 {
        self.nal_length_size
    }

    /// `avc1.PPCCLL`, by the parameter set where there is one: decoders look there.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        let [profile, constraints, level] = self.sps.as_ref().map_or(self.indication, |sps| sps.indication);
        format!("avc1.{profile:02X}{constraints:02X}{level:02X}")
    }

    /// `profile_idc`, such as 100 for High.
    #[must_use]
    pub fn profile(&self) -> u8 {
        self.sps.as_ref().map_or(self.indication, |sps| sps.indication)[0]
    }

    /// `level_idc`: 41 is level 4.1.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.sps.as_ref().map_or(self.indication, |sps| sps.indication)[2]
    }

    /// Bits of a luma sample.
    #[must_use]
    pub fn bit_depth(&self) -> Option<u8> {
        self.sps.as_ref().map(|sps| sps.bit_depth[0])
    }

    /// `max_num_reorder_frames`, stated or inferred (§E.2.1).
    #[must_use]
    pub fn reorder_frames(&self) -> Option<u32> {
        self.sps.as_ref().map(Sps::reorder_frames)
    }

    /// Size, and where the container left them open: pixel shape, colour, frame rate.
    pub fn fill_video(&self, info: &mut VideoInfo) {
        let Some(sps) = &self.sps else { return };
        (info.width, info.height) = (sps.width, sps.height);
        info.pixel_aspect = info.pixel_aspect.or(sps.vui.pixel_aspect);
        info.frame_rate = info.frame_rate.or(sps.vui.frame_rate);
        super::fill_color(info, sps.vui.color);
        info.interlaced |= !sps.frames_only;
    }

    /// By the first slice of the sample: IDR, intra or a recovery point at which the picture is right at once, or
    /// neither.
    #[must_use]
    pub fn random_access(&self, sample: &[u8]) -> RandomAccess {
        let mut recovers = false;
        for unit in NalUnits::new(sample, self.nal_length_size) {
            match nal_type(unit) {
                Some(NAL_IDR) => return RandomAccess::Clean,
                Some(NAL_SEI) => recovers |= is_recovery_point(unit),
                Some(NAL_SLICE | NAL_PARTITION_A) => {
                    return match is_intra_slice(unit) {
                        Ok(intra) if intra || recovers => RandomAccess::RecoveryPoint,
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

fn nal_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|b| b & 0x1f)
}

/// `slice_type` (table 7-6): I or SI.
fn is_intra_slice(unit: &[u8]) -> Result<bool, ContainerError> {
    let mut r = BitReader::nal(unit, 0, "a slice header");
    r.skip(8)?;
    r.ue()?;
    Ok(matches!(r.ue()? % 5, 2 | 4))
}

/// A recovery point SEI message whose `recovery_frame_cnt` is 0 (§D.1.8).
fn is_recovery_point(unit: &[u8]) -> bool {
    /// Recovery points come before the long messages (encoder settings, captions); nothing after this is looked at.
    const SEI_BYTES_MAX: usize = 4096;
    const RECOVERY_POINT: u32 = 6;
    let unit = unit.get(..SEI_BYTES_MAX).unwrap_or(unit);
    let mut r = BitReader::nal(unit, 0, "an SEI message");
    let mut search = || -> Result<bool, ContainerError> {
        let number = |r: &mut BitReader<'_>| -> Result<u32, ContainerError> {
            let mut sum = 0;
            loop {
                let byte = r.bits(8)?;
                sum += byte;
                if byte != 0xff {
                    return Ok(sum);
                }
            }
        };
        r.skip(8)?;
        loop {
            let (kind, bytes) = (number(&mut r)?, number(&mut r)?);
            if kind == RECOVERY_POINT {
                return Ok(r.ue()? == 0);
            }
            r.skip(bytes * 8)?;
        }
    };
    search().unwrap_or(false)
}

/// Profiles whose parameter sets have chroma format, bit depth and scaling matrices.
fn has_chroma_fields(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

impl Sps {
    /// `unit` with its NAL header, `base` bytes into the record.
    fn parse(unit: &[u8], base: usize) -> Result<Self, ContainerError> {
        let mut r = BitReader::nal(unit, base, "a sequence parameter set");
        r.skip(8)?;
        let indication = [r.byte(8)?, r.byte(8)?, r.byte(8)?];
        r.ue_max(31, "seq_parameter_set_id")?;
        let (mut chroma_format, mut bit_depth, mut planes_apart) = (1, [8, 8], false);
        if has_chroma_fields(indication[0]) {
            chroma_format = r.ue_byte(3, "chroma_format_idc")?;
            planes_apart = chroma_format == 3 && r.flag()?;
            bit_depth = [8 + r.ue_byte(6, "bit_depth_luma")?, 8 + r.ue_byte(6, "bit_depth_chroma")?];
            r.skip(1)?;
            if r.flag()? {
                skip_scaling_matrices(&mut r, if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        r.ue_max(12, "log2_max_frame_num")?;
        let poc_type = r.ue_max(2, "pic_order_cnt_type")?;
        match poc_type {
            0 => drop(r.ue_max(12, "log2_max_pic_order_cnt_lsb")?),
            1 => {
                r.skip(1)?;
                r.skip_ue(2)?;
                for _ in 0..r.ue_max(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                    r.se()?;
                }
            }
            _ => {}
        }
        r.ue()?;
        r.skip(1)?;
        let columns = 1 + r.ue_max(PICTURE_MACROBLOCKS_MAX, "pic_width_in_mbs")?;
        let map_rows = 1 + r.ue_max(PICTURE_MACROBLOCKS_MAX, "pic_height_in_map_units")?;
        let frames_only = r.flag()?;
        let rows = if frames_only { map_rows } else { 2 * map_rows };
        r.skip(if frames_only { 1 } else { 2 })?;
        let (mut width, mut height) = (columns * 16, rows * 16);
        if r.flag()? {
            let mono = chroma_format == 0 || planes_apart;
            let unit_x = if mono || chroma_format == 3 { 1 } else { 2 };
            let unit_y = if chroma_format == 1 { 2 } else { 1 } * if frames_only { 1 } else { 2 };
            width = nal::cropped(&mut r, width, unit_x)?;
            height = nal::cropped(&mut r, height, unit_y)?;
        }
        // Damaged VUI is common and nothing in it is needed to decode.
        let vui = if r.flag().unwrap_or(false) { Vui::parse(&mut r) } else { Vui::default() };
        let macroblocks = columns * rows;
        Ok(Self {
            indication,
            chroma_format,
            bit_depth,
            width,
            height,
            frames_only,
            poc_type,
            macroblocks,
            vui,
        })
    }

    fn reorder_frames(&self) -> u32 {
        let [profile, constraints, _] = self.indication;
        let intra_only = matches!(profile, 44 | 86 | 100 | 110 | 122 | 244) && constraints & 0x10 != 0;
        if self.poc_type == 2 || intra_only {
            return 0;
        }
        self.vui.reorder_frames.unwrap_or_else(|| self.dpb_frames())
    }

    /// `MaxDpbFrames` (§A.3.1 h).
    fn dpb_frames(&self) -> u32 {
        const DPB_FRAMES_MAX: u32 = 16;
        let [profile, constraints, level] = self.indication;
        let is_1b = level == 9 || (level == 11 && constraints & 0x10 != 0 && matches!(profile, 66 | 77 | 88));
        let macroblocks: u32 = match level {
            _ if is_1b => 396,
            0..=10 => 396,
            11 => 900,
            12..=20 => 2_376,
            21 => 4_752,
            22..=30 => 8_100,
            31 => 18_000,
            32 => 20_480,
            33..=41 => 32_768,
            42 => 34_816,
            43..=50 => 110_400,
            51..=52 => 184_320,
            _ => 696_320,
        };
        (macroblocks / self.macroblocks.max(1)).min(DPB_FRAMES_MAX)
    }
}

/// Macroblocks along one side: level 6.2 has 139,264 in a picture, at most sqrt(8 times that) along a side.
const PICTURE_MACROBLOCKS_MAX: u32 = 1_055;

/// `scaling_list()` (§7.3.2.1.1.1) for each matrix.
fn skip_scaling_matrices(r: &mut BitReader<'_>, count: usize) -> Result<(), ContainerError> {
    for matrix in 0..count {
        if !r.flag()? {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if matrix < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + r.se()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Ok(())
}

impl Vui {
    /// `vui_parameters()` (§E.1.1).
    fn parse(r: &mut BitReader<'_>) -> Self {
        let mut vui = Self::default();
        // What was read before the damage stands.
        let _ = vui.read(r);
        vui
    }

    fn read(&mut self, r: &mut BitReader<'_>) -> Result<(), ContainerError> {
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
        if r.flag()? {
            let (tick, scale, fixed) = (r.bits(32)?, r.bits(32)?, r.flag()?);
            // A tick is a field: two of them are a frame.
            self.frame_rate = nal::frame_rate(scale, u64::from(tick) * 2).filter(|_| fixed);
        }
        let hrd = [skip_hrd(r)?, skip_hrd(r)?];
        r.skip(if hrd.contains(&true) { 2 } else { 1 })?;
        if r.flag()? {
            r.skip(1)?;
            r.skip_ue(4)?;
            self.reorder_frames = Some(r.ue_max(16, "max_num_reorder_frames")?);
        }
        Ok(())
    }
}

/// A flag, and `hrd_parameters()` (§E.1.2) where it is set.
fn skip_hrd(r: &mut BitReader<'_>) -> Result<bool, ContainerError> {
    if !r.flag()? {
        return Ok(false);
    }
    let schedules = 1 + r.ue_max(31, "cpb_cnt")?;
    r.skip(8)?;
    for _ in 0..schedules {
        r.skip_ue(2)?;
        r.skip(1)?;
    }
    r.skip(20)?;
    Ok(true)
}
