//! A stretch of video: decoded from the keyframe it needs, of which only what it holds is scaled and encoded.
//!
//! Damaged samples cost the pictures they are; a stretch without one picture is an error.

use bytes::Bytes;
use container::Sample;
use libav::{
    Error, H264Profile, H264Settings, Preset, RateControl, Rotation, TimeBase, VideoCodec, VideoDecoder,
    VideoDecoderSettings, VideoEncoder, VideoFilter, VideoFilterSettings, VideoFrame,
};
use worker_protocol::{self as protocol, Failure, Fault, FromWorker, OutputTrack, VideoSpec};

use crate::{
    link::{Link, LinkError},
    requests::{Outcome, failed, threads},
};

/// At most so many pictures from one keyframe to the next, where no boundary comes before.
const KEYFRAME_INTERVAL_MAX: u32 = 250;
/// Reordered pictures in a row: as the preset has it.
const B_FRAMES: u8 = 3;
/// Frames a second where the film does not say; rate control begins with it, times do not depend on it.
const FRAME_RATE: (u32, u32) = (25, 1);

/// Answers a request for video.
pub(crate) fn transcode(spec: &VideoSpec, link: &mut Link) -> Result<Outcome, LinkError> {
    let mut chain = match Chain::open(spec) {
        Ok(chain) => chain,
        Err(failure) => {
            link.skip_samples()?;
            return Ok(Err(failure));
        }
    };
    let (mut ended, mut failure) = (false, None);
    while !ended {
        let step = match link.next_sample()? {
            Some(sample) => chain.take(&sample, link)?,
            None => {
                ended = true;
                chain.finish(link)?
            }
        };
        match step {
            Ok(Step::More) => {}
            Ok(Step::Full) => break,
            Err(why) => {
                failure = Some(why);
                break;
            }
        }
    }
    if !ended {
        link.skip_samples()?;
        if failure.is_none() {
            failure = chain.finish(link)?.err();
        }
    }
    Ok(failure.map_or(Ok(()), Err))
}

enum Step {
    More,
    /// Everything before the end of the stretch has been seen.
    Full,
}

/// The three stages, and what is known of the stretch.
struct Chain<'a> {
    spec: &'a VideoSpec,
    time_base: TimeBase,
    decoder: VideoDecoder,
    filter: VideoFilter,
    /// Opened with the first picture, whose colours it must know.
    encoder: Option<VideoEncoder>,
    frame_rate: (u32, u32),
    /// The time of the picture that was encoded last.
    last: Option<i64>,
    /// The next of the forced keyframes.
    keyframe: usize,
    /// What the decoder said of the first thing that it could not decode.
    damage: Option<String>,
}

impl<'a> Chain<'a> {
    fn open(spec: &'a VideoSpec) -> Result<Self, Failure> {
        if spec.timescale != spec.input.timescale {
            return Err(Failure::new(Fault::Request, "video: another timescale comes out than goes in"));
        }
        let Some(codec) = codec(&spec.input.codec) else {
            let text = format!("video: {:?} is not decoded here", spec.input.codec);
            return Err(Failure::new(Fault::Unsupported, text));
        };
        let time_base = TimeBase::per_second(spec.timescale.get());
        let decoder = VideoDecoder::open(&VideoDecoderSettings {
            codec,
            configuration: &spec.input.record,
            time_base,
            threads: threads(),
            picture_samples_max: 0,
        })
        .map_err(|error| failed(&error))?;
        let filter = VideoFilter::new(&VideoFilterSettings {
            width: spec.width,
            height: spec.height,
            rotation: match spec.rotation {
                90 => Rotation::Clockwise90,
                180 => Rotation::Half,
                270 => Rotation::Clockwise270,
                _ => Rotation::None,
            },
            // Of pictures that do not say that they are interlaced it does nothing.
            deinterlace: true,
            time_base,
            threads: threads(),
        })
        .map_err(|error| failed(&error))?;
        Ok(Self {
            spec,
            time_base,
            decoder,
            filter,
            encoder: None,
            frame_rate: FRAME_RATE,
            last: None,
            keyframe: 0,
            damage: None,
        })
    }

    fn take(&mut self, sample: &Sample, link: &mut Link) -> Result<Result<Step, Failure>, LinkError> {
        if sample.duration > 0 && self.encoder.is_none() {
            self.frame_rate = (self.spec.timescale.get(), sample.duration);
        }
        let sent = self.decoder.send(&libav::Packet {
            data: &sample.data,
            pts: Some(sample.pts),
            dts: Some(sample.dts),
            duration: sample.duration.into(),
            keyframe: sample.sync,
        });
        match self.damaged(sent) {
            Ok(_) => self.drain_decoder(link),
            Err(failure) => Ok(Err(failure)),
        }
    }

    fn finish(&mut self, link: &mut Link) -> Result<Result<Step, Failure>, LinkError> {
        let finished = self.decoder.finish();
        if let Err(failure) = self.damaged(finished) {
            return Ok(Err(failure));
        }
        if let Err(failure) = self.drain_decoder(link)? {
            return Ok(Err(failure));
        }
        if let Err(error) = self.filter.finish() {
            return Ok(Err(failed(&error)));
        }
        if let Err(failure) = self.drain_filter(link)? {
            return Ok(Err(failure));
        }
        let Some(encoder) = &mut self.encoder else {
            let damage = self.damage.as_deref().unwrap_or("every sample was decoded to nothing");
            let text =
                format!("video: no picture is shown in {}..{}: {damage}", self.spec.from, self.spec.to);
            return Ok(Err(Failure::new(Fault::Input, text)));
        };
        if let Err(error) = encoder.finish() {
            return Ok(Err(failed(&error)));
        }
        self.drain_encoder(link).map(|drained| drained.map(|()| Step::More))
    }

