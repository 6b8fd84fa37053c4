//! AC-3 and E-AC-3 (ETSI TS 102 366): `dac3` and `dec3` (annex F), and the header of a syncframe (§4.4, §E.1.2), which
//! is where Matroska files state it all.

use bytes::Bytes;

use super::bits::{BitReader, Packer, broken};
use crate::{AudioInfo, ContainerError};

/// Samples of an AC-3 syncframe: six blocks.
pub(super) const SYNCFRAME_SAMPLES: u32 = 6 * BLOCK_SAMPLES;
const BLOCK_SAMPLES: u32 = 256;
const SYNC_WORD: u32 = 0x0b77;
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Channels of each `acmod`, without the low-frequency one.
const CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// E-AC-3 syncframes of one access unit that are looked at: 8 programmes of 9 substreams, in up to 6 parts.
const SYNCFRAMES_MAX: usize = 8 * 9 * 6;

/// Whether a syncframe is E-AC-3: both kinds have `bsid` in the same place.
pub(super) fn is_enhanced(frame: &[u8]) -> bool {
    const AC3_BSID_MAX: u8 = 10;
    frame.get(5).is_some_and(|byte| byte >> 3 > AC3_BSID_MAX)
}

/// What `dac3` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ac3Config {
    fscod: u8,
    bsid: u8,
    bsmod: u8,
    acmod: u8,
    lfe: bool,
    bit_rate_code: u8,
}

impl Ac3Config {
    /// From the payload of `dac3`.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        let mut r = BitReader::new(record, 0, "a dac3");
        let (fscod, bsid, bsmod, acmod, lfe) = (r.byte(2)?, r.byte(5)?, r.byte(3)?, r.byte(3)?, r.flag()?);
        let config = Self { fscod, bsid, bsmod, acmod, lfe, bit_rate_code: r.byte(5)? };
        if config.sample_rate().is_none() {
            Err(broken(0, "a reserved AC-3 sample rate"))
        } else {
            Ok(config)
        }
    }

    /// From a syncframe.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when it does not begin with one.
    pub fn from_frame(frame: &[u8]) -> Result<Self, ContainerError> {
        let mut r = BitReader::new(frame, 0, "an AC-3 syncframe");
        if r.bits(16)? != SYNC_WORD {
            return Err(broken(0, "no AC-3 sync word"));
        }
        r.skip(16)?;
        let (fscod, bit_rate_code, bsid) = (r.byte(2)?, r.byte(6)? >> 1, r.byte(5)?);
        if bsid > 10 {
            return Err(broken(5, format!("AC-3 bsid {bsid}")));
        }
        let (bsmod, acmod) = (r.byte(3)?, r.byte(3)?);
        if acmod & 1 == 1 && acmod != 1 {
            r.skip(2)?;
        }
        if acmod & 4 != 0 {
            r.skip(2)?;
        }
        if acmod == 2 {
            r.skip(2)?;
        }
        let config = Self { fscod, bsid, bsmod, acmod, lfe: r.flag()?, bit_rate_code };
        if config.sample_rate().is_none() {
            Err(broken(4, "a reserved AC-3 sample rate"))
        } else {
            Ok(config)
        }
    }

    /// The payload of `dac3`.
    #[must_use]
    pub fn record(&self) -> Bytes {
        let mut bits = Packer::default();
        bits.put(2, self.fscod.into()).put(5, self.bsid.into()).put(3, self.bsmod.into());
        bits.put(3, self.acmod.into()).put(1, self.lfe.into()).put(5, self.bit_rate_code.into()).put(5, 0);
        bits.into_bytes()
    }

    fn sample_rate(&self) -> Option<u32> {
        let rate = SAMPLE_RATES.get(usize::from(self.fscod))?;
        // bsid 9 and 10 are half and quarter rate.
        Some(rate >> self.bsid.saturating_sub(8).min(2))
    }

    /// Rate and channels.
    pub fn fill_audio(&self, info: &mut AudioInfo) {
        info.sample_rate = self.sample_rate().unwrap_or(info.sample_rate);
        info.channels = CHANNELS[usize::from(self.acmod & 7)] + u16::from(self.lfe);
    }
}

