//! The sizes that a video is transcoded to, and their bit rates.
//!
//! A rung is a box of 16:9: `1080p` holds what fits into 1920x1080 (upright: 1080x1920). Pictures are made smaller until
//! they fit and never larger; of the rungs that hold the source as it is, only the lowest is offered. So a film of
//! 1920x800 has a `1080p` of 1920x800, and nothing above it.

use container::{Rational, Timescale, Track, VideoInfo, codec::CodecConfig};

use crate::{HEIGHTS, RenditionId, SegmentPlan, TrackPlan, playlist::Rate};

/// One size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// As it is called: one of [`HEIGHTS`].
    pub name: u16,
    /// Pixels, even and square, upright.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Clockwise degrees by which the source is turned to be upright.
    pub rotation: u16,
    /// `level_idc` of H.264: 31 is level 3.1.
    pub level: u8,
    /// Bits a second that the encoder aims at.
    pub bits_average: u32,
    /// Bits a second at most, seen through a buffer of one second of them.
    pub bits_max: u32,
    /// Pictures a second, where known.
    pub frame_rate: Option<Rational>,
}

impl Rung {
    /// Its rendition.
    #[must_use]
    pub const fn rendition(&self) -> RenditionId {
        RenditionId::H264(self.name)
    }

    /// RFC 6381: H.264 High of its level.
    #[must_use]
    pub fn codec_string(&self) -> String {
        format!("avc1.6400{:02X}", self.level)
    }

    /// As the rate control bounds it: each segment is encoded with a buffer that is nine tenths full, so a stretch with
    /// many short segments may take more than `bits_max`.
    pub(crate) fn rate(&self, starts_per_second: f64) -> Rate {
        let headers =
            u64::from(self.frame_rate.map_or(30, |r| r.num.div_ceil(r.den.max(1)))) * SAMPLE_HEADER_BITS;
        let buffer =
            f64::from(self.bits_max) * BUFFER_SECONDS * BUFFER_FULL * starts_per_second.clamp(0.0, 2.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bits a second, positive; a cast of a float saturates"
        )]
        let buffer = buffer as u64;
        Rate {
            peak: u64::from(self.bits_max) + buffer + headers,
            average: u64::from(self.bits_average) + headers,
        }
    }
}

/// Bits of size, duration, flags and composition offset of a sample.
const SAMPLE_HEADER_BITS: u64 = 16 * 8;
/// The decoder's buffer that the rate control keeps to, seconds of `bits_max`.
const BUFFER_SECONDS: f64 = 1.0;
/// How full it is when an encoder starts (x264's `vbv-init`).
const BUFFER_FULL: f64 = 0.9;

/// Bits a second of 16:9 at up to 30 pictures a second; veryfast x264 takes somewhat more than others ask for.
const BITS: [(u16, u32); 7] = [
    (2_160, 16_000_000),
    (1_440, 9_000_000),
    (1_080, 5_500_000),
    (720, 3_000_000),
    (480, 1_400_000),
    (360, 800_000),
    (240, 400_000),
];
/// What no rung goes below, bits a second.
const BITS_MIN: u32 = 150_000;

/// The rungs of a video, largest first.
pub(crate) fn of(track: &Track, plan: &TrackPlan) -> Vec<Rung> {
    let Some(info) = &track.video else { return Vec::new() };
    let rate = info.frame_rate.or(plan.frame_rate).filter(|r| r.num > 0 && r.den > 0);
    let source_bits = plan.bytes_per_second.saturating_mul(8);
    // What took an efficient codec a bit takes H.264 two.
    let factor = match track.codec {
        CodecConfig::Hevc(_) | CodecConfig::Av1(_) | CodecConfig::Vp9(_) => 2,
        _ => 1,
    };
    sizes(info)
        .into_iter()
        .map(|(name, width, height)| {
            let bits_average = bits(name, width, height, rate, source_bits.saturating_mul(factor));
            let bits_max = bits_average / 4 * 5;
            Rung {
                name,
                width,
                height,
                rotation: info.rotation,
                level: level(width, height, rate, bits_max),
                bits_average,
                bits_max,
                frame_rate: rate,
            }
        })
        .collect()
}

