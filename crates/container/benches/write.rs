//! How fast the writers are: MPEG-TS in GB a second of output, a fragment's header in microseconds.
//!
//! `cargo bench -p container --bench write`

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use container::{
    AudioInfo, Sample, Timescale, Track, TrackFlags, TrackKind, VideoInfo,
    codec::{AacConfig, AvcConfig, CodecConfig},
    write::{
        cmaf::{FragmentSample, media_header},
        mpegts::TsWriter,
    },
};

/// A picture of 16x16 in Baseline, four-byte lengths, one SPS and one PPS.
const AVCC: &[u8] = &[
    1, 66, 192, 10, 255, 225, 0, 21, 103, 66, 192, 10, 218, 123, 1, 16, 0, 0, 3, 0, 16, 0, 0, 3, 3, 0, 241,
    34, 106, 1, 0, 4, 104, 206, 15, 200,
];
const AAC_LC_48K_STEREO: &[u8] = &[0x11, 0x90];

fn track(kind: TrackKind, codec: CodecConfig) -> Track {
    Track {
        number: 1,
        kind,
        codec,
        timescale: Timescale::MPEG,
        language: None,
        name: None,
        flags: TrackFlags::default(),
        video: (kind == TrackKind::Video).then(VideoInfo::default),
        audio: (kind == TrackKind::Audio).then(AudioInfo::default),
        default_duration_ns: None,
        codec_delay_ns: 0,
        strip_prefix: Bytes::new(),
        deflated: false,
    }
}

/// `seconds` of 24 pictures a second at `bits` a second, in `slices` NAL units each.
fn pictures(seconds: i64, bits: usize, slices: usize) -> Vec<Sample> {
    let slice = bits / 8 / 24 / slices;
    let picture: Vec<u8> = (0..slices)
        .flat_map(|_| {
            let len = u32::try_from(slice).unwrap_or(1);
            len.to_be_bytes().into_iter().chain(std::iter::repeat_n(0x41, slice))
        })
        .collect();
    let at = |n: i64| 900_000 + n * 3_750;
    (0..seconds * 24)
        .map(|n| Sample {
            pts: at(n),
            dts: at(n),
            duration: 3_750,
            sync: n % 48 == 0,
            data: picture.clone().into(),
        })
        .collect()
}

/// 160 kbit/s of AAC.
fn frames(seconds: i64) -> Vec<Sample> {
    let at = |n: i64| 900_000 + n * 1_920;
    (0..seconds * 47)
        .map(|n| Sample { pts: at(n), dts: at(n), duration: 1_920, sync: true, data: vec![0x21; 427].into() })
        .collect()
}

/// The median of some runs.
fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..41)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let (Ok(avc), Ok(aac)) = (
        AvcConfig::parse(&Bytes::from_static(AVCC)),
        AacConfig::parse(&Bytes::from_static(AAC_LC_48K_STEREO)),
    ) else {
        return println!("the configurations of this bench are not read");
    };
    let video = track(TrackKind::Video, CodecConfig::Avc(avc));
    let audio = track(TrackKind::Audio, CodecConfig::Aac(aac));
    for (bits, slices) in [(3_000_000, 1), (20_000_000, 1), (20_000_000, 8), (80_000_000, 4)] {
        let (pictures, frames) = (pictures(5, bits, slices), frames(5));
        let Ok(writer) = TsWriter::new(&[&video, &audio]) else { return };
        let mut len = 0;
        let time =
            median(|| len = black_box(writer.write_segment(&[&pictures, &frames])).map_or(0, |s| s.len()));
        let rate = len as f64 / time.as_secs_f64() / 1e9;
        println!("MPEG-TS, 5 s of {bits} bit/s, {slices} slices: {len} bytes in {time:?}: {rate:.2} GB/s");
    }
    let samples: Vec<_> = (0..150)
        .map(|n| FragmentSample { size: 5_000 + n, duration: 1_001, composition_offset: 0, sync: n == 0 })
        .collect();
    let time = median(|| {
        for _ in 0..100 {
            black_box(media_header(1, 1, 0, black_box(&samples)));
        }
    });
    println!("CMAF header of 150 samples: {:?}", time / 100);
}
