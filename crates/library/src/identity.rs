//! Who a file is, told by its content: [`Fingerprint`] and the [`VideoId`] made of it.
//!
//! Size and a sample of either end: enough to tell two films apart, cheap enough for a disk full of them, and the
//! same wherever the file is moved. Not a checksum: a change in the middle that keeps the size is not seen here
//! (`media` and HTTP also look at the time of change).

use std::{fmt, fs::File, io, os::unix::fs::FileExt};

use sha1::{Digest, Sha1};

use crate::limits::FINGERPRINT_SAMPLE_BYTES;

/// SHA-1 over the size and a sample of either end of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    /// Reads both ends of `file`, which is `size` bytes long.
    ///
    /// # Errors
    /// The disk's.
    pub fn of(file: &File, size: u64) -> io::Result<Self> {
        let mut hash = Sha1::new();
        hash.update(size.to_le_bytes());
        let sample = FINGERPRINT_SAMPLE_BYTES.min(size);
        let mut buffer = vec![0; usize::try_from(sample).unwrap_or(0)];
        file.read_exact_at(&mut buffer, 0)?;
        hash.update(&buffer);
        file.read_exact_at(&mut buffer, size - sample)?;
        hash.update(&buffer);
        Ok(Self(hash.finalize().into()))
    }

    /// Lower-case hexadecimal, 40 digits.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// Names one playable file: 20 hexadecimal digits of its fingerprint, and `-2`, `-3`… for further copies of the same
/// content, in the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VideoId(String);

const ID_DIGITS: usize = 20;
const ID_CHARS_MAX: usize = 64;

impl VideoId {
    /// The id of the `copy`-th file (counted from 1) with this fingerprint.
    #[must_use]
    pub fn new(fingerprint: &Fingerprint, copy: usize) -> Self {
        let mut hex = fingerprint.hex();
        hex.truncate(ID_DIGITS);
        Self(if copy <= 1 { hex } else { format!("{hex}-{copy}") })
    }

    /// Checks the characters of what a client sent; whether there is such a video is another question.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=ID_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-');
        fits.then(|| Self(text.to_owned()))
    }

    /// As it stands in addresses.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn fingerprint(content: &[u8]) -> Fingerprint {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Fingerprint::of(&file, content.len() as u64).unwrap()
    }

    #[test]
    fn content_decides() {
        assert_eq!(fingerprint(b"film"), fingerprint(b"film"));
        assert_ne!(fingerprint(b"film"), fingerprint(b"filn"));
        assert_ne!(fingerprint(b""), fingerprint(b"\0"));
    }

    #[test]
    fn either_end_of_a_long_file_counts() {
        let mut long = vec![7; 300_000];
        let plain = fingerprint(&long);
        *long.last_mut().unwrap() = 8;
        assert_ne!(plain, fingerprint(&long));
    }

    #[test]
    fn hostile_ids_are_not_ids() {
        for bad in ["", "../etc", "a/b", "A", "a%2e", "é", &"a".repeat(65), "a\0"] {
            assert_eq!(VideoId::parse(bad), None, "{bad}");
        }
        assert!(VideoId::parse("0123456789abcdef0123-2").is_some());
    }
}
