//! The three stages in a row, as a worker uses them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeSet;

use libav::{
    Colour, EncodedSample, H264Profile, H264Settings, Preset, RateControl, Rotation, TimeBase, VideoCodec,
    VideoDecoder, VideoDecoderSettings, VideoEncoder, VideoFilter, VideoFilterSettings, VideoFrame,
};

use crate::oracle::Stream;

pub(crate) fn settings(width: u32, height: u32, time_base: TimeBase) -> H264Settings {
    H264Settings {
        width,
        height,
        time_base,
        frame_rate: (25, 1),
        profile: H264Profile::High,
        level: 31,
        preset: Preset::Veryfast,
        rate: RateControl::Quality(20.0),
        bits_per_second_max: 4_000_000,
        buffer_bits: 4_000_000,
        keyframe_interval_max: 250,
        b_frames: 3,
        lookahead: None,
        threads: 2,
        colour: Colour::default(),
    }
}

/// Decodes a whole stream.
pub(crate) fn decode(stream: &Stream, codec: VideoCodec) -> Vec<VideoFrame> {
    let mut decoder = VideoDecoder::open(&VideoDecoderSettings {
        codec,
        configuration: &stream.configuration,
        time_base: stream.time_base,
        threads: 2,
        picture_samples_max: 0,
    })
    .unwrap();
    let mut frames = Vec::new();
    for packet in &stream.packets {
        decoder.send(&packet.packet()).unwrap();
        while let Some(frame) = decoder.receive().unwrap() {
            frames.push(frame);
        }
    }
    decoder.finish().unwrap();
    while let Some(frame) = decoder.receive().unwrap() {
        frames.push(frame);
    }
    frames
}

pub(crate) fn filter(frames: Vec<VideoFrame>, settings: &VideoFilterSettings) -> Vec<VideoFrame> {
    let mut filter = VideoFilter::new(settings).unwrap();
    let mut out = Vec::new();
    for frame in frames {
        filter.send(frame).unwrap();
        while let Some(frame) = filter.receive().unwrap() {
            out.push(frame);
        }
    }
    filter.finish().unwrap();
    while let Some(frame) = filter.receive().unwrap() {
        out.push(frame);
    }
    out
}

pub(crate) fn encode(
    frames: Vec<VideoFrame>,
    settings: &H264Settings,
    keys: &BTreeSet<i64>,
) -> (Vec<u8>, Vec<EncodedSample>) {
    let mut encoder = VideoEncoder::open(settings).unwrap();
    let mut out = Vec::new();
    for frame in frames {
        let key = keys.contains(&frame.pts().unwrap());
        encoder.send(frame, key).unwrap();
        while let Some(sample) = encoder.receive().unwrap() {
            out.push(sample);
        }
    }
    encoder.finish().unwrap();
    while let Some(sample) = encoder.receive().unwrap() {
        out.push(sample);
    }
    (encoder.configuration().to_vec(), out)
}

pub(crate) fn scaled(width: u32, height: u32, time_base: TimeBase) -> VideoFilterSettings {
    let rotation = Rotation::None;
    VideoFilterSettings { width, height, rotation, deinterlace: false, time_base, threads: 2 }
}
