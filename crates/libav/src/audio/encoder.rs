//! Samples to AAC or FLAC.

use super::samples;
use crate::{encode::Encoder, error::Error, packet::EncodedSample, sys};

/// What sound is encoded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioTarget {
    /// AAC-LC, frames of 1,024 samples.
    Aac {
        /// Bits a second, of all channels together.
        bits_per_second: u32,
    },
    /// FLAC of 16 bits.
    Flac {
        /// Samples of a frame, 16 to 65,535; all but the last have as many.
        frame_samples: u16,
    },
}

/// What an audio encoder is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioEncoderSettings {
    /// What comes out.
    pub target: AudioTarget,
    /// Samples a second; also the unit of the times that come out.
    pub sample_rate: u32,
    /// Channels, 1 to 8, in their [common layout](crate::Channels::common).
    pub channels: u16,
    /// The number of the first sample that is sent, at `sample_rate` from the track's time 0.
    pub start: i64,
}

/// Encodes one track. The `pts` of what comes out is the number of the first sample that a decoder gives for it: AAC begins
/// [`initial_padding`](Self::initial_padding) samples before `start`, with what nobody sent.
///
/// An AAC frame depends on samples before and after its own, and a decoder needs the frame before it. A stretch of the
/// grid that joins stretches encoded apart is therefore fed from two frames before its first one to one frame after its last,
/// and only its own frames are kept.
pub struct AudioEncoder {
    inner: Encoder,
    settings: AudioEncoderSettings,
    configuration: Vec<u8>,
    frame_samples: usize,
    format: i32,
    /// Samples that do not fill a frame yet.
    open: Vec<f32>,
    next: i64,
}

impl AudioEncoder {
    /// Opens an encoder.
    ///
    /// # Errors
    /// [`Error::Setting`] for rates and channel counts that cannot be; [`Error::Failed`] where the encoder refuses them.
    pub fn open(settings: &AudioEncoderSettings) -> Result<Self, Error> {
        if !(1..=8).contains(&settings.channels)
            || !(1000..=768_000).contains(&settings.sample_rate)
            || settings.start.unsigned_abs() > 1 << 52
        {
            return Err(Error::Setting { what: "sound", value: format!("{settings:?}") });
        }
        let f = sys::functions()?;
        let (name, format) = match settings.target {
            AudioTarget::Aac { .. } => ("aac", sys::AV_SAMPLE_FMT_FLTP),
            AudioTarget::Flac { .. } => ("flac", sys::AV_SAMPLE_FMT_S16),
        };
        let inner = Encoder::open(name, |context, _| {
            context.sample_rate = settings.sample_rate.cast_signed();
            context.sample_fmt = format;
            context.time_base = sys::AVRational { num: 1, den: settings.sample_rate.cast_signed() };
            context.thread_count = 1;
            match settings.target {
                AudioTarget::Aac { bits_per_second } => context.bit_rate = bits_per_second.into(),
                AudioTarget::Flac { frame_samples } => context.frame_size = frame_samples.into(),
            }
            // SAFETY: the layout of a context of ours, empty until now.
            unsafe { f.av_channel_layout_default(&raw mut context.ch_layout, settings.channels.into()) };
            Ok(())
        })?;
        let context = inner.context();
        let frame_samples = usize::try_from(context.fields().frame_size).unwrap_or(0);
        if frame_samples == 0 {
            return Err(Error::Missing(format!("frame size of encoder {name}")));
        }
        let configuration = match settings.target {
            AudioTarget::Aac { .. } => context.extradata().to_vec(),
            // The last metadata block, of type 0 (STREAMINFO) and 34 bytes.
            AudioTarget::Flac { .. } => [&[0x80, 0, 0, 34], context.extradata()].concat(),
        };
        let next = settings.start;
        Ok(Self { inner, settings: *settings, configuration, frame_samples, format, open: Vec::new(), next })
    }

    /// The AudioSpecificConfig, or the payload of `dfLa` after version and flags: the same for the same settings.
    pub fn configuration(&self) -> &[u8] {
        &self.configuration
    }

    /// How many samples come before the first that was sent: 1,024 of AAC, none of FLAC.
    pub fn initial_padding(&self) -> u32 {
        self.inner.context().fields().initial_padding.max(0).cast_unsigned()
    }

    /// Samples of a frame.
    pub fn frame_samples(&self) -> u32 {
        u32::try_from(self.frame_samples).unwrap_or(0)
    }

    /// Takes samples, interleaved, full scale at 1, as many as there are; what is ready is appended to `out`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number that is not whole frames of all channels; [`Error::Failed`] where the encoder fails.
    pub fn send(&mut self, samples: &[f32], out: &mut Vec<EncodedSample>) -> Result<(), Error> {
        let width = usize::from(self.settings.channels);
        if !samples.len().is_multiple_of(width) {
            return Err(Error::Setting { what: "number of samples", value: samples.len().to_string() });
        }
        let full = self.frame_samples * width;
        for part in samples.chunks(full) {
            self.open.extend(part.iter().map(|s| if s.is_finite() { s.clamp(-16.0, 16.0) } else { 0.0 }));
            if self.open.len() >= full {
                let rest = self.open.split_off(full);
                let frame = std::mem::replace(&mut self.open, rest);
                self.encode(&frame, out)?;
            }
        }
        Ok(())
    }

    /// Says that nothing follows; what is held back is appended to `out`.
    ///
    /// # Errors
    /// [`Error::Failed`] where the encoder fails.
    pub fn finish(&mut self, out: &mut Vec<EncodedSample>) -> Result<(), Error> {
        let rest = std::mem::take(&mut self.open);
        if !rest.is_empty() {
            self.encode(&rest, out)?;
        }
        self.inner.finish()?;
        self.take(out)
    }

    fn encode(&mut self, samples: &[f32], out: &mut Vec<EncodedSample>) -> Result<(), Error> {
        let f = sys::functions()?;
        let AudioEncoderSettings { sample_rate, channels, .. } = self.settings;
        let mut frame = samples::frame(f, samples, channels, sample_rate, self.format)?;
        frame.fields_mut().pts = self.next;
        self.next += i64::from(frame.fields().nb_samples);
        self.inner.send(&frame)?;
        self.take(out)
    }

    fn take(&mut self, out: &mut Vec<EncodedSample>) -> Result<(), Error> {
        while let Some(packet) = self.inner.receive()? {
            let fields = packet.fields();
            // FLAC ends with an empty packet that only carries its final header.
            if packet.data().is_empty() {
                continue;
            }
            out.push(EncodedSample {
                data: packet.data().to_vec(),
                pts: fields.pts,
                dts: fields.pts,
                duration: fields.duration,
                keyframe: true,
            });
        }
        Ok(())
    }
}