/// One independent substream of E-AC-3: a programme, with the dependent substreams that add channels to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eac3Substream {
    fscod: u8,
    bsid: u8,
    asvc: bool,
    bsmod: u8,
    acmod: u8,
    lfe: bool,
    dependents: u8,
    /// Channels of the dependent substreams beyond 5.1, by the bits of `chan_loc` (table F.6.1).
    chan_loc: u16,
}

impl Eac3Substream {
    /// Channels with those of the dependent substreams.
    #[must_use]
    pub fn channels(&self) -> u16 {
        /// Bits of `chan_loc` that are pairs: Lc/Rc, Lrs/Rrs, Lsd/Rsd, Lw/Rw, Lvh/Rvh.
        const PAIRS: u16 = 0b0_0111_0011;
        let added = self.chan_loc.count_ones() + (self.chan_loc & PAIRS).count_ones();
        CHANNELS[usize::from(self.acmod & 7)] + u16::from(self.lfe) + u16::try_from(added).unwrap_or(0)
    }
}

/// What `dec3` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eac3Config {
    /// Kilobits a second.
    data_rate: u16,
    substreams: Vec<Eac3Substream>,
    /// `complexity_index_type_a`: objects of the Atmos (JOC) extension.
    joc: Option<u8>,
    sample_rate: u32,
    samples: u32,
}

impl Eac3Config {
    /// From the payload of `dec3`.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] with the offset in the record.
    pub fn parse(record: &Bytes) -> Result<Self, ContainerError> {
        let mut r = BitReader::new(record, 0, "a dec3");
        let data_rate = r.short(13)?;
        let mut substreams = Vec::new();
        for _ in 0..=r.bits(3)? {
            let (fscod, bsid) = (r.byte(2)?, r.byte(5)?);
            r.skip(1)?;
            let (asvc, bsmod, acmod, lfe) = (r.flag()?, r.byte(3)?, r.byte(3)?, r.flag()?);
            r.skip(3)?;
            let dependents = r.byte(4)?;
            let chan_loc = r.short(if dependents > 0 { 9 } else { 1 })?;
            let chan_loc = if dependents > 0 { chan_loc } else { 0 };
            substreams.push(Eac3Substream { fscod, bsid, asvc, bsmod, acmod, lfe, dependents, chan_loc });
        }
        let joc = if r.bits_left() >= 16 {
            r.skip(7)?;
            let (has_joc, objects) = (r.flag()?, r.byte(8)?);
            has_joc.then_some(objects)
        } else {
            None
        };
        // fscod 3 is one of the half rates; the record does not say which, the sample entry does.
        let rate = substreams.first().and_then(|s| SAMPLE_RATES.get(usize::from(s.fscod)));
        Ok(Self {
            data_rate,
            joc,
            sample_rate: rate.copied().unwrap_or(0),
            substreams,
            samples: SYNCFRAME_SAMPLES,
        })
    }

    /// From an access unit: the syncframes of every substream.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when it does not begin with a syncframe.
    pub fn from_frame(frame: &[u8]) -> Result<Self, ContainerError> {
        let first = Syncframe::parse(frame, 0)?;
        let mut substreams: Vec<Eac3Substream> = Vec::new();
        let (mut bytes, mut samples) = (0_usize, 0_u32);
        for sync in Syncframes::new(frame) {
            bytes += sync.bytes;
            match sync.kind {
                Kind::Dependent => {
                    if let Some(parent) = substreams.last_mut() {
                        parent.dependents = parent.dependents.max((sync.id + 1).min(8));
                        parent.chan_loc |= sync.chan_loc();
                    }
                }
                _ if usize::from(sync.id) == substreams.len() => {
                    substreams.push(sync.substream);
                    samples += if sync.id == 0 { sync.samples } else { 0 };
                }
                _ => samples += if sync.id == 0 { sync.samples } else { 0 },
            }
        }
        if substreams.is_empty() {
            return Err(broken(0, "an E-AC-3 access unit that begins with a dependent substream"));
        }
        let bits = bytes as u64 * 8 * u64::from(first.sample_rate);
        let data_rate = bits.checked_div(u64::from(samples) * 1_000).unwrap_or(0);
        let data_rate = u16::try_from(data_rate).unwrap_or(u16::MAX).min(0x1fff);
        Ok(Self { data_rate, substreams, joc: first.joc, sample_rate: first.sample_rate, samples })
    }

