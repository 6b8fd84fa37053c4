//! Sound through locked-in workers: stretches in any order that join to what the film holds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../libav/tests/oracle/mod.rs"]
mod oracle;

use std::time::Duration;

use container::{Sample, Timescale};
use futures_util::stream;
use libav::{AudioCodec as Decoded, AudioDecoder, AudioDecoderSettings, TimeBase};
use media::transcode::{
    AudioCodec, AudioSpec, InputTrack, OutputTrack, Patience, SandboxPolicy, TitleTranscoder,
    TranscodeConfig, Transcoder,
};
use oracle::{Stream, make};
use tokio::time::timeout;

const ENOUGH: Duration = Duration::from_secs(60);
const RATE: u32 = 48_000;
/// Two tones, full of steps that any jump would show in.
const SOUND: &str = "aevalsrc=0.4*sin(2*PI*440*t)+0.2*sin(2*PI*3001*t)|0.5*sin(2*PI*523*t):s=48000:d=4";

fn pool() -> Transcoder {
    Transcoder::new(TranscodeConfig {
        program: env!("CARGO_BIN_EXE_media-worker").into(),
        args: Vec::new(),
        sandbox: SandboxPolicy::Require,
        titles_max: 2,
        patience: Patience::default(),
    })
}

fn source(name: &str, options: &[&str]) -> Stream {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), name, &[&["-f", "lavfi", "-i", SOUND], options].concat());
    oracle::stream(&path, "a:0")
}

/// The samples that sound from half a second before `from` to `to`, in samples of sound, without those of `hole`.
fn fed(source: &Stream, from: i64, to: i64, hole: std::ops::Range<i64>) -> Vec<Sample> {
    assert_eq!(source.time_base.den, RATE);
    let within = |p: &&oracle::Found| {
        let pts = p.pts.unwrap();
        pts + p.duration > from - 24_000 && pts < to && !hole.contains(&pts)
    };
    let of = |p: &oracle::Found| Sample {
        pts: p.pts.unwrap(),
        dts: p.pts.unwrap(),
        duration: u32::try_from(p.duration).unwrap(),
        sync: true,
        data: p.data.clone().into(),
    };
    source.packets.iter().filter(within).map(of).collect()
}

async fn encode(
    title: &TitleTranscoder,
    source: &Stream,
    input: &str,
    codec: AudioCodec,
    frames: std::ops::Range<u64>,
    hole: std::ops::Range<i64>,
) -> (OutputTrack, Vec<Sample>) {
    let grid = |frame: u64| i64::try_from(frame).unwrap() * 1_024;
    let spec = AudioSpec {
        input: InputTrack {
            codec: input.to_owned(),
            record: source.configuration.clone(),
            timescale: Timescale::new(source.time_base.den).unwrap(),
        },
        codec,
        sample_rate: RATE,
        channels: 2,
        bitrate: if codec == AudioCodec::Aac { 160_000 } else { 0 },
        frame_samples: 1_024,
        first_frame: frames.start,
        frames: u32::try_from(frames.end - frames.start).unwrap(),
    };
    let samples = fed(source, grid(frames.start), grid(frames.end + 2), hole);
    let samples = Box::pin(stream::iter(samples.into_iter().map(Ok)));
    let mut answer = timeout(ENOUGH, title.audio(spec, samples)).await.unwrap().unwrap();
    let mut out = Vec::new();
    while let Some(sample) = timeout(ENOUGH, answer.next()).await.unwrap() {
        out.push(sample.unwrap());
    }
    let times: Vec<_> = out.iter().map(|s| s.pts).collect();
    assert_eq!(times, frames.map(grid).collect::<Vec<_>>(), "each frame of the grid once");
    (answer.track, out)
}

