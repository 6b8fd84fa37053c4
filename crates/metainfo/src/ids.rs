//! The numbers of a torrent that must not be confused: info-hash, piece, block, file.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// SHA-1 over the bytes of a torrent's info dictionary as they were received (BEP 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

impl InfoHash {
    /// The raw bytes, as they stand in handshakes and announces.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 over the bytes of the info dictionary of a v2 torrent (BEP 52). Shown and passed on; nothing is downloaded by it yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHashV2(pub [u8; 32]);

impl fmt::Display for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InfoHashV2 {
    type Err = InfoHashError;

    /// Reads 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, InfoHashError> {
        let read = if text.len() == 64 { from_hex(text.as_bytes()) } else { None };
        read.map(Self).ok_or_else(|| InfoHashError { text: text.chars().take(64).collect() })
    }
}

impl Serialize for InfoHashV2 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no info-hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no info-hash: 40 hexadecimal or 32 base32 digits, 64 hexadecimal for v2")]
pub struct InfoHashError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl FromStr for InfoHash {
    type Err = InfoHashError;

    /// Reads 40 hexadecimal digits or 32 of base32 (RFC 4648), in either case.
    fn from_str(text: &str) -> Result<Self, InfoHashError> {
        let read = match text.len() {
            40 => from_hex(text.as_bytes()),
            32 => from_base32(text.as_bytes()),
            _ => None,
        };
        read.map(Self).ok_or_else(|| InfoHashError { text: text.chars().take(64).collect() })
    }
}

fn from_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(value(pair[0])? * 16 + value(pair[1])?).ok()?;
    }
    Some(bytes)
}

fn from_base32(digits: &[u8]) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    for (group, digits) in bytes.chunks_exact_mut(5).zip(digits.chunks_exact(8)) {
        let mut value = 0u64;
        for digit in digits {
            let five = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a',
                b'2'..=b'7' => digit - b'2' + 26,
                _ => return None,
            };
            value = value << 5 | u64::from(five);
        }
        group.copy_from_slice(&value.to_be_bytes()[3..]);
    }
    Some(bytes)
}

impl Serialize for InfoHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InfoHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A piece of one torrent, from 0. Made from untrusted numbers only by [`PieceLayout::piece`](crate::PieceLayout::piece).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PieceIndex(pub u32);

impl PieceIndex {
    /// As an index of slices.
    #[must_use]
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A block of one torrent: the unit that is requested, [`BLOCK_LENGTH`](crate::BLOCK_LENGTH) bytes but for the last of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIndex {
    /// The piece it lies in.
    pub piece: PieceIndex,
    /// Its number within that piece, from 0.
    pub block: u32,
}

impl fmt::Display for BlockIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.piece, self.block)
    }
}

/// A file of one torrent, from 0, pad files counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileIndex(pub u32);

impl FileIndex {
    /// As an index of slices.
    #[must_use]
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for FileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base32_name_the_same_info_hash() {
        let hex: InfoHash = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a".parse().unwrap();
        let base32: InfoHash = "YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK".parse().unwrap();
        assert_eq!(hex, base32);
        assert_eq!(hex.to_string(), "c12fe1c06bba254a9dc9f519b335aa7c1367a88a");
    }

    #[test]
    fn other_texts_are_no_info_hash() {
        for text in
            ["", "c12f", "zz2fe1c06bba254a9dc9f519b335aa7c1367a88a", "1EX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK"]
        {
            assert!(text.parse::<InfoHash>().is_err(), "{text}");
        }
    }
}
