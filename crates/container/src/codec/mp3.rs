//! MPEG-1 and MPEG-2 audio, layers I to III: the frame header (ISO/IEC 11172-3 §2.4.1.3, 13818-3 §2.4.2.3). Has no
//! record.

use super::bits::{BitReader, broken};
use crate::{AudioInfo, ContainerError};

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp3Config {
    layer: u8,
    /// MPEG-1, as opposed to MPEG-2 and 2.5 with their lower rates.
    mpeg_1: bool,
    sample_rate: u32,
    channels: u8,
}

impl Mp3Config {
    /// From a frame.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when it does not begin with a frame header.
    pub fn from_frame(frame: &[u8]) -> Result<Self, ContainerError> {
        const SYNC: u32 = 0x7ff;
        const MONO: u32 = 3;
        let mut r = BitReader::new(frame, 0, "an MPEG audio frame header");
        if r.bits(11)? != SYNC {
            return Err(broken(0, "no MPEG audio sync word"));
        }
        let (version, layer) = (r.bits(2)?, r.byte(2)?);
        let halvings = match version {
            0 => 2,
            2 => 1,
            3 => 0,
            _ => return Err(broken(1, "a reserved MPEG audio version")),
        };
        if layer == 0 {
            return Err(broken(1, "a reserved MPEG audio layer"));
        }
        r.skip(1 + 4)?;
        let Some(rate) = [44_100_u32, 48_000, 32_000].get(usize::from(r.byte(2)?)) else {
            return Err(broken(2, "a reserved MPEG audio sample rate"));
        };
        r.skip(2)?;
        let channels = if r.bits(2)? == MONO { 1 } else { 2 };
        Ok(Self { layer: 4 - layer, mpeg_1: halvings == 0, sample_rate: rate >> halvings, channels })
    }

    /// Samples of a frame.
    #[must_use]
    pub fn frame_samples(&self) -> u32 {
        match (self.layer, self.mpeg_1) {
            (1, _) => 384,
            (3, false) => 576,
            _ => 1_152,
        }
    }

    /// The object type of `esds`: 0x6b for MPEG-1 audio, 0x69 for MPEG-2.
    #[must_use]
    pub fn object_type(&self) -> u8 {
        if self.mpeg_1 { 0x6b } else { 0x69 }
    }

    /// `mp4a.6B` or `mp4a.69`.
    #[must_use]
    pub fn rfc6381(&self) -> &'static str {
        if self.mpeg_1 { "mp4a.6B" } else { "mp4a.69" }
    }

    /// Rate and channels.
    pub fn fill_audio(&self, info: &mut AudioInfo) {
        (info.sample_rate, info.channels) = (self.sample_rate, self.channels.into());
    }
}
