//! How large a picture becomes.

use super::filter::Rotation;

/// The size of a rendition of `height_max` rows: as upright as it is watched, with square samples, even on both sides,
/// never larger than the source. `source` is (width, height) as stored, `sample_aspect` the width of a sample for its height.
///
/// Anamorphic sources become wider (or, where that would enlarge nothing, keep their height), so 720x576 at 16:15 is
/// 768x576. Nothing becomes smaller than 2x2.
pub fn fit(source: (u32, u32), sample_aspect: (u32, u32), rotation: Rotation, height_max: u32) -> (u32, u32) {
    let (sar_num, sar_den) = match sample_aspect {
        (0, _) | (_, 0) => (1, 1),
        (num, den) => (u64::from(num), u64::from(den)),
    };
    let (mut wide, mut high) = (u64::from(source.0.max(1)) * sar_num, u64::from(source.1.max(1)) * sar_den);
    let mut rows = u64::from(source.1.max(1));
    if rotation.is_sideways() {
        (wide, high) = (high, wide);
        rows = u64::from(source.0.max(1)) * sar_num / sar_den;
    }
    let height = even(rows.min(u64::from(height_max)).max(2));
    // Above 16384 no H.264 level goes.
    let high = u128::from(high.max(1));
    let width = (u128::from(wide) * u128::from(height) + high / 2) / high;
    let width = even(u64::try_from(width).unwrap_or(u64::MAX).clamp(2, 16384));
    (u32::try_from(width).unwrap_or(2), u32::try_from(height.min(16384)).unwrap_or(2))
}

fn even(length: u64) -> u64 {
    (length & !1).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_square_and_never_larger_than_the_source() {
        let none = Rotation::None;
        assert_eq!(fit((1920, 1080), (1, 1), none, 720), (1280, 720));
        assert_eq!(fit((1920, 1080), (1, 1), none, 2160), (1920, 1080));
        assert_eq!(fit((1920, 804), (1, 1), none, 720), (1718, 720));
        assert_eq!(fit((853, 479), (1, 1), none, 480), (850, 478));
        assert_eq!(fit((720, 576), (16, 15), none, 1080), (768, 576));
        assert_eq!(fit((1440, 1080), (4, 3), none, 1080), (1920, 1080));
        assert_eq!(fit((1920, 1080), (1, 1), Rotation::Clockwise90, 960), (540, 960));
        assert_eq!(fit((720, 480), (0, 0), none, 240), (360, 240));
        assert_eq!(fit((1, 1), (1, 1), none, 720), (2, 2));
        assert_eq!(fit((u32::MAX, 1), (u32::MAX, 1), none, 720), (16384, 2));
    }
}