    /// What is damaged is remembered and passed over.
    fn damaged<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.fault() == libav::Fault::Input => {
                self.damage.get_or_insert_with(|| error.to_string());
                Ok(None)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn drain_decoder(&mut self, link: &mut Link) -> Result<Result<Step, Failure>, LinkError> {
        loop {
            let received = self.decoder.receive();
            let frame = match self.damaged(received) {
                Ok(Some(Some(frame))) => frame,
                Ok(Some(None)) => return Ok(Ok(Step::More)),
                Ok(None) => continue,
                Err(failure) => return Ok(Err(failure)),
            };
            // A picture without a time, or with one that was there already, cannot be shown.
            let Some(pts) = frame.pts().filter(|pts| self.last.is_none_or(|last| last < *pts)) else {
                continue;
            };
            if pts >= self.spec.to {
                return Ok(Ok(Step::Full));
            }
            if pts < self.spec.from {
                continue;
            }
            self.last = Some(pts);
            if let Err(error) = self.filter.send(frame) {
                return Ok(Err(failed(&error)));
            }
            if let Err(failure) = self.drain_filter(link)? {
                return Ok(Err(failure));
            }
        }
    }

    fn drain_filter(&mut self, link: &mut Link) -> Result<Result<(), Failure>, LinkError> {
        loop {
            let frame = match self.filter.receive() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(failed(&error))),
            };
            if let Err(failure) = self.encode(frame, link)? {
                return Ok(Err(failure));
            }
        }
    }

    fn encode(&mut self, frame: VideoFrame, link: &mut Link) -> Result<Result<(), Failure>, LinkError> {
        if self.encoder.is_none() {
            let encoder = match VideoEncoder::open(&self.settings(&frame)) {
                Ok(encoder) => encoder,
                Err(error) => return Ok(Err(failed(&error))),
            };
            let record = encoder.configuration().to_vec();
            link.send(&FromWorker::Track(OutputTrack { record, timescale: self.spec.timescale }))?;
            self.encoder = Some(encoder);
        }
        let pts = frame.pts().unwrap_or_default();
        let mut forced = false;
        while self.spec.keyframes.get(self.keyframe).is_some_and(|at| *at <= pts) {
            self.keyframe += 1;
            forced = true;
        }
        if let Some(encoder) = &mut self.encoder
            && let Err(error) = encoder.send(frame, forced)
        {
            return Ok(Err(failed(&error)));
        }
        self.drain_encoder(link)
    }

    fn drain_encoder(&mut self, link: &mut Link) -> Result<Result<(), Failure>, LinkError> {
        let Some(encoder) = &mut self.encoder else { return Ok(Ok(())) };
        loop {
            match encoder.receive() {
                Ok(Some(sample)) => link.send(&FromWorker::Sample(Sample {
                    pts: sample.pts,
                    dts: sample.dts,
                    duration: u32::try_from(sample.duration).unwrap_or(0),
                    sync: sample.keyframe,
                    data: Bytes::from(sample.data),
                }))?,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(failed(&error))),
            }
        }
    }

    fn settings(&self, frame: &VideoFrame) -> H264Settings {
        let spec = self.spec;
        H264Settings {
            width: spec.width,
            height: spec.height,
            time_base: self.time_base,
            frame_rate: self.frame_rate,
            profile: match spec.profile {
                protocol::H264Profile::Baseline => H264Profile::Baseline,
                protocol::H264Profile::Main => H264Profile::Main,
                protocol::H264Profile::High => H264Profile::High,
            },
            level: spec.level,
            preset: match spec.preset {
                protocol::Preset::UltraFast => Preset::Ultrafast,
                protocol::Preset::SuperFast => Preset::Superfast,
                protocol::Preset::VeryFast => Preset::Veryfast,
                protocol::Preset::Faster => Preset::Faster,
                protocol::Preset::Fast => Preset::Fast,
                protocol::Preset::Medium => Preset::Medium,
            },
            rate: RateControl::Average(spec.bitrate),
            bits_per_second_max: spec.bitrate_max,
            // One second: what is said of the bandwidth holds over any second.
            buffer_bits: spec.bitrate_max,
            keyframe_interval_max: KEYFRAME_INTERVAL_MAX,
            b_frames: B_FRAMES,
            lookahead: None,
            threads: threads(),
            colour: frame.colour(),
        }
    }
}

/// By the name that `container` gives it, or the identifier of the container it lies in.
fn codec(name: &str) -> Option<VideoCodec> {
    Some(match name {
        "h264" => VideoCodec::H264,
        "hevc" => VideoCodec::Hevc,
        "av1" => VideoCodec::Av1,
        "vp8" => VideoCodec::Vp8,
        "vp9" => VideoCodec::Vp9,
        "V_MPEG1" | "mp4v.6A" => VideoCodec::Mpeg1,
        "V_MPEG2" | "mp4v.60" | "mp4v.61" | "mp4v.62" | "mp4v.63" | "mp4v.64" | "mp4v.65" => {
            VideoCodec::Mpeg2
        }
        "V_MPEG4/ISO/SP" | "V_MPEG4/ISO/ASP" | "V_MPEG4/ISO/AP" | "mp4v.20" => VideoCodec::Mpeg4,
        "V_MPEG4/MS/V3" => VideoCodec::MsMpeg4v3,
        "vc-1" => VideoCodec::Vc1,
        "V_MJPEG" | "jpeg" | "mjpa" | "mp4v.6C" => VideoCodec::Mjpeg,
        "V_PRORES" | "apcn" | "apch" | "apcs" | "apco" | "ap4h" | "ap4x" => VideoCodec::ProRes,
        "V_THEORA" => VideoCodec::Theora,
        _ => return None,
    })
}
