//! Looking at boundary samples: is the keyframe what the container says?

use byte_source::ByteRange;
use container::{
    ContainerError,
    codec::{CodecConfig, RandomAccess},
};

use super::Reach;
use crate::{limits, script::Asker};

/// Which of `count` keys to look at when there is no cause for doubt: the first, second, middle and last, and some
/// chosen by `seed`; where only the ends may be read, the first two. Ascending, each once.
pub(crate) fn few(count: usize, seed: u64, reach: Reach) -> Vec<usize> {
    let mut picked: Vec<usize> = vec![0, 1];
    if reach == Reach::Anywhere {
        picked.extend([count / 2, count.saturating_sub(1)]);
        let mut state = seed | 1;
        for _ in picked.len()..limits::PROBES_FEW {
            // Knuth's MMIX generator: any spread will do, but the same file must be probed the same way each time.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let spread = (state >> 33) % u64::try_from(count.max(1)).unwrap_or(1);
            picked.push(usize::try_from(spread).unwrap_or(0));
        }
    }
    picked.retain(|i| *i < count);
    picked.sort_unstable();
    picked.dedup();
    picked
}

/// What the sample at `payload` is to a decoder. `prefix` goes before it (Matroska header stripping).
pub(crate) async fn classify(
    ask: &Asker,
    codec: &CodecConfig,
    prefix: &[u8],
    payload: ByteRange,
) -> Result<RandomAccess, ContainerError> {
    let mut kind = RandomAccess::Unknown;
    for most in [limits::PROBE_BYTES, limits::PROBE_AGAIN_BYTES] {
        let range = ByteRange::new(payload.start(), payload.end().min(payload.start().saturating_add(most)));
        let bytes = ask.read(range).await?;
        kind = if prefix.is_empty() {
            codec.random_access(&bytes)
        } else {
            codec.random_access(&[prefix, &bytes].concat())
        };
        // A recovery point SEI may be told from an IDR only by the slice behind it.
        if kind == RandomAccess::Clean || range == payload {
            break;
        }
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_probes_cover_both_ends_whatever_the_count() {
        assert_eq!(few(0, 7, Reach::Anywhere), [0usize; 0]);
        assert_eq!(few(1, 7, Reach::Anywhere), [0]);
        let picked = few(1_000, 7, Reach::Anywhere);
        assert!(picked.contains(&0) && picked.contains(&999) && picked.len() <= limits::PROBES_FEW);
        assert_eq!(picked, few(1_000, 7, Reach::Anywhere));
        assert_eq!(few(1_000, 7, Reach::Ends), [0, 1]);
    }
}
