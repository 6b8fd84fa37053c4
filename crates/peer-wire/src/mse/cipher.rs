//! RC4 as MSE uses it: keys from the secret and the info-hash, the first 1024 bytes thrown away.

use std::fmt;

use metainfo::InfoHash;
use rc4::{KeyInit, Rc4, StreamCipher};
use sha1::{Digest, Sha1};

/// Bytes of key stream that nobody uses: they tell about the key.
const DISCARDED: usize = 1024;

/// One direction's key stream. Encrypting and decrypting are the same.
pub(crate) struct Cipher(Box<Rc4>);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    /// The stream from the end that dialled to the one that listened.
    pub(super) fn from_dialler(secret: &[u8], info_hash: &InfoHash) -> Self {
        Self::new(b"keyA", secret, info_hash)
    }

    /// The stream the other way.
    pub(super) fn from_listener(secret: &[u8], info_hash: &InfoHash) -> Self {
        Self::new(b"keyB", secret, info_hash)
    }

    fn new(label: &[u8], secret: &[u8], info_hash: &InfoHash) -> Self {
        let key = hash(&[label, secret, info_hash.as_bytes()]);
        #[expect(clippy::expect_used, reason = "RC4 takes keys of 1 to 256 bytes")]
        let mut cipher = Self(Box::new(Rc4::new_from_slice(&key).expect("20 bytes are a key")));
        cipher.apply(&mut [0; DISCARDED]);
        cipher
    }

    /// Encrypts or decrypts in place.
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

/// SHA-1 over `parts`, one after the other.
pub(super) fn hash(parts: &[&[u8]]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
    }
    sha1.finalize().into()
}
