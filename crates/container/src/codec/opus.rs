//! Opus: the identification header (RFC 7845 §5.1, Matroska's private data), `dOps` (Opus in ISO Base Media File
//! Format §4.3.2), and the length of a packet by its first byte (RFC 6716 §3.1).

use bytes::Bytes;

use super::bits::broken;
use crate::{AudioInfo, ContainerError};

const MAGIC: &[u8] = b"OpusHead";
/// What decoders put out, whatever went in.
const SAMPLE_RATE: u32 = 48_000;

/// What an identification header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpusConfig {
    channels: u8,
    pre_skip: u16,
    input_rate: u32,
    gain: [u8; 2],
    family: u8,
    /// Stream count, coupled count and channel mapping, for families other than 0.
    mapping: Bytes,
}

impl OpusConfig {
    /// From the payload of `dOps`.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        let Some(&[version, channels, s0, s1, r0, r1, r2, r3, g0, g1, family]) = record.first_chunk() else {
            return Err(broken(0, format!("a dOps of {} bytes", record.len())));
        };
        if version != 0 {
            return Err(broken(0, format!("dOps version {version}")));
        }
        let (pre_skip, input_rate) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([r0, r1, r2, r3]));
        Self { channels, pre_skip, input_rate, gain: [g0, g1], family, mapping: Bytes::new() }
            .with_mapping(record, 11)
    }

    /// From an identification header, with or without its magic.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the header.
    pub fn from_opus_head(head: &Bytes) -> Result<Self, ContainerError> {
        let base = if head.starts_with(MAGIC) { MAGIC.len() } else { 0 };
        let Some(&[version, channels, s0, s1, r0, r1, r2, r3, g0, g1, family]) =
            head.get(base..).and_then(|body| body.first_chunk())
        else {
            return Err(broken(0, format!("an Opus header of {} bytes", head.len())));
        };
        // The high half is the version that may not be understood.
        if version >> 4 != 0 {
            return Err(broken(base, format!("Opus header version {version}")));
        }
        let (pre_skip, input_rate) = (u16::from_le_bytes([s0, s1]), u32::from_le_bytes([r0, r1, r2, r3]));
        Self { channels, pre_skip, input_rate, gain: [g1, g0], family, mapping: Bytes::new() }
            .with_mapping(head, base + 11)
    }

    fn with_mapping(mut self, record: &Bytes, at: usize) -> Result<Self, ContainerError> {
        if self.channels == 0 || (self.family == 0 && self.channels > 2) {
            let what = format!("{} Opus channels of mapping family {}", self.channels, self.family);
            return Err(broken(at - 1, what));
        }
        if self.family != 0 {
            let end = at + 2 + usize::from(self.channels);
            if end > record.len() {
                return Err(broken(at, "the record ends inside the Opus channel mapping"));
            }
            self.mapping = record.slice(at..end);
        }
        Ok(self)
    }

    /// The payload of `dOps`.
    #[must_use]
    pub fn record(&self) -> Bytes {
        let mut record = vec![0, self.channels];
        record.extend(self.pre_skip.to_be_bytes());
        record.extend(self.input_rate.to_be_bytes());
        record.extend(self.gain);
        record.push(self.family);
        record.extend_from_slice(&self.mapping);
        record.into()
    }

    /// The payload of `dOps`: [`record`](Self::record) by its usual name.
    #[must_use]
    pub fn dops(&self) -> Bytes {
        self.record()
    }

    /// Samples at 48 kHz to drop from the decoder's start.
    #[must_use]
    pub fn pre_skip(&self) -> u16 {
        self.pre_skip
    }

    /// Channels that come out of the decoder.
    #[must_use]
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Samples at 48 kHz of this packet by its table of contents; `None` for an empty or impossible packet.
    #[must_use]
    pub fn frame_samples(packet: &[u8]) -> Option<u32> {
        /// 120 ms.
        const PACKET_SAMPLES_MAX: u32 = 5_760;
        let &toc = packet.first()?;
        let config = toc >> 3;
        let frame = match config {
            0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
            12..=15 => [480, 960][usize::from(config & 1)],
            _ => [120, 240, 480, 960][usize::from(config & 3)],
        };
        let frames = match toc & 3 {
            0 => 1,
            1 | 2 => 2,
            _ => u32::from(packet.get(1)? & 0x3f),
        };
        let samples = frame * frames;
        (1..=PACKET_SAMPLES_MAX).contains(&samples).then_some(samples)
    }

    /// 48 kHz, and the channels.
    pub fn fill_audio(&self, info: &mut AudioInfo) {
        (info.sample_rate, info.channels) = (SAMPLE_RATE, self.channels.into());
    }
}
