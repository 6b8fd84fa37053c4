//! A stretch of sound: decoded, mixed and resampled, and encoded on the track's grid of frames, so that stretches
//! made in any order join without a gap or a click.
//!
//! The encoder is fed from eight frames before the first that is kept to one after the last; where the film has no sound
//! there, or loses some in between, it is fed silence.

use bytes::Bytes;
use container::Sample;
use libav::{
    AudioBlock, AudioCodec, AudioConverter, AudioConverterSettings, AudioDecoder, AudioDecoderSettings,
    AudioEncoder, AudioEncoderSettings, AudioTarget, ConvertedBlock, EncodedSample, TimeBase,
};
use worker_protocol::{self as protocol, AudioSpec, Failure, Fault, FromWorker, OutputTrack};

use crate::{
    link::{Link, LinkError},
    requests::{Outcome, damaged, failed},
};

/// Frames of the grid that are encoded before the first that is kept, and after the last.
/// For the joint two are enough; the rate control of FFmpeg's AAC encoder takes eight until it spends as it does later.
const FRAMES_BEFORE: i64 = 8;
const FRAMES_AFTER: i64 = 1;
/// Silence that is fed at a time, samples of each channel.
const SILENCE_FRAMES: i64 = 4_096;

/// Answers a request for sound.
pub(crate) fn transcode(spec: &AudioSpec, link: &mut Link) -> Result<Outcome, LinkError> {
    let opened = match container::Timescale::new(spec.sample_rate) {
        Some(timescale) => Chain::open(spec).map(|chain| (chain, timescale)),
        None => Err(Failure::new(Fault::Request, "audio: no sample rate")),
    };
    let (mut chain, timescale) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            link.skip_samples()?;
            return Ok(Err(failure));
        }
    };
    let record = chain.encoder.configuration().to_vec();
    link.send(&FromWorker::Track(OutputTrack { record, timescale }))?;
    let mut outcome = Ok(());
    while let Some(sample) = link.next_sample()? {
        if outcome.is_ok() && !chain.is_full() {
            outcome = chain.take(&sample);
            chain.give(link)?;
        }
    }
    if outcome.is_ok() {
        outcome = chain.finish();
        chain.give(link)?;
    }
    Ok(outcome)
}

/// The three stages, and where on the track they are.
struct Chain<'a> {
    spec: &'a AudioSpec,
    decoder: AudioDecoder,
    converter: AudioConverter,
    encoder: AudioEncoder,
    /// The input sample that is expected next, and the rate it is counted at.
    expected: Option<(i64, u32)>,
    /// The output sample that the encoder takes next, and where it has all it needs.
    at: i64,
    end: i64,
    /// The frames that are kept, in samples.
    kept: std::ops::Range<i64>,
    made: Vec<EncodedSample>,
}

impl<'a> Chain<'a> {
    fn open(spec: &'a AudioSpec) -> Result<Self, Failure> {
        let Some(codec) = AudioCodec::named(&spec.input.codec) else {
            let text = format!("audio: {:?} is not decoded here", spec.input.codec);
            return Err(Failure::new(Fault::Unsupported, text));
        };
        let frame = i64::from(spec.frame_samples);
        // Held within by `AudioSpec::check`.
        let first = i64::try_from(spec.first_frame).unwrap_or(i64::MAX).saturating_mul(frame);
        let kept = first..first.saturating_add(i64::from(spec.frames).saturating_mul(frame));
        let start = first.saturating_sub(FRAMES_BEFORE * frame);
        let target = match spec.codec {
            protocol::AudioCodec::Aac => AudioTarget::Aac { bits_per_second: spec.bitrate },
            protocol::AudioCodec::Flac => AudioTarget::Flac {
                frame_samples: u16::try_from(spec.frame_samples)
                    .map_err(|_| Failure::new(Fault::Request, "audio: frames too long"))?,
            },
        };
        let encoder = AudioEncoder::open(&AudioEncoderSettings {
            target,
            sample_rate: spec.sample_rate,
            channels: spec.channels,
            start,
        })
        .map_err(|error| failed(&error))?;
        if encoder.frame_samples() != spec.frame_samples {
            let (has, asked) = (encoder.frame_samples(), spec.frame_samples);
            let text = format!("audio: frames of {asked} samples, the encoder makes {has}");
            return Err(Failure::new(Fault::Request, text));
        }
        let decoder = AudioDecoder::open(&AudioDecoderSettings {
            codec,
            configuration: &spec.input.record,
            time_base: TimeBase::per_second(spec.input.timescale.get()),
            sample_rate: 0,
            channels: 0,
        })
        .map_err(|error| failed(&error))?;
        Ok(Self {
            spec,
            decoder,
            converter: converter(spec)?,
            encoder,
            expected: None,
            at: start,
            end: kept.end.saturating_add(FRAMES_AFTER * frame),
            kept,
            made: Vec::new(),
        })
    }

    fn is_full(&self) -> bool {
        self.at >= self.end
    }