/// Name, width and height of each rung.
fn sizes(info: &VideoInfo) -> Vec<(u16, u32, u32)> {
    let Some((wide, high)) = shown(info) else { return Vec::new() };
    let (long, short) = (wide.max(high), wide.min(high));
    let mut sizes: Vec<(u16, u32, u32)> = Vec::new();
    for name in HEIGHTS {
        let box_short = u64::from(name);
        let box_long = (box_short * 16).div_ceil(9);
        if long <= box_long && short <= box_short {
            // Holds the source as it is; a lower one that does, too, is its better name.
            sizes.clear();
            sizes.push((name, even(wide), even(high)));
            continue;
        }
        // By the side that is the tighter one.
        let (num, den) =
            if long * box_short > short * box_long { (box_long, long) } else { (box_short, short) };
        let scaled = |side: u64| even((side * num + den / 2) / den);
        sizes.push((name, scaled(wide), scaled(high)));
    }
    sizes
}

/// Width and height as watched: square pixels, upright.
fn shown(info: &VideoInfo) -> Option<(u64, u64)> {
    let (width, height) = (u64::from(info.width), u64::from(info.height));
    if width == 0 || height == 0 {
        return None;
    }
    let aspect = info.pixel_aspect.filter(|r| r.num > 0 && r.den > 0);
    let width = aspect.map_or(width, |r| {
        ((width * u64::from(r.num) + u64::from(r.den) / 2) / u64::from(r.den)).clamp(1, SIDE_MAX)
    });
    Some(if matches!(info.rotation, 90 | 270) { (height, width) } else { (width, height) })
}

/// No level of H.264 goes further.
const SIDE_MAX: u64 = 16_384;

fn even(side: u64) -> u32 {
    u32::try_from(side & !1).unwrap_or(u32::MAX - 1).max(2)
}

fn bits(name: u16, width: u32, height: u32, rate: Option<Rational>, source_bits: u64) -> u32 {
    let whole = BITS.iter().find(|(n, _)| *n == name).map_or(BITS_MIN, |(_, bits)| *bits);
    let area = u64::from(width) * u64::from(height);
    let full = u64::from(name) * (u64::from(name) * 16).div_ceil(9);
    // Half of it goes with the area: a small picture of the same film has as many edges.
    let by_area = u64::from(whole) / 2 + u64::from(whole) * area.min(full) / (2 * full.max(1));
    let fast = rate.is_some_and(|r| u64::from(r.num) > 31 * u64::from(r.den));
    let wanted = if fast { by_area / 2 * 3 } else { by_area };
    let capped = if source_bits == 0 { wanted } else { wanted.min(source_bits) };
    u32::try_from(capped).unwrap_or(u32::MAX).max(BITS_MIN)
}

/// The levels of ISO/IEC 14496-10 table A-1: macroblocks a second, macroblocks a picture, kilobits a second of High.
const LEVELS: [(u8, u64, u64, u64); 15] = [
    (11, 3_000, 396, 240),
    (12, 6_000, 396, 480),
    (13, 11_880, 396, 960),
    (20, 11_880, 396, 2_500),
    (21, 19_800, 792, 5_000),
    (22, 20_250, 1_620, 5_000),
    (30, 40_500, 1_620, 12_500),
    (31, 108_000, 3_600, 17_500),
    (32, 216_000, 5_120, 25_000),
    (40, 245_760, 8_192, 25_000),
    (41, 245_760, 8_192, 62_500),
    (42, 522_240, 8_704, 62_500),
    (50, 589_824, 22_080, 168_750),
    (51, 983_040, 36_864, 300_000),
    (52, 2_073_600, 36_864, 300_000),
];

/// The lowest level that holds it; where the rate of pictures is not known, sixty a second.
fn level(width: u32, height: u32, rate: Option<Rational>, bits_max: u32) -> u8 {
    let blocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
    let side = u64::from(width.max(height).div_ceil(16));
    let (num, den) = rate.map_or((60, 1), |r| (u64::from(r.num), u64::from(r.den)));
    LEVELS
        .iter()
        .find(|(_, per_second, per_picture, kilobits)| {
            blocks * num <= per_second * den
                && blocks <= *per_picture
                && side * side <= per_picture * 8
                && u64::from(bits_max) <= kilobits * 1_000
        })
        .map_or(62, |(level, ..)| *level)
}

