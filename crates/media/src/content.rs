//! The name of what is in a file.

use std::fmt;

use byte_source::ByteSource;

use crate::MediaError;

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

    /// Of a source: SHA-1 over its length, its ends and a few places between.
    ///
    /// # Errors
    /// The source's.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn of(_source: &dyn ByteSource) -> Result<Self, MediaError> {
        Err(MediaError::Internal { title: String::new(), detail: "not built yet".to_owned() })
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