    /// The payload of `dec3`.
    #[must_use]
    pub fn record(&self) -> Bytes {
        let mut bits = Packer::default();
        let last = self.substreams.len().saturating_sub(1).min(7);
        bits.put(13, self.data_rate.into()).put(3, u32::try_from(last).unwrap_or(0));
        for s in self.substreams.iter().take(8) {
            bits.put(2, s.fscod.into()).put(5, s.bsid.into()).put(1, 0).put(1, s.asvc.into());
            bits.put(3, s.bsmod.into()).put(3, s.acmod.into()).put(1, s.lfe.into()).put(3, 0);
            bits.put(4, s.dependents.into());
            bits.put(if s.dependents > 0 { 9 } else { 1 }, s.chan_loc.into());
        }
        if let Some(objects) = self.joc {
            bits.put(7, 0).put(1, 1).put(8, objects.into());
        }
        bits.into_bytes()
    }

    /// The programmes; the first is the one to play.
    #[must_use]
    pub fn substreams(&self) -> &[Eac3Substream] {
        &self.substreams
    }

    /// Objects of the Atmos (JOC) extension, where stated. HLS says `CHANNELS="16/JOC"` for these.
    #[must_use]
    pub fn joc_objects(&self) -> Option<u8> {
        self.joc
    }

    /// Samples of an access unit: those of the one seen, else the six blocks that MP4 requires.
    #[must_use]
    pub fn access_unit_samples(&self) -> u32 {
        self.samples
    }

    /// Samples of this access unit: of all syncframes of its first programme.
    #[must_use]
    pub fn frame_samples(frame: &[u8]) -> Option<u32> {
        let first = |s: &Syncframe| s.kind != Kind::Dependent && s.id == 0;
        let samples = Syncframes::new(frame).filter(first).map(|s| s.samples).sum();
        (samples > 0).then_some(samples)
    }