/// Most segments a second over any run of them that lasts half to one and a half times the longest: what RFC 8216
/// §4.3.4.2 measures a peak over.
pub(crate) fn starts_per_second(segments: &[SegmentPlan], timescale: Timescale) -> f64 {
    let target = segments.iter().map(|s| s.duration).max().unwrap_or(0);
    let seconds = |ticks: u64| timescale.seconds(i64::try_from(ticks).unwrap_or(i64::MAX));
    let mut most = 0.0f64;
    for from in 0..segments.len() {
        let mut ticks = 0u64;
        for (count, segment) in (1u32..).zip(segments.iter().skip(from)) {
            ticks = ticks.saturating_add(segment.duration);
            if ticks > target.saturating_mul(3) / 2 {
                break;
            }
            if ticks >= target / 2 && ticks > 0 {
                most = most.max(f64::from(count) / seconds(ticks));
            }
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn info(width: u32, height: u32) -> VideoInfo {
        VideoInfo { width, height, ..VideoInfo::default() }
    }

    fn drawn(info: &VideoInfo) -> String {
        sizes(info).iter().map(|(n, w, h)| format!("{n}:{w}x{h}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_ladder_goes_down_from_the_source() {
        assert_eq!(
            drawn(&info(1920, 1080)),
            "1080:1920x1080 720:1280x720 480:852x480 360:640x360 240:426x240"
        );
        assert_eq!(drawn(&info(640, 360)), "360:640x360 240:426x240");
        assert_eq!(drawn(&info(320, 180)), "240:320x180");
        assert_eq!(drawn(&info(3840, 2160)).split(' ').count(), 7);
    }

    #[test]
    fn wide_and_tall_pictures_go_by_their_tighter_side() {
        assert_eq!(drawn(&info(1920, 800)), "1080:1920x800 720:1280x532 480:854x356 360:640x266 240:426x178");
        assert_eq!(
            drawn(&info(1440, 1080)),
            "1080:1440x1080 720:960x720 480:640x480 360:480x360 240:320x240"
        );
    }

    #[test]
    fn pixels_are_square_and_pictures_upright() {
        let anamorphic = VideoInfo { pixel_aspect: Some(Rational { num: 16, den: 15 }), ..info(720, 576) };
        assert_eq!(drawn(&anamorphic), "720:768x576 480:640x480 360:480x360 240:320x240");
        let phone = VideoInfo { rotation: 90, ..info(1920, 1080) };
        assert!(drawn(&phone).starts_with("1080:1080x1920 720:720x1280"));
    }

    #[test]
    fn odd_sides_become_even_and_not_longer() {
        assert_eq!(drawn(&info(853, 479)), "480:852x478 360:640x358 240:426x240");
        assert_eq!(drawn(&info(1, 1)), "240:2x2");
    }

    #[test]
    fn levels_are_what_the_size_and_rate_need() {
        let rate = |num| Some(Rational { num, den: 1 });
        assert_eq!(level(1920, 1080, rate(24), 7_000_000), 40);
        assert_eq!(level(1920, 1080, rate(60), 9_000_000), 42);
        assert_eq!(level(1280, 720, rate(30), 4_000_000), 31);
        assert_eq!(level(640, 360, rate(24), 1_000_000), 30);
        assert_eq!(level(3840, 2160, rate(24), 20_000_000), 51);
    }

    #[test]
    fn short_segments_in_a_row_raise_the_peak() {
        let segments = |lengths: &[u64]| {
            lengths
                .iter()
                .map(|duration| SegmentPlan {
                    start: 0,
                    duration: *duration,
                    intervals: (0, 1),
                    samples: (0, 0),
                    payload_bytes: 0,
                    independent: true,
                })
                .collect::<Vec<_>>()
        };
        let rate = |lengths: &[u64]| starts_per_second(&segments(lengths), Timescale::MILLIS);
        assert!((rate(&[4_000; 9]) - 0.25).abs() < 1e-9);
        // A second and two after it are two thirds a second.
        assert!((rate(&[1_000, 2_000, 3_000, 5_000, 5_000]) - 2.0 / 3.0).abs() < 1e-9);
        assert!(rate(&[]) < 1e-9);
    }

    proptest! {
        #[test]
        fn no_rung_is_larger_than_the_source_and_each_is_smaller_than_the_one_before(
            width in 16u32..8_192, height in 16u32..8_192, turned in any::<bool>(),
        ) {
            let rotation = if turned { 270 } else { 0 };
            let sizes = sizes(&VideoInfo { rotation, ..info(width, height) });
            let source = if turned { (height, width) } else { (width, height) };
            prop_assert!(!sizes.is_empty());
            for (_, w, h) in &sizes {
                prop_assert!(*w <= source.0.max(2) && *h <= source.1.max(2));
                prop_assert!(w % 2 == 0 && h % 2 == 0);
            }
            prop_assert!(sizes.windows(2).all(|p| p[0].0 > p[1].0 && p[0].1 >= p[1].1 && p[0].2 >= p[1].2));
        }
    }
}
