//! AAC: the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) with explicit SBR and PS, programme config elements
//! (§4.4.1.1), low delay and USAC (ISO/IEC 23003-3 §5.2).

use bytes::Bytes;

use super::bits::{BitReader, Packer};
use crate::{AudioInfo, ContainerError};

const LC: u8 = 2;
const SBR: u8 = 5;
const PS: u8 = 29;
const ER_LD: u8 = 23;
const ER_ELD: u8 = 39;
const USAC: u8 = 42;

const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// An AudioSpecificConfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacConfig {
    record: Bytes,
    /// Of the core, such as 2 for LC.
    object_type: u8,
    core_rate: u32,
    channels: u16,
    /// Samples of a core frame, at the core's rate.
    core_samples: u16,
    /// Rate that SBR puts out, where it is signalled.
    sbr_rate: Option<u32>,
    parametric_stereo: bool,
}

impl AacConfig {
    /// From an AudioSpecificConfig: Matroska's private data, the decoder specific information of `esds`.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        let mut r = BitReader::new(record, 0, "an AudioSpecificConfig");
        let mut object_type = object_type(&mut r)?;
        let core_rate = sample_rate(&mut r)?;
        let configuration = r.byte(4)?;
        let (mut sbr_rate, mut parametric_stereo) = (None, false);
        if matches!(object_type, SBR | PS) {
            parametric_stereo = object_type == PS;
            sbr_rate = Some(sample_rate(&mut r)?);
            object_type = self::object_type(&mut r)?;
        }
        let mut config = Self {
            record: record.clone(),
            object_type,
            core_rate,
            channels: channels_of(configuration),
            core_samples: 1_024,
            sbr_rate,
            parametric_stereo,
        };
        config.read_specific(&mut r, configuration)?;
        if config.sbr_rate.is_none() {
            // The record may end anywhere in these backward compatible extensions.
            let _ = config.read_extensions(&mut r);
        }
        if config.channels == 0 {
            return Err(r.broken(format!("AAC channel configuration {configuration}")));
        }
        Ok(config)
    }

    /// For files that state only rate and channels: object type `object_type` (2 is LC), `sbr_rate` where SBR doubles
    /// it. `None` where no channel configuration has as many channels.
    #[must_use]
    pub fn from_parts(object_type: u8, core_rate: u32, channels: u16, sbr_rate: Option<u32>) -> Option<Self> {
        let configuration = (1..16).find(|&c| channels_of(c) == channels)?;
        let mut bits = Packer::default();
        let put_rate = |bits: &mut Packer, rate: u32| {
            match SAMPLE_RATES.iter().position(|&r| r == rate) {
                Some(index) => bits.put(4, u32::try_from(index).unwrap_or(0)),
                None => bits.put(4, 15).put(24, rate),
            };
        };
        bits.put(5, if sbr_rate.is_some() { SBR } else { object_type }.into());
        put_rate(&mut bits, core_rate);
        bits.put(4, configuration.into());
        if let Some(rate) = sbr_rate {
            put_rate(&mut bits, rate);
            bits.put(5, object_type.into());
        }
        bits.put(3, 0);
        Self::parse(&bits.into_bytes()).ok()
    }

    /// The AudioSpecificConfig.
    #[must_use]
    pub fn record(&self) -> Bytes {
        self.record.clone()
    }

    /// MPEG-1 layers I to III under MPEG-4 object types: not AAC.
    pub(super) fn is_layered_mpeg(&self) -> bool {
        matches!(self.object_type, 32..=34)
    }

    /// `mp4a.40.N`: 2 is LC, 5 with SBR (HE-AAC), 29 with PS too (HE-AAC v2).
    #[must_use]
    pub fn rfc6381(&self) -> String {
        format!("mp4a.40.{}", self.stated_object_type())
    }

    fn stated_object_type(&self) -> u8 {
        match (self.sbr_rate, self.parametric_stereo) {
            (_, true) => PS,
            (Some(_), _) if self.object_type == LC => SBR,
            _ => self.object_type,
        }
    }

    /// MPEG-4 audio object type of the core: 2 is LC.
    #[must_use]
    pub fn object_type(&self) -> u8 {
        self.object_type
    }

    /// Samples of a frame as it comes out of the decoder: 1024, 960, 2048 with SBR.
    #[must_use]
    pub fn frame_samples(&self) -> u32 {
        let core = u64::from(self.core_samples);
        let out = core * u64::from(self.sample_rate()) / u64::from(self.core_rate.max(1));
        u32::try_from(out).unwrap_or(u32::from(self.core_samples))
    }

    /// Samples a second that come out of the decoder.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sbr_rate.unwrap_or(self.core_rate)
    }

    /// Samples a second of the core; half of [`sample_rate`](Self::sample_rate) with SBR.
    #[must_use]
    pub fn core_rate(&self) -> u32 {
        self.core_rate
    }

    /// Rate and channels as they come out of the decoder. SBR that is only in the frames (implicit signalling) is not
    /// seen: rate and frame length are then both the core's, and times are right.
    pub fn fill_audio(&self, info: &mut AudioInfo) {
        info.sample_rate = self.sample_rate();
        info.channels = if self.parametric_stereo { 2 } else { self.channels };
    }

    fn read_specific(&mut self, r: &mut BitReader<'_>, configuration: u8) -> Result<(), ContainerError> {
        match self.object_type {
            1..=4 | 6 | 7 | 17 | 19..=ER_LD => self.read_general_audio(r, configuration),
            ER_ELD => {
                self.core_samples = if r.flag()? { 480 } else { 512 };
                // What is left concerns resilience and SBR at the same rate or double; frames stay as long.
                Ok(())
            }
            USAC => self.read_usac(r),
            _ => Ok(()),
        }
    }

    /// `GASpecificConfig()` (§4.4.1).
    fn read_general_audio(&mut self, r: &mut BitReader<'_>, configuration: u8) -> Result<(), ContainerError> {
        let is_short = r.flag()?;
        self.core_samples = match (self.object_type, is_short) {
            (ER_LD, false) => 512,
            (ER_LD, true) => 480,
            (_, false) => 1_024,
            (_, true) => 960,
        };
        if r.flag()? {
            r.skip(14)?;
        }
        let extended = r.flag()?;
        if configuration == 0 {
            self.channels = programme_channels(r)?;
        }
        if matches!(self.object_type, 6 | 20) {
            r.skip(3)?;
        }
        if extended {
            match self.object_type {
                22 => r.skip(16)?,
                17 | 19 | 20 | ER_LD => r.skip(3)?,
                _ => {}
            }
            r.skip(1)?;
        }
        Ok(())
    }

    /// `UsacConfig()`, as far as it says how long frames are.
    fn read_usac(&mut self, r: &mut BitReader<'_>) -> Result<(), ContainerError> {
        const INDEX_EXPLICIT: u8 = 0x1f;
        let index = r.byte(5)?;
        let rate = if index == INDEX_EXPLICIT {
            r.bits(24)?
        } else {
            SAMPLE_RATES.get(usize::from(index)).copied().unwrap_or(self.core_rate)
        };
        let Some(&samples) = [768, 1_024, 2_048, 2_048, 4_096].get(usize::from(r.byte(3)?)) else {
            return Err(r.broken("a reserved USAC frame length"));
        };
        // Both are of the output: SBR, where it is used, is part of the codec.
        (self.core_rate, self.core_samples) = (checked_rate(r, rate)?, samples);
        if self.channels == 0 {
            self.channels = channels_of(r.byte(5)?);
        }
        Ok(())
    }

    /// Extensions behind the core's configuration that old decoders do not look at (§1.6.6.2).
    fn read_extensions(&mut self, r: &mut BitReader<'_>) -> Result<(), ContainerError> {
        const SYNC_SBR: u32 = 0x2b7;
        const SYNC_PS: u32 = 0x548;
        if matches!(self.object_type, ER_ELD | USAC)
            || r.bits(11)? != SYNC_SBR
            || object_type(r)? != SBR
            || !r.flag()?
        {
            return Ok(());
        }
        self.sbr_rate = Some(sample_rate(r)?);
        self.parametric_stereo = r.bits(11)? == SYNC_PS && r.flag()?;
        Ok(())
    }
}