    /// Rate and channels of the first programme.
    pub fn fill_audio(&self, info: &mut AudioInfo) {
        if self.sample_rate > 0 {
            info.sample_rate = self.sample_rate;
        }
        if let Some(first) = self.substreams.first() {
            info.channels = first.channels();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Independent,
    Dependent,
    /// Independent, made from an AC-3 stream.
    Converted,
}

/// The header of one E-AC-3 syncframe.
#[derive(Clone, Copy, Debug)]
struct Syncframe {
    kind: Kind,
    id: u8,
    bytes: usize,
    sample_rate: u32,
    samples: u32,
    substream: Eac3Substream,
    /// `chanmap`, first channel in the highest bit; 0 where not stated.
    chanmap: u16,
    joc: Option<u8>,
}

impl Syncframe {
    fn parse(frame: &[u8], base: usize) -> Result<Self, ContainerError> {
        let mut r = BitReader::new(frame, base, "an E-AC-3 syncframe");
        if r.bits(16)? != SYNC_WORD {
            return Err(broken(base, "no E-AC-3 sync word"));
        }
        let kind = match r.bits(2)? {
            0 => Kind::Independent,
            1 => Kind::Dependent,
            2 => Kind::Converted,
            _ => return Err(broken(base + 2, "a reserved E-AC-3 stream type")),
        };
        let (id, words, fscod) = (r.byte(3)?, r.bits(11)? + 1, r.byte(2)?);
        let code = usize::from(r.byte(2)?);
        let reserved = || broken(base + 4, "a reserved E-AC-3 sample rate");
        let (rate, blocks) = match SAMPLE_RATES.get(usize::from(fscod)) {
            Some(&rate) => (rate, [1, 2, 3, 6][code & 3]),
            None => (SAMPLE_RATES.get(code).ok_or_else(reserved)? / 2, 6),
        };
        let (acmod, lfe, bsid) = (r.byte(3)?, r.flag()?, r.byte(5)?);
        if !(11..=16).contains(&bsid) {
            return Err(broken(base + 5, format!("E-AC-3 bsid {bsid}")));
        }
        let mut sync = Self {
            kind,
            id,
            bytes: usize::try_from(words).unwrap_or(0) * 2,
            sample_rate: rate,
            samples: blocks * BLOCK_SAMPLES,
            substream: Eac3Substream {
                fscod,
                bsid,
                asvc: false,
                bsmod: 0,
                acmod,
                lfe,
                dependents: 0,
                chan_loc: 0,
            },
            chanmap: 0,
            joc: None,
        };
        // A frame cut short still states the above.
        let _ = sync.read_rest(&mut r, blocks);
        Ok(sync)
    }

    /// `bsi()` from `dialnorm` to `addbsi` (§E.1.2.2).
    fn read_rest(&mut self, r: &mut BitReader<'_>, blocks: u32) -> Result<(), ContainerError> {
        let Eac3Substream { acmod, fscod, .. } = self.substream;
        let programmes = if acmod == 0 { 2 } else { 1 };
        for _ in 0..programmes {
            r.skip(5)?;
            skip_if_flagged(r, 8)?;
        }
        if self.kind == Kind::Dependent && r.flag()? {
            self.chanmap = r.short(16)?;
        }
        if r.flag()? {
            self.skip_mixing(r, blocks, programmes)?;
        }
        if r.flag()? {
            self.substream.bsmod = r.byte(3)?;
            r.skip(2 + if acmod == 2 { 4 } else { 0 } + if acmod >= 6 { 2 } else { 0 })?;
            for _ in 0..programmes {
                skip_if_flagged(r, 8)?;
            }
            r.skip(u32::from(fscod < 3))?;
        }
        if self.kind == Kind::Independent && blocks != 6 {
            r.skip(1)?;
        }
        if self.kind == Kind::Converted && (blocks == 6 || r.flag()?) {
            r.skip(6)?;
        }
        // The extension for Atmos (ETSI TS 103 420 §8.3) is the only one there is.
        if r.flag()? && r.bits(6)? >= 1 {
            r.skip(7)?;
            let (has_joc, objects) = (r.flag()?, r.byte(8)?);
            self.joc = has_joc.then_some(objects);
        }
        Ok(())
    }

    /// The mixing metadata behind `mixmdate`.
    fn skip_mixing(&self, r: &mut BitReader<'_>, blocks: u32, programmes: u32) -> Result<(), ContainerError> {
        let Eac3Substream { acmod, lfe, .. } = self.substream;
        let has_centre = acmod & 1 == 1 && acmod > 2;
        let downmix = if acmod > 2 { 2 } else { 0 };
        r.skip(downmix + if has_centre { 6 } else { 0 } + if acmod & 4 != 0 { 6 } else { 0 })?;
        if lfe {
            skip_if_flagged(r, 5)?;
        }
        if self.kind != Kind::Independent {
            return Ok(());
        }
        for _ in 0..programmes + 1 {
            skip_if_flagged(r, 6)?;
        }
        match r.bits(2)? {
            1 => r.skip(5)?,
            2 => r.skip(12)?,
            3 => {
                let bytes = r.bits(5)? + 2;
                r.skip(8 * bytes)?;
            }
            _ => {}
        }
        if acmod < 2 {
            for _ in 0..programmes {
                skip_if_flagged(r, 14)?;
            }
        }
        if r.flag()? {
            if blocks == 1 {
                return r.skip(5);
            }
            for _ in 0..blocks {
                skip_if_flagged(r, 5)?;
            }
        }
        Ok(())
    }

    /// The channels of a dependent substream as bits of `chan_loc`.
    fn chan_loc(&self) -> u16 {
        // chanmap counts from its highest bit: 5 is Lc/Rc, 12 is Cvh, 14 is LFE2.
        let bit = |index: u16, to: u16| ((self.chanmap >> (15 - index)) & 1) << to;
        (0..8).map(|to| bit(to + 5, to)).sum::<u16>() | bit(14, 8)
    }
}

/// A flag, and `count` bits where it is set.
fn skip_if_flagged(r: &mut BitReader<'_>, count: u32) -> Result<(), ContainerError> {
    if r.flag()? { r.skip(count) } else { Ok(()) }
}

/// The syncframes of an access unit, as far as they can be read.
struct Syncframes<'a> {
    frame: &'a [u8],
    at: usize,
    budget: usize,
}

impl<'a> Syncframes<'a> {
    fn new(frame: &'a [u8]) -> Self {
        Self { frame, at: 0, budget: SYNCFRAMES_MAX }
    }
}

impl Iterator for Syncframes<'_> {
    type Item = Syncframe;

    fn next(&mut self) -> Option<Syncframe> {
        self.budget = self.budget.checked_sub(1)?;
        let sync = Syncframe::parse(self.frame.get(self.at..)?, self.at).ok()?;
        self.at = self.at.checked_add(sync.bytes)?;
        Some(sync)
    }
}
