//! Reads (and, for short records, writes) bits, most significant first: from a record, or from a NAL unit whose emulation prevention bytes it steps over
//! (ISO/IEC 14496-10 §7.4.1.1). Every read is bounded by the bytes there are.

use crate::{ContainerError, Format};

/// A codec record is broken at `offset`.
pub(super) fn broken(offset: usize, what: impl Into<std::borrow::Cow<'static, str>>) -> ContainerError {
    ContainerError::malformed(Format::Codec, offset as u64, what)
}

/// A cursor over bits.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Offset of `bytes` in the record, for errors.
    base: usize,
    /// What the bytes are, for errors.
    what: &'static str,
    /// Next byte to be loaded.
    next: usize,
    current: u8,
    /// Bits of `current` not read yet.
    left: u8,
    /// Zero bytes in a row just loaded; only counted where `escaped`.
    zeros: u8,
    escaped: bool,
}

impl<'a> BitReader<'a> {
    /// Over plain bytes, `base` bytes into the record.
    pub(super) fn new(bytes: &'a [u8], base: usize, what: &'static str) -> Self {
        Self { bytes, base, what, next: 0, current: 0, left: 0, zeros: 0, escaped: false }
    }

    /// Over the bytes of a NAL unit.
    pub(super) fn nal(bytes: &'a [u8], base: usize, what: &'static str) -> Self {
        Self { escaped: true, ..Self::new(bytes, base, what) }
    }

    /// Offset in the record of the byte that the next bit is in.
    pub(super) fn offset(&self) -> usize {
        self.base.saturating_add(self.next).saturating_sub(usize::from(self.left > 0))
    }

    /// Bits not read yet, emulation prevention bytes counted.
    pub(super) fn bits_left(&self) -> usize {
        self.bytes.len().saturating_sub(self.next).saturating_mul(8).saturating_add(usize::from(self.left))
    }

    /// An error at this place.
    pub(super) fn broken(&self, what: impl Into<std::borrow::Cow<'static, str>>) -> ContainerError {
        broken(self.offset(), what)
    }

    fn load(&mut self) -> Result<(), ContainerError> {
        let ends = |r: &Self| r.broken(format!("the record ends inside {}", r.what));
        let mut byte = *self.bytes.get(self.next).ok_or_else(|| ends(self))?;
        if self.escaped && self.zeros >= 2 && byte == 3 {
            self.next += 1;
            self.zeros = 0;
            byte = *self.bytes.get(self.next).ok_or_else(|| ends(self))?;
        }
        self.next += 1;
        self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        self.current = byte;
        self.left = 8;
        Ok(())
    }