fn object_type(r: &mut BitReader<'_>) -> Result<u8, ContainerError> {
    const ESCAPE: u8 = 31;
    match r.byte(5)? {
        ESCAPE => Ok(32 + r.byte(6)?),
        0 => Err(r.broken("audio object type 0")),
        kind => Ok(kind),
    }
}

fn sample_rate(r: &mut BitReader<'_>) -> Result<u32, ContainerError> {
    const EXPLICIT: u8 = 15;
    let index = r.byte(4)?;
    if index == EXPLICIT {
        let rate = r.bits(24)?;
        return checked_rate(r, rate);
    }
    SAMPLE_RATES
        .get(usize::from(index))
        .copied()
        .ok_or_else(|| r.broken(format!("AAC sample rate index {index}")))
}

fn checked_rate(r: &BitReader<'_>, rate: u32) -> Result<u32, ContainerError> {
    /// Beyond what any converter puts out.
    const RATE_MAX: u32 = 768_000;
    if (1..=RATE_MAX).contains(&rate) {
        Ok(rate)
    } else {
        Err(r.broken(format!("an AAC sample rate of {rate}")))
    }
}

/// Channels of each channel configuration (table 1.19); 0 where none are stated.
fn channels_of(configuration: u8) -> u16 {
    [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0].get(usize::from(configuration)).copied().unwrap_or(0)
}

/// `program_config_element()`, its channels.
fn programme_channels(r: &mut BitReader<'_>) -> Result<u16, ContainerError> {
    r.skip(4 + 2 + 4)?;
    let [front, side, back] = [r.byte(4)?, r.byte(4)?, r.byte(4)?];
    let (lfe, data, coupling) = (r.byte(2)?, r.byte(3)?, r.byte(4)?);
    for mix in [4, 4, 3] {
        if r.flag()? {
            r.skip(mix)?;
        }
    }
    let mut channels = u16::from(lfe);
    for _ in 0..front + side + back {
        channels += if r.flag()? { 2 } else { 1 };
        r.skip(4)?;
    }
    r.skip(4 * u32::from(lfe) + 4 * u32::from(data) + 5 * u32::from(coupling))?;
    r.align();
    let comment = r.bits(8)?;
    r.skip(8 * comment)?;
    Ok(channels)
}