    fn take(&mut self, sample: &Sample) -> Outcome {
        let sent = self.decoder.send(&libav::Packet {
            data: &sample.data,
            pts: Some(sample.pts),
            dts: Some(sample.dts),
            duration: sample.duration.into(),
            keyframe: true,
        });
        damaged(sent)?;
        self.drain_decoder()
    }

    fn finish(&mut self) -> Outcome {
        if !self.is_full() {
            damaged(self.decoder.finish())?;
            self.drain_decoder()?;
            self.drain_converter(true)?;
        }
        self.silence(self.end)?;
        self.encoder.finish(&mut self.made).map_err(|error| failed(&error))
    }

    fn drain_decoder(&mut self) -> Outcome {
        loop {
            match damaged(self.decoder.receive())? {
                Some(Some(block)) => self.place(block)?,
                Some(None) => return Ok(()),
                None => {}
            }
        }
    }

    /// Puts a block where its time says, or right after the one before, if that is what its time means: containers
    /// round times to their ticks.
    fn place(&mut self, mut block: AudioBlock) -> Outcome {
        let (rate, ticks) = (i64::from(block.sample_rate), i64::from(self.spec.input.timescale.get()));
        if rate == 0 || block.samples.is_empty() {
            return Ok(());
        }
        let said = block.pts.and_then(|pts| {
            let samples = (2 * i128::from(pts) * i128::from(rate) + i128::from(ticks))
                .div_euclid(2 * i128::from(ticks));
            i64::try_from(samples).ok().filter(|start| start.unsigned_abs() < 1 << 52)
        });
        let rounding = 2 * rate.div_euclid(ticks) + 2;
        let expected = self.expected.filter(|(_, at)| *at == block.sample_rate).map(|(next, _)| next);
        let start = match (said, expected) {
            (Some(said), Some(next)) if said.abs_diff(next) <= rounding.unsigned_abs() => next,
            (Some(said), Some(next)) if said < next => {
                // What was heard already is not heard again.
                let heard = usize::try_from(next - said).unwrap_or(usize::MAX);
                if heard >= block.frames() {
                    return Ok(());
                }
                block.samples.drain(..heard * usize::from(block.channels.count().max(1)));
                next
            }
            (Some(said), _) => {
                // Whatever lies between is silence.
                if expected.is_some() {
                    self.drain_converter(true)?;
                    self.converter = converter(self.spec)?;
                }
                said
            }
            (None, Some(next)) => next,
            (None, None) => return Ok(()),
        };
        let frames = i64::try_from(block.frames()).unwrap_or(i64::MAX);
        self.expected = Some((start.saturating_add(frames), block.sample_rate));
        self.converter.send(start, &block).map_err(|error| failed(&error))?;
        self.drain_converter(false)
    }

    fn drain_converter(&mut self, last: bool) -> Outcome {
        if last {
            self.converter.finish().map_err(|error| failed(&error))?;
        }
        while let Some(block) = self.converter.receive() {
            self.feed(&block)?;
        }
        Ok(())
    }

    /// Gives the encoder what of `block` it has not had and still needs.
    fn feed(&mut self, block: &ConvertedBlock) -> Outcome {
        let width = usize::from(self.spec.channels);
        let length = i64::try_from(block.samples.len() / width).unwrap_or(i64::MAX);
        let (from, to) = (block.start.max(self.at), block.start.saturating_add(length).min(self.end));
        if from >= to {
            return Ok(());
        }
        self.silence(from)?;
        let offset = |at: i64| usize::try_from(at - block.start).unwrap_or(usize::MAX).saturating_mul(width);
        let samples = block.samples.get(offset(from)..offset(to)).unwrap_or_default();
        self.encoder.send(samples, &mut self.made).map_err(|error| failed(&error))?;
        self.at = to;
        Ok(())
    }

    fn silence(&mut self, until: i64) -> Outcome {
        while self.at < until {
            let frames = (until - self.at).min(SILENCE_FRAMES);
            let silence = vec![0.0; usize::try_from(frames).unwrap_or(0) * usize::from(self.spec.channels)];
            self.encoder.send(&silence, &mut self.made).map_err(|error| failed(&error))?;
            self.at += frames;
        }
        Ok(())
    }

    /// Sends the frames that were made and are kept.
    fn give(&mut self, link: &mut Link) -> Result<(), LinkError> {
        for made in self.made.drain(..) {
            if self.kept.contains(&made.pts) {
                link.send(&FromWorker::Sample(Sample {
                    pts: made.pts,
                    dts: made.pts,
                    duration: self.spec.frame_samples,
                    sync: true,
                    data: Bytes::from(made.data),
                }))?;
            }
        }
        Ok(())
    }
}

fn converter(spec: &AudioSpec) -> Result<AudioConverter, Failure> {
    AudioConverter::new(&AudioConverterSettings { sample_rate: spec.sample_rate, channels: spec.channels })
        .map_err(|error| failed(&error))
}