    /// `count` bits, at most 32.
    pub(super) fn bits(&mut self, count: u8) -> Result<u32, ContainerError> {
        debug_assert!(count <= 32);
        let mut value = 0_u64;
        let mut wanted = count;
        while wanted > 0 {
            if self.left == 0 {
                self.load()?;
            }
            let take = wanted.min(self.left);
            let rest = self.left - take;
            let chunk = (u16::from(self.current) >> rest) & ((1_u16 << take) - 1);
            value = (value << take) | u64::from(chunk);
            self.left = rest;
            wanted -= take;
        }
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// `count` bits, at most 8, as a byte.
    pub(super) fn byte(&mut self, count: u8) -> Result<u8, ContainerError> {
        debug_assert!(count <= 8);
        Ok(u8::try_from(self.bits(count)?).unwrap_or(u8::MAX))
    }

    /// `count` bits, at most 16.
    pub(super) fn short(&mut self, count: u8) -> Result<u16, ContainerError> {
        debug_assert!(count <= 16);
        Ok(u16::try_from(self.bits(count)?).unwrap_or(u16::MAX))
    }

    /// One bit.
    pub(super) fn flag(&mut self) -> Result<bool, ContainerError> {
        Ok(self.bits(1)? == 1)
    }

    /// Steps over `count` bits.
    pub(super) fn skip(&mut self, count: u32) -> Result<(), ContainerError> {
        let mut rest = count;
        while rest > 0 {
            let step = rest.min(32);
            self.bits(u8::try_from(step).unwrap_or(32))?;
            rest -= step;
        }
        Ok(())
    }

    /// Steps to the next whole byte.
    pub(super) fn align(&mut self) {
        self.left = 0;
    }

    /// Unsigned Exp-Golomb code, ue(v).
    pub(super) fn ue(&mut self) -> Result<u32, ContainerError> {
        let mut zeros = 0_u8;
        while !self.flag()? {
            zeros += 1;
            if zeros > 32 {
                return Err(self.broken("an Exp-Golomb code of more than 32 leading zeros"));
            }
        }
        let tail = u64::from(self.bits(zeros)?);
        let value = (1_u64 << zeros) - 1 + tail;
        u32::try_from(value).map_err(|_| self.broken("an Exp-Golomb code past 32 bits"))
    }

    /// Steps over `count` Exp-Golomb codes, signed or not.
    pub(super) fn skip_ue(&mut self, count: u32) -> Result<(), ContainerError> {
        (0..count).try_for_each(|_| self.ue().map(drop))
    }

    /// An Exp-Golomb code that must not pass `max`.
    pub(super) fn ue_max(&mut self, max: u32, what: &str) -> Result<u32, ContainerError> {
        let value = self.ue()?;
        if value > max {
            Err(self.broken(format!("{what} is {value}, at most {max} is allowed")))
        } else {
            Ok(value)
        }
    }

    /// An Exp-Golomb code of at most `max`, as a byte.
    pub(super) fn ue_byte(&mut self, max: u8, what: &str) -> Result<u8, ContainerError> {
        Ok(u8::try_from(self.ue_max(max.into(), what)?).unwrap_or(max))
    }

    /// Signed Exp-Golomb code, se(v).
    pub(super) fn se(&mut self) -> Result<i64, ContainerError> {
        let code = i64::from(self.ue()?);
        Ok(if code % 2 == 0 { -(code / 2) } else { code / 2 + 1 })
    }
}

/// Writes bits, most significant first.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    used: usize,
}

impl Packer {
    /// Appends the low `count` bits of `value`.
    pub(super) fn put(&mut self, count: u8, value: u32) -> &mut Self {
        for shift in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if (value >> shift) & 1 == 1
                && let Some(last) = self.bytes.last_mut()
            {
                *last |= 0x80 >> (self.used % 8);
            }
            self.used += 1;
        }
        self
    }

    /// The bytes, the last filled up with zeros.
    pub(super) fn into_bytes(self) -> bytes::Bytes {
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_prevention_bytes_are_stepped_over_and_offsets_stay_true() {
        let mut r = BitReader::nal(&[0, 0, 3, 1, 0xff], 10, "a test");
        assert_eq!(r.bits(24).unwrap(), 1);
        assert_eq!(r.offset(), 14);
        assert_eq!(r.bits(8).unwrap(), 0xff);
        assert!(r.bits(1).is_err());
        let mut plain = BitReader::new(&[0, 0, 3, 1], 0, "a test");
        assert_eq!(plain.bits(32).unwrap(), 0x301);
    }

    #[test]
    fn exp_golomb_codes_follow_the_table_of_the_standard() {
        // 1 | 010 | 011 | 00100 | 00101
        let mut r = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000], 0, "a test");
        assert_eq!([r.ue(), r.ue(), r.ue(), r.ue(), r.ue()].map(Result::unwrap), [0, 1, 2, 3, 4]);
        let mut r = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000], 0, "a test");
        assert_eq!([r.se(), r.se(), r.se(), r.se(), r.se()].map(Result::unwrap), [0, 1, -1, 2, -2]);
        assert!(BitReader::new(&[0; 16], 0, "a test").ue().is_err());
    }
}
