//! How a codec's samples become an elementary stream: Annex B start codes for H.264 and HEVC, ADTS for AAC, other audio
//! as it is.

use super::{packet::PesWriter, refused};
use crate::{
    ContainerError, Format, Sample, Track, TrackKind, codec::CodecConfig, write::language::three_letters,
};

/// PID of the first track; the low four bits of a PID are the track's number.
pub(super) const PID_FIRST: u16 = 0x100;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// One track in a programme.
#[derive(Clone, Debug)]
pub(super) struct ElementaryStream {
    pid: u16,
    stream_id: u8,
    /// `stream_type` of the PMT.
    pub(super) stream_type: u8,
    /// Descriptors of the PMT.
    pub(super) descriptors: Vec<u8>,
    form: Form,
    /// What a frame lasts in a decoder, 90 kHz ticks, where the codec fixes it.
    frame_ticks: Option<i64>,
}

#[derive(Clone, Debug)]
enum Form {
    Nal(NalForm),
    Adts(AdtsForm),
    AsIs,
}

impl ElementaryStream {
    pub(super) fn new(track: &Track, number: u8) -> Result<Self, ContainerError> {
        const PRIVATE_STREAM_1: u8 = 0xbd;
        let audio_id = 0xc0 | number;
        let name = track.codec.name();
        let is_video = track.kind == TrackKind::Video;
        let (stream_type, stream_id, registration, form) = match (name, is_video) {
            ("h264", true) => (0x1b, 0xe0, None, Form::Nal(NalForm::new(&track.codec, false)?)),
            ("hevc", true) => (0x24, 0xe0, Some(b"HEVC"), Form::Nal(NalForm::new(&track.codec, true)?)),
            ("aac", false) => {
                (0x0f, audio_id, None, Form::Adts(AdtsForm::new(&track.codec.record().unwrap_or_default())?))
            }
            // MPEG-1 audio; MPEG-2's low sample rates have their own number.
            ("mp3", false) if track.audio.as_ref().is_some_and(|a| a.sample_rate < 32_000) => {
                (0x04, audio_id, None, Form::AsIs)
            }
            ("mp3", false) => (0x03, audio_id, None, Form::AsIs),
            ("ac3", false) => (0x81, PRIVATE_STREAM_1, Some(b"AC-3"), Form::AsIs),
            ("eac3", false) => (0x87, PRIVATE_STREAM_1, Some(b"EAC3"), Form::AsIs),
            _ => return Err(refused(name.to_owned())),
        };
        let mut descriptors = Vec::new();
        if let Some(format) = registration {
            descriptors.extend_from_slice(&[0x05, 4]);
            descriptors.extend_from_slice(format);
        }
        if let Some(language) = track.language.as_deref().filter(|_| !is_video).and_then(three_letters) {
            // ISO_639_language_descriptor (§2.6.18), audio type undefined.
            descriptors.extend_from_slice(&[0x0a, 4]);
            descriptors.extend_from_slice(&language);
            descriptors.push(0);
        }
        let pid = PID_FIRST + u16::from(number);
        Ok(Self { pid, stream_id, stream_type, descriptors, form, frame_ticks: frame_ticks(track) })
    }

    /// Where an audio frame ends for a decoder. Its duration may be stretched to the next frame, over a gap.
    pub(super) fn frame_end(&self, sample: &Sample) -> i64 {
        let duration = i64::from(sample.duration);
        sample.pts.saturating_add(self.frame_ticks.map_or(duration, |frame| frame.min(duration)))
    }

    pub(super) const fn pid(&self) -> u16 {
        self.pid
    }

    pub(super) const fn stream_id(&self) -> u8 {
        self.stream_id
    }

    pub(super) const fn is_video(&self) -> bool {
        matches!(self.form, Form::Nal(_))
    }

    /// Bytes that an audio frame takes.
    pub(super) fn frame_len(&self, sample: &Sample) -> usize {
        let header = if matches!(self.form, Form::Adts(_)) { AdtsForm::HEADER_LEN } else { 0 };
        if sample.data.is_empty() { 0 } else { header + sample.data.len() }
    }

    /// Bytes that these samples take in one PES; 0 if there is nothing to write.
    pub(super) fn len(&self, samples: &[Sample], is_first: bool) -> Result<usize, ContainerError> {
        match &self.form {
            Form::Nal(form) => Ok(samples.iter().map(|sample| form.len(sample, is_first)).sum()),
            Form::Adts(_) if samples.iter().any(|s| s.data.len() > AdtsForm::PAYLOAD_MAX) => {
                Err(refused("an AAC frame over 8,184 bytes"))
            }
            Form::Adts(_) | Form::AsIs => {
                let len = samples.iter().map(|sample| self.frame_len(sample)).sum();
                if len > super::AUDIO_PES_BYTES_MAX {
                    return Err(refused(format!("an audio frame of {len} bytes")));
                }
                Ok(len)
            }
        }
    }

    /// Writes what [`len`](Self::len) counted.
    pub(super) fn write(&self, samples: &[Sample], is_first: bool, out: &mut PesWriter<'_>) {
        for sample in samples.iter().filter(|sample| !sample.data.is_empty()) {
            match &self.form {
                Form::Nal(form) => form.parts(sample, is_first, |part| out.write(part)),
                Form::Adts(form) => {
                    out.write(&form.header(sample.data.len()));
                    out.write(&sample.data);
                }
                Form::AsIs => out.write(&sample.data),
            }
        }
    }
}

fn malformed(what: &'static str) -> ContainerError {
    ContainerError::malformed(Format::Codec, 0, what)
}

