//! Compressed video to pictures.

use crate::{
    codec::VideoCodec,
    decode::{Decoder, DecoderSettings},
    error::Error,
    frame::VideoFrame,
    packet::Packet,
    time::TimeBase,
};

/// What a video decoder is told.
#[derive(Clone, Copy, Debug)]
pub struct VideoDecoderSettings<'a> {
    /// What the packets are in.
    pub codec: VideoCodec,
    /// The configuration record as the container holds it (`avcC`, `hvcC`, `av1C`, …), or nothing.
    pub configuration: &'a [u8],
    /// The unit of the packets' times, and of the frames'.
    pub time_base: TimeBase,
    /// How many threads decode, 1 to 16. More hold back more frames.
    pub threads: u32,
    /// The largest picture taken, in samples; 0 for 8192 times 8192.
    pub picture_samples_max: u64,
}

/// Decodes one video track, from wherever a packet with `keyframe` is.
pub struct VideoDecoder {
    inner: Decoder,
}

impl VideoDecoder {
    /// Pictures larger than this are refused unless the settings say otherwise.
    const PICTURE_SAMPLES_MAX: u64 = 8192 * 8192;

    /// Opens a decoder.
    ///
    /// # Errors
    /// [`Error::Missing`] where this FFmpeg cannot decode it; [`Error::Failed`] where the configuration is damaged.
    pub fn open(settings: &VideoDecoderSettings<'_>) -> Result<Self, Error> {
        let samples_max = match settings.picture_samples_max {
            0 => Self::PICTURE_SAMPLES_MAX,
            samples => samples.min(1 << 30),
        };
        let common = DecoderSettings {
            stage: "video decoder",
            id: settings.codec.id(),
            configuration: if settings.codec.is_configured() { settings.configuration } else { &[] },
            time_base: settings.time_base,
            threads: settings.threads,
        };
        let inner = Decoder::open(&common, |context| context.max_pixels = samples_max.cast_signed())?;
        Ok(Self { inner })
    }

    /// Takes the next packet, in decode order. A packet without bytes is passed over.
    ///
    /// # Errors
    /// With [`Fault::Input`](crate::Fault::Input) the packet is damaged: it is lost, the next one may be sent.
    pub fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.inner.send(packet)
    }

    /// Says that no packet follows: what is held back can be received.
    ///
    /// # Errors
    /// [`Error::Order`] where frames wait to be received.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.inner.finish()
    }

    /// The next picture in order of presentation; `None` until another packet is sent, and at the end.
    ///
    /// # Errors
    /// With [`Fault::Input`](crate::Fault::Input) a picture was lost; further ones may be received.
    pub fn receive(&mut self) -> Result<Option<VideoFrame>, Error> {
        let found = self.inner.receive()?;
        Ok(found.map(|(raw, pts, duration)| VideoFrame { raw, pts, duration }))
    }

    /// Forgets what it holds, for packets from elsewhere in the track, beginning with a keyframe.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}
