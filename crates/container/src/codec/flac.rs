//! FLAC: the STREAMINFO block (RFC 9639 §8.2) as Matroska (`fLaC` and metadata blocks) and MP4 (`dfLa`) hold it, and
//! the block size in a frame header (§9.1).

use bytes::Bytes;

use super::bits::{BitReader, broken};
use crate::{AudioInfo, ContainerError};

const MAGIC: &[u8] = b"fLaC";
const STREAMINFO_BYTES: usize = 34;

/// A STREAMINFO block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlacConfig {
    streaminfo: Bytes,
    block_samples: [u16; 2],
    sample_rate: u32,
    channels: u8,
    bit_depth: u8,
}

impl FlacConfig {
    /// From metadata blocks whose first is STREAMINFO, behind `fLaC` (Matroska), behind version and flags (`dfLa`), or
    /// bare.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        const LAST: u8 = 0x80;
        // A block header of type and length 0 would be an empty STREAMINFO: it is version and flags.
        let base = if record.starts_with(MAGIC) || record.starts_with(&[0; 4]) { 4 } else { 0 };
        let Some(&[kind, 0, 0, 34]) = record.get(base..).and_then(|body| body.first_chunk::<4>()) else {
            return Err(broken(base, "FLAC metadata that does not begin with STREAMINFO"));
        };
        if kind & !LAST != 0 {
            return Err(broken(base, format!("FLAC metadata that begins with a block of type {kind}")));
        }
        let start = base + 4;
        if record.len() < start + STREAMINFO_BYTES {
            return Err(broken(start, "the record ends inside STREAMINFO"));
        }
        let streaminfo = record.slice(start..start + STREAMINFO_BYTES);
        let mut r = BitReader::new(&streaminfo, start, "STREAMINFO");
        let block_samples = [r.short(16)?, r.short(16)?];
        r.skip(48)?;
        let (sample_rate, channels, bit_depth) = (r.bits(20)?, 1 + r.byte(3)?, 1 + r.byte(5)?);
        if sample_rate == 0 {
            return Err(broken(start + 10, "a FLAC sample rate of 0"));
        }
        Ok(Self { streaminfo, block_samples, sample_rate, channels, bit_depth })
    }

    /// The payload of `dfLa` behind version and flags: STREAMINFO as the only metadata block.
    #[must_use]
    pub fn record(&self) -> Bytes {
        [&[0x80, 0, 0, 34], self.streaminfo.as_ref()].concat().into()
    }

    /// The 34 bytes of STREAMINFO.
    #[must_use]
    pub fn streaminfo(&self) -> &Bytes {
        &self.streaminfo
    }

    /// Samples of every frame but the last, where all have the same.
    #[must_use]
    pub fn frame_samples_constant(&self) -> Option<u32> {
        let [min, max] = self.block_samples;
        (min == max && max > 0).then_some(max.into())
    }

    /// Samples of this frame by its header.
    #[must_use]
    pub fn frame_samples(&self, frame: &[u8]) -> Option<u32> {
        block_size(frame).ok().flatten()
    }

    /// Rate, channels and bits.
    pub fn fill_audio(&self, info: &mut AudioInfo) {
        (info.sample_rate, info.channels) = (self.sample_rate, self.channels.into());
        info.bit_depth = self.bit_depth.into();
    }
}

fn block_size(frame: &[u8]) -> Result<Option<u32>, ContainerError> {
    const SYNC: u32 = 0x3ffe << 1;
    let mut r = BitReader::new(frame, 0, "a FLAC frame header");
    if r.bits(15)? != SYNC {
        return Ok(None);
    }
    r.skip(1)?;
    let code = r.bits(4)?;
    r.skip(4 + 8)?;
    // The frame or sample number, coded as UTF-8 is.
    let more = r.byte(8)?.leading_ones().saturating_sub(1);
    r.skip(8 * more.min(6))?;
    Ok(match code {
        1 => Some(192),
        2..=5 => Some(576 << (code - 2)),
        6 => Some(1 + r.bits(8)?),
        7 => Some(1 + r.bits(16)?),
        8..=15 => Some(256 << (code - 8)),
        _ => None,
    })
}