/// H.264 or HEVC: from length-prefixed NAL units to Annex B.
#[derive(Clone, Debug)]
struct NalForm {
    length_size: usize,
    /// Parameter sets of the configuration record, each behind a start code.
    parameter_sets: Vec<u8>,
    is_hevc: bool,
}

impl NalForm {
    fn new(codec: &CodecConfig, is_hevc: bool) -> Result<Self, ContainerError> {
        let length_size =
            codec.nal_length_size().ok_or_else(|| refused(format!("{} without NAL units", codec.name())))?;
        let mut parameter_sets = Vec::new();
        for nal in codec.parameter_sets().filter(|nal| !nal.is_empty()) {
            parameter_sets.extend_from_slice(&START_CODE);
            parameter_sets.extend_from_slice(nal);
        }
        Ok(Self { length_size: usize::from(length_size), parameter_sets, is_hevc })
    }

    fn is_delimiter(&self, nal: &[u8]) -> bool {
        nal.first().is_some_and(|&b| if self.is_hevc { (b >> 1) & 0x3f == 35 } else { b & 0x1f == 9 })
    }

    /// Hands out the access unit in order: delimiter, parameter sets where decoding may start, then the sample's NAL
    /// units, each behind a start code.
    fn parts<'s>(&'s self, sample: &'s Sample, is_first: bool, mut part: impl FnMut(&'s [u8])) {
        const AVC_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x09, 0xf0];
        const HEVC_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x46, 0x01, 0x50];
        let mut nals = Nals { rest: &sample.data, length_size: self.length_size }.peekable();
        if let Some(delimiter) = nals.next_if(|nal| self.is_delimiter(nal)) {
            part(&START_CODE);
            part(delimiter);
        } else {
            part(if self.is_hevc { HEVC_DELIMITER } else { AVC_DELIMITER });
        }
        if sample.sync || is_first {
            part(&self.parameter_sets);
        }
        for nal in nals {
            part(&START_CODE);
            part(nal);
        }
    }

    fn len(&self, sample: &Sample, is_first: bool) -> usize {
        if sample.data.is_empty() {
            return 0;
        }
        let mut len = 0;
        self.parts(sample, is_first, |part| len += part.len());
        len
    }
}

/// NAL units of a sample. Empty ones are passed over; one that claims more than there is ends with the sample.
struct Nals<'s> {
    rest: &'s [u8],
    length_size: usize,
}

impl<'s> Iterator for Nals<'s> {
    type Item = &'s [u8];

    fn next(&mut self) -> Option<&'s [u8]> {
        loop {
            let (length, after) = self.rest.split_at_checked(self.length_size)?;
            let length = length.iter().fold(0, |length: usize, &b| (length << 8) | usize::from(b));
            let (nal, rest) = after.split_at_checked(length).unwrap_or((after, &[]));
            self.rest = rest;
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    }
}

fn frame_ticks(track: &Track) -> Option<i64> {
    let samples = i64::from(track.codec.frame_samples_constant()?);
    (samples * 90_000).checked_div(i64::from(track.audio.as_ref()?.sample_rate))
}

/// AAC frames behind ADTS headers (ISO/IEC 13818-7 §6.2, ISO/IEC 14496-3 §1.A.3).
#[derive(Clone, Debug)]
struct AdtsForm {
    /// The header's fields that are the same in every frame: profile, rate, channels.
    fixed: u64,
}

impl AdtsForm {
    const HEADER_LEN: usize = 7;
    /// The frame length has 13 bits.
    const PAYLOAD_MAX: usize = 0x1fff - Self::HEADER_LEN;

    /// From an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    fn new(config: &[u8]) -> Result<Self, ContainerError> {
        let mut bits = Bits { bytes: config, at: 0 };
        let mut parse = || {
            let mut object_type = bits.object_type()?;
            let rate = bits.rate_index()?;
            let channels = bits.get(4)?;
            if matches!(object_type, 5 | 29) {
                // SBR said explicitly: ADTS says the core, decoders find SBR in the frames.
                bits.rate_index()?;
                object_type = bits.object_type()?;
            }
            Some((object_type, rate, channels))
        };
        let (object_type, rate, channels) = parse().ok_or(malformed("AudioSpecificConfig is cut short"))?;
        if !(1..=4).contains(&object_type) {
            return Err(refused(format!("AAC of object type {object_type}")));
        }
        if rate > 12 {
            return Err(refused("AAC of an irregular sample rate"));
        }
        if !(1..=7).contains(&channels) {
            return Err(refused(format!("AAC of channel configuration {channels}")));
        }
        const SYNC_MPEG4_UNPROTECTED: u64 = 0xfff1;
        let fixed = (SYNC_MPEG4_UNPROTECTED << 40)
            | (u64::from(object_type - 1) << 38)
            | (u64::from(rate) << 34)
            | (u64::from(channels) << 30);
        Ok(Self { fixed })
    }

    fn header(&self, payload: usize) -> [u8; Self::HEADER_LEN] {
        const VARIABLE_RATE: u64 = 0x7ff << 2;
        let len = (payload + Self::HEADER_LEN) as u64 & 0x1fff;
        let [_, bytes @ ..] = (self.fixed | (len << 13) | VARIABLE_RATE).to_be_bytes();
        bytes
    }
}

/// Reads bits, highest first.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    fn get(&mut self, count: usize) -> Option<u8> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = (value << 1) | ((byte >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object_type(&mut self) -> Option<u8> {
        match self.get(5)? {
            31 => Some(32 + self.get(6)?),
            short => Some(short),
        }
    }

    /// The rate's index; an explicit rate stays 15.
    fn rate_index(&mut self) -> Option<u8> {
        let index = self.get(4)?;
        if index == 15 {
            self.get(8)?;
            self.get(8)?;
            self.get(8)?;
        }
        Some(index)
    }
}
