//! The name of what is in a file.

use std::fmt;

use byte_source::{ByteRange, ByteSource, SourceError};
use sha1::{Digest, Sha1};

/// Bytes of each end that go into a key: headers, and Matroska Cues or an MP4 `moov` lie there.
const END_BYTES: u64 = 64 << 10;
/// Bytes of each place between.
const PLACE_BYTES: u64 = 4 << 10;
/// Places between.
const PLACES: u64 = 6;

/// Names content: the same bytes have the same key wherever they lie and whatever they are called. Lower-case
/// hexadecimal, safe as a file name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentKey(String);

impl ContentKey {
    /// A key made elsewhere (`{info_hash}-{file_index}` of a torrent).
    ///
    /// `None` unless it is 1 to 128 of `[0-9a-z-]`: it becomes a file name.
    #[must_use]
    pub fn new(key: &str) -> Option<Self> {
        let fits = (1..=128).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits.then(|| Self(key.to_owned()))
    }

    /// Of a source: SHA-1 over its length, its ends and a few places between, and over `revision`: a number that
    /// changes when the bytes may have (the modification time of a file; 0 for what cannot change). A film that
    /// another program fills in in place keeps its length and its ends, but not that.
    ///
    /// # Errors
    /// The source's.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn of(source: &dyn ByteSource, revision: i128) -> Result<Self, SourceError> {
        let mut hash = Sha1::new();
        hash.update(source.len().to_be_bytes());
        hash.update(revision.to_be_bytes());
        for range in samples(source.len()) {
            let bytes = match source.try_read_at(range) {
                Some(answer) => answer?,
                None => source.read_at(range).await?,
            };
            hash.update(&bytes);
        }
        Ok(Self(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKey({})", self.0)
    }
}

/// The places of a source of `len` bytes that go into its key: all of a short one.
fn samples(len: u64) -> Vec<ByteRange> {
    if len <= 2 * END_BYTES + (PLACES + 1) * PLACE_BYTES {
        return vec![ByteRange::new(0, len)];
    }
    let mut ranges = vec![ByteRange::new(0, END_BYTES)];
    let step = (len - 2 * END_BYTES - PLACE_BYTES) / PLACES;
    ranges.extend((0..PLACES).filter_map(|n| ByteRange::at(END_BYTES + n * step, PLACE_BYTES)));
    ranges.push(ByteRange::new(len - END_BYTES, len));
    ranges
}

#[cfg(test)]
mod tests {
    use byte_source::MemorySource;

    use super::*;

    async fn key(bytes: Vec<u8>, revision: i128) -> ContentKey {
        ContentKey::of(&MemorySource::new(bytes), revision).await.unwrap()
    }

    #[test]
    fn the_places_lie_inside_in_order_and_apart() {
        for len in [0, 1, 155_648, 155_649, 200_000, 10 << 30] {
            let ranges = samples(len);
            assert!(ranges.windows(2).all(|w| w[0].end() <= w[1].start()), "{len}: {ranges:?}");
            assert!(ranges.iter().all(|r| r.end() <= len));
        }
    }

    #[tokio::test]
    async fn the_key_follows_length_ends_and_revision() {
        let base = key(vec![1; 400_000], 0).await;
        assert_eq!(base, key(vec![1; 400_000], 0).await);
        assert_ne!(base, key(vec![1; 400_001], 0).await);
        assert_ne!(base, key(vec![1; 400_000], 1).await);
        let mut other = vec![1; 400_000];
        other[399_999] = 2;
        assert_ne!(base, key(other, 0).await);
    }

    #[test]
    fn a_key_is_safe_as_a_file_name() {
        assert!(ContentKey::new("0a1b-3").is_some());
        for bad in ["", "../x", "A", "a/b", "a.b", &"a".repeat(129)] {
            assert!(ContentKey::new(bad).is_none(), "{bad}");
        }
    }
}