/// What the joined stretches sound like: samples of both channels in turn.
fn heard(codec: Decoded, record: &[u8], frames: &[Sample]) -> Vec<f32> {
    let mut decoder = AudioDecoder::open(&AudioDecoderSettings {
        codec,
        configuration: record,
        time_base: TimeBase::per_second(RATE),
        sample_rate: RATE,
        channels: 2,
    })
    .unwrap();
    let mut out = Vec::new();
    for sample in frames {
        let Sample { pts, dts, data, .. } = sample;
        let packet =
            libav::Packet { data, pts: Some(*pts), dts: Some(*dts), duration: 1_024, keyframe: true };
        decoder.send(&packet).unwrap();
        while let Some(block) = decoder.receive().unwrap() {
            out.extend(block.samples);
        }
    }
    out
}

fn tone(n: usize, channel: usize) -> f32 {
    let t = f64::from(u32::try_from(n).unwrap()) / f64::from(RATE) * std::f64::consts::TAU;
    let value = if channel == 0 {
        0.4 * (440.0 * t).sin() + 0.2 * (3_001.0 * t).sin()
    } else {
        0.5 * (523.0 * t).sin()
    };
    #[expect(clippy::cast_possible_truncation, reason = "a sample")]
    {
        value as f32
    }
}

/// The worst difference from the tones, over samples `from..to`.
fn worst(heard: &[f32], from: usize, to: usize) -> f32 {
    let off = |n: usize| (0..2).map(move |channel| (heard[2 * n + channel] - tone(n, channel)).abs());
    (from..to).flat_map(off).fold(0.0, f32::max)
}

const STRETCHES: [std::ops::Range<u64>; 6] = [50..71, 0..20, 71..72, 120..180, 20..50, 72..120];

#[tokio::test(flavor = "multi_thread")]
async fn flac_stretches_join_to_the_very_samples_of_the_film() {
    let source = source("in.mp4", &["-c:a", "flac", "-sample_fmt", "s16", "-strict", "-2"]);
    let pool = pool();
    let title = pool.title("film");
    let (mut record, mut all) = (Vec::new(), Vec::new());
    for stretch in STRETCHES {
        let (track, frames) = encode(&title, &source, "flac", AudioCodec::Flac, stretch, 0..0).await;
        record = track.record;
        all.extend(frames);
    }
    all.sort_by_key(|s| s.pts);
    let heard = heard(Decoded::Flac, &record, &all);
    assert_eq!(heard.len(), 2 * 180 * 1_024);
    let off = worst(&heard, 0, 180 * 1_024);
    assert!(off < 2.0 / 32_768.0, "{off} off");
}

#[tokio::test(flavor = "multi_thread")]
async fn eac3_becomes_aac_without_a_click_at_any_joint() {
    let source = source("in.mp4", &["-c:a", "eac3", "-b:a", "640k"]);
    let pool = pool();
    let title = pool.title("film");
    let (mut record, mut all) = (Vec::new(), Vec::new());
    for stretch in STRETCHES {
        let (track, frames) = encode(&title, &source, "eac3", AudioCodec::Aac, stretch, 0..0).await;
        record = track.record;
        all.extend(frames);
    }
    all.sort_by_key(|s| s.pts);
    let (_, whole) = encode(&title, &source, "eac3", AudioCodec::Aac, 0..180, 0..0).await;
    let (joined, whole) = (heard(Decoded::Aac, &record, &all), heard(Decoded::Aac, &record, &whole));
    assert_eq!(joined.len(), whole.len());
    let loudest = whole.iter().copied().fold(0.0, f32::max);
    let off = joined.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Coding noise differs with what the encoder did before; a jump would be as loud as the sound.
    assert!(loudest > 0.5 && off < 0.1, "{off} off, {loudest} at the loudest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_sound_is_silent_and_what_follows_is_where_it_was() {
    let source = source("in.mp4", &["-c:a", "flac", "-sample_fmt", "s16", "-strict", "-2"]);
    let pool = pool();
    let title = pool.title("film");
    let (track, frames) = encode(&title, &source, "flac", AudioCodec::Flac, 0..120, 40_000..70_000).await;
    let heard = heard(Decoded::Flac, &track.record, &frames);
    assert!(worst(&heard, 0, 40_000) < 2.0 / 32_768.0);
    assert!(heard[2 * 50_000..2 * 69_000].iter().all(|s| *s == 0.0));
    assert!(worst(&heard, 75_000, 120 * 1_024) < 2.0 / 32_768.0);
}
