//! Compressed sound to samples.

use super::{mix::Channels, record, samples};
use crate::{
    codec::AudioCodec,
    decode::{Decoder, DecoderSettings},
    error::Error,
    packet::Packet,
    sys,
    time::TimeBase,
};

/// What an audio decoder is told.
#[derive(Clone, Copy, Debug)]
pub struct AudioDecoderSettings<'a> {
    /// What the packets are in.
    pub codec: AudioCodec,
    /// The configuration record as MP4 holds it (AudioSpecificConfig, payload of `dOps` or `dfLa`), or the container's
    /// private data, or nothing.
    pub configuration: &'a [u8],
    /// The unit of the packets' times, and of the blocks'.
    pub time_base: TimeBase,
    /// Samples a second, as the container says; 0 where unknown. PCM needs it.
    pub sample_rate: u32,
    /// Channels, as the container says; 0 where unknown. PCM needs it.
    pub channels: u16,
}

/// A run of decoded samples: what one packet gave.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioBlock {
    /// When it is heard, as its packet said, in the decoder's time base.
    pub pts: Option<i64>,
    /// Samples a second.
    pub sample_rate: u32,
    /// Which channels.
    pub channels: Channels,
    /// Samples, full scale at 1: one for each channel, then the next. May go over full scale.
    pub samples: Vec<f32>,
}

impl AudioBlock {
    /// Samples of each channel.
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.count().max(1))
    }
}

/// Decodes one audio track from any packet on. Each packet gives its samples, none are cut at the beginning or the end: what is
/// priming is for the container to say. What the first packets give after opening or [`reset`](Self::reset) is not yet what a
/// decoder that was running would give: AAC and MP3 settle after two, Opus after 80 ms.
pub struct AudioDecoder {
    inner: Decoder,
}

impl AudioDecoder {
    /// Opens a decoder.
    ///
    /// # Errors
    /// [`Error::Missing`] where this FFmpeg cannot decode it; [`Error::Failed`] where the configuration is damaged.
    pub fn open(settings: &AudioDecoderSettings<'_>) -> Result<Self, Error> {
        let configuration = record::for_decoder(settings.codec, settings.configuration);
        let common = DecoderSettings {
            stage: "audio decoder",
            id: settings.codec.id(),
            configuration: &configuration,
            time_base: settings.time_base,
            threads: 1,
        };
        if settings.channels > Channels::COUNT_MAX {
            let (value, limit) = (settings.channels.into(), Channels::COUNT_MAX.into());
            return Err(Error::Limit { what: "channels", value, limit });
        }
        let f = sys::functions()?;
        let inner = Decoder::open(&common, |context| {
            context.flags2 |= sys::AV_CODEC_FLAG2_SKIP_MANUAL as i32;
            context.sample_rate = i32::try_from(settings.sample_rate).unwrap_or(0);
            if settings.channels > 0 {
                // SAFETY: the layout of a context of ours, empty until now.
                unsafe { f.av_channel_layout_default(&raw mut context.ch_layout, settings.channels.into()) };
            }
        })?;
        Ok(Self { inner })
    }

    /// Takes the next packet. One without bytes is passed over.
    ///
    /// # Errors
    /// With [`Fault::Input`](crate::Fault::Input) the packet is damaged: it is lost, the next one may be sent.
    pub fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.inner.send(packet)
    }

    /// Says that no packet follows: what is held back can be received.
    ///
    /// # Errors
    /// [`Error::Order`] where blocks wait to be received.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.inner.finish()
    }

    /// The next block; `None` until another packet is sent, and at the end.
    ///
    /// # Errors
    /// With [`Fault::Input`](crate::Fault::Input) a block was lost; further ones may be received.
    pub fn receive(&mut self) -> Result<Option<AudioBlock>, Error> {
        let Some((raw, pts, _)) = self.inner.receive()? else { return Ok(None) };
        let (channels, samples) = samples::interleaved(&raw)?;
        let sample_rate = raw.fields().sample_rate.max(0).cast_unsigned();
        if !(1000..=768_000).contains(&sample_rate) {
            let value = sample_rate.into();
            return Err(Error::Limit { what: "samples a second", value, limit: 768_000 });
        }
        Ok(Some(AudioBlock { pts, sample_rate, channels, samples }))
    }

    /// Forgets what it holds, for packets from elsewhere in the track.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}
