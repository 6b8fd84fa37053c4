//! Sound through all three stages, against the `ffmpeg` command.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod oracle;

use std::{f64::consts::TAU, path::Path};

use libav::{
    AudioBlock, AudioCodec, AudioConverter, AudioConverterSettings, AudioDecoder, AudioDecoderSettings,
    AudioEncoder, AudioEncoderSettings, AudioTarget, Channels, EncodedSample,
};
use oracle::{Stream, make};

/// Tones that differ from channel to channel, with some noise: nothing repeats.
const SURROUND: &str = "aevalsrc='0.1*sin(2*PI*220*t)|0.1*sin(2*PI*330*t)|0.1*sin(2*PI*440*t)|0.1*sin(2*PI*60*t)|\
                        0.1*sin(2*PI*550*t)|0.1*sin(2*PI*660*t)':c=5.1:s=48000:d=2";
const STEREO: &str =
    "aevalsrc='0.3*sin(2*PI*(200+90*t)*t)+0.02*random(1)|0.3*sin(2*PI*(310+50*t)*t)':c=stereo:s=48000:d=2";

fn decode(stream: &Stream, codec: AudioCodec) -> Vec<AudioBlock> {
    let mut decoder = AudioDecoder::open(&AudioDecoderSettings {
        codec,
        configuration: &stream.configuration,
        time_base: stream.time_base,
        sample_rate: stream.fields["sample_rate"].parse().unwrap(),
        channels: stream.fields["channels"].parse().unwrap(),
    })
    .unwrap();
    let mut blocks = Vec::new();
    for packet in &stream.packets {
        decoder.send(&packet.packet()).unwrap();
        blocks.extend(std::iter::from_fn(|| decoder.receive().unwrap()));
    }
    decoder.finish().unwrap();
    blocks.extend(std::iter::from_fn(|| decoder.receive().unwrap()));
    blocks
}

fn joined(blocks: &[AudioBlock]) -> Vec<f32> {
    blocks.iter().flat_map(|b| b.samples.iter().copied()).collect()
}

/// What ffmpeg decodes, nothing cut at the beginning, through `more` arguments.
fn reference(path: &Path, more: &[&str]) -> Vec<f32> {
    let out = path.with_extension("f32");
    let input = ["-flags2", "skip_manual", "-ignore_editlist", "1", "-i", path.to_str().unwrap()];
    oracle::ffmpeg(&[&input[..], more, &["-f", "f32le", out.to_str().unwrap()]].concat());
    std::fs::read(&out).unwrap().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn decodes_like_ffmpeg(codec: AudioCodec, make_it: &[&str], channels: u16) {
    let folder = tempfile::tempdir().unwrap();
    let sound = if channels == 6 { SURROUND } else { STEREO };
    let path = make(folder.path(), "in.mp4", &[&["-f", "lavfi", "-i", sound], make_it].concat());
    let source = oracle::stream(&path, "a:0");
    let blocks = decode(&source, codec);
    assert!(blocks.iter().all(|b| b.channels.count() == channels && b.sample_rate == 48_000));
    assert_eq!(blocks[3].pts, source.packets[3].pts, "a block has its packet's time");
    let (ours, theirs) = (joined(&blocks), reference(&path, &[]));
    assert!(ours.len() >= theirs.len() && theirs.len() > 90_000 * usize::from(channels));
    let difference = worst(&ours, &theirs);
    assert!(difference < 1e-4, "{difference} off");
}

#[test]
fn aac_decodes_to_the_samples_of_ffmpeg() {
    decodes_like_ffmpeg(AudioCodec::Aac, &["-c:a", "aac", "-b:a", "128k"], 2);
}

#[test]
fn ac3_of_six_channels_decodes_to_the_samples_of_ffmpeg() {
    decodes_like_ffmpeg(AudioCodec::Ac3, &["-c:a", "ac3", "-b:a", "448k"], 6);
}

#[test]
fn eac3_of_six_channels_decodes_to_the_samples_of_ffmpeg() {
    decodes_like_ffmpeg(AudioCodec::Eac3, &["-c:a", "eac3", "-b:a", "384k"], 6);
}

#[test]
fn mp3_decodes_to_the_samples_of_ffmpeg() {
    decodes_like_ffmpeg(AudioCodec::Mp3, &["-c:a", "libmp3lame", "-b:a", "160k"], 2);
}

#[test]
fn flac_decodes_to_the_samples_of_ffmpeg() {
    decodes_like_ffmpeg(AudioCodec::Flac, &["-c:a", "flac", "-strict", "-2"], 2);
}

#[test]
fn opus_decodes_to_the_samples_of_ffmpeg() {
    decodes_like_ffmpeg(AudioCodec::Opus, &["-c:a", "libopus", "-b:a", "128k"], 2);
}

#[test]
fn surround_to_stereo_is_the_sum_that_the_standard_says() {
    let folder = tempfile::tempdir().unwrap();
    let sound = ["-f", "lavfi", "-i", SURROUND, "-c:a", "flac", "-strict", "-2"];
    let path = make(folder.path(), "in.mp4", &sound);
    let blocks = decode(&oracle::stream(&path, "a:0"), AudioCodec::Flac);
    let mut converter =
        AudioConverter::new(&AudioConverterSettings { sample_rate: 48_000, channels: 2 }).unwrap();
    let (mut ours, mut at) = (Vec::new(), 0);
    for block in &blocks {
        converter.send(at, block).unwrap();
        at += i64::try_from(block.frames()).unwrap();
        ours.extend(std::iter::from_fn(|| converter.receive()).flat_map(|b| b.samples));
    }
    let pan = "pan=stereo|FL=FL+0.70710678*FC+0.70710678*SL|FR=FR+0.70710678*FC+0.70710678*SR";
    let theirs = reference(&path, &["-af", pan]);
    assert_eq!(ours.len(), theirs.len());
    let difference = worst(&ours, &theirs);
    assert!(difference < 1e-4, "{difference} off");
}

/// A sine of 997 Hz at -6 dB from the track's time 0, as the samples `from..to` at `rate`.
fn sine(from: i64, to: i64, rate: u32) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what is wanted")]
    let sample = |n: i64| (0.5 * (TAU * 997.0 * n as f64 / f64::from(rate)).sin()) as f32;
    (from..to).map(sample).collect()
}

fn mono(rate: u32, samples: Vec<f32>) -> AudioBlock {
    AudioBlock { pts: None, sample_rate: rate, channels: Channels::common(1), samples }
}

#[test]
fn a_resampled_sine_is_in_phase_wherever_it_began() {
    let settings = AudioConverterSettings { sample_rate: 48_000, channels: 1 };
    for start in [0, 1, 1000, 44_100, 123_456, -1000] {
        let mut converter = AudioConverter::new(&settings).unwrap();
        let mut at = start;
        let mut out = Vec::new();
        for length in [1024, 1, 777, 9000, 1024] {
            converter.send(at, &mono(44_100, sine(at, at + length, 44_100))).unwrap();
            at += length;
            out.extend(std::iter::from_fn(|| converter.receive()));
        }
        converter.finish().unwrap();
        out.extend(std::iter::from_fn(|| converter.receive()));
        let first = out[0].start;
        assert!((first - start * 160 / 147).abs() <= 160, "{first} for {start}");
        for pair in out.windows(2) {
            assert_eq!(pair[0].start + i64::try_from(pair[0].samples.len()).unwrap(), pair[1].start);
        }
        let samples: Vec<f32> = out.into_iter().flat_map(|b| b.samples).collect();
        let end = first + i64::try_from(samples.len()).unwrap();
        assert!((end - at * 160 / 147).abs() <= 64, "ends at {end} for {at}");
        let settled = 64..samples.len() - 64;
        let difference = worst(&samples[settled.clone()], &sine(first, end, 48_000)[settled]);
        assert!(difference < 5e-4, "{difference} off for {start}");
    }
}

#[test]
fn a_block_that_leaves_a_gap_is_refused() {
    let mut converter =
        AudioConverter::new(&AudioConverterSettings { sample_rate: 48_000, channels: 2 }).unwrap();
    converter.send(0, &mono(48_000, vec![0.0; 100])).unwrap();
    assert!(converter.send(101, &mono(48_000, vec![0.0; 100])).is_err());
}

fn encode(settings: &AudioEncoderSettings, samples: &[f32]) -> (Vec<u8>, Vec<EncodedSample>) {
    let mut encoder = AudioEncoder::open(settings).unwrap();
    let mut out = Vec::new();
    for part in samples.chunks(1500 * usize::from(settings.channels)) {
        encoder.send(part, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    (encoder.configuration().to_vec(), out)
}

/// AAC frames with the header of ISO/IEC 13818-7 (ADTS) each: 48 kHz, mono.
fn adts(frames: &[EncodedSample]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        let length = u16::try_from(frame.data.len() + 7).unwrap();
        // Syncword, AAC-LC, 48 kHz, one channel, then 13 bits of length across four bytes.
        let bits = 0x00ff_f14c_4000_1ffc_u64 | u64::from(length) << 13;
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
        out.extend_from_slice(&frame.data);
    }
    out
}

/// What ffmpeg decodes of AAC frames.
fn decoded(folder: &Path, frames: &[EncodedSample]) -> Vec<f32> {
    let path = folder.join("out.aac");
    std::fs::write(&path, adts(frames)).unwrap();
    let out = path.with_extension("f32");
    oracle::ffmpeg(&["-i", path.to_str().unwrap(), "-f", "f32le", out.to_str().unwrap()]);
    std::fs::read(&out).unwrap().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn aac(start: i64) -> AudioEncoderSettings {
    let target = AudioTarget::Aac { bits_per_second: 96_000 };
    AudioEncoderSettings { target, sample_rate: 48_000, channels: 1, start }
}

#[test]
fn aac_says_where_its_frames_lie() {
    let folder = tempfile::tempdir().unwrap();
    let (configuration, frames) = encode(&aac(0), &sine(0, 48_000, 48_000));
    assert_eq!(configuration[..2], [0x11, 0x88], "AAC-LC, 48 kHz, mono (ISO/IEC 14496-3, 1.6.2.1)");
    assert_eq!(AudioEncoder::open(&aac(0)).unwrap().initial_padding(), 1024);
    assert_eq!((frames[0].pts, frames[1].pts, frames[1].duration), (-1024, 0, 1024));
    let samples = decoded(folder.path(), &frames);
    // One sample beside would be 0.065 off.
    let difference = worst(&samples[1024 + 2048..40_000], &sine(2048, 39_000, 48_000));
    assert!(difference < 0.03, "{difference} off: frame n begins at sample n * 1024");
}

#[test]
fn aac_stretches_made_in_any_order_join_without_a_click() {
    let folder = tempfile::tempdir().unwrap();
    let mut joined: Vec<EncodedSample> = Vec::new();
    for stretch in [3, 0, 4, 1, 2] {
        // Frames stretch*10..stretch*10+10, fed from two before to one after.
        let (first, end) = (stretch * 10, stretch * 10 + 10);
        let from = (first - 2) * 1024;
        let (_, frames) = encode(&aac(from), &sine(from, (end + 1) * 1024, 48_000));
        let kept = frames.into_iter().filter(|f| (first * 1024..end * 1024).contains(&f.pts));
        joined.extend(kept);
    }
    joined.sort_by_key(|f| f.pts);
    let times: Vec<i64> = joined.iter().map(|f| f.pts).collect();
    assert_eq!(times, (0..50).map(|n| n * 1024).collect::<Vec<_>>(), "each frame of the grid once");
    let samples = decoded(folder.path(), &joined);
    assert_eq!(samples.len(), 50 * 1024);
    // The first frame has no frame before it; everywhere else the error is the codec's own, at the joints as between them.
    let error: Vec<f32> = samples.iter().zip(sine(0, 50 * 1024, 48_000)).map(|(a, b)| a - b).collect();
    let loud = |part: &[f32]| (part.iter().map(|e| e * e).sum::<f32>() / 1024.0).sqrt();
    let whole = error[2048..].chunks_exact(1024).map(loud).fold(0.0, f32::max);
    assert!(worst(&error[1024..], &[0.0; 50 * 1024]) < 0.03);
    for joint in 1..5 {
        let at = joint * 10 * 1024;
        let here = loud(&error[at - 512..at + 512]);
        assert!(here < 0.01 && whole < 0.015, "{here} at joint {joint}, {whole} at worst");
    }
}

#[test]
fn flac_gives_back_every_sample() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<f32> = (0..40_000u32)
        .map(|n| {
            f32::from(u16::try_from(n.wrapping_mul(2_654_435_761) >> 16).unwrap().cast_signed()) / 32_768.0
        })
        .collect();
    let target = AudioTarget::Flac { frame_samples: 4608 };
    let settings = AudioEncoderSettings { target, sample_rate: 44_100, channels: 2, start: 4608 };
    let (configuration, frames) = encode(&settings, &samples);
    assert_eq!((frames[0].pts, frames[1].pts, frames[0].duration), (4608, 9216, 4608));
    let path = folder.path().join("out.flac");
    let mut file = [b"fLaC", &configuration[..]].concat();
    frames.iter().for_each(|f| file.extend_from_slice(&f.data));
    std::fs::write(&path, file).unwrap();
    let out = path.with_extension("f32");
    oracle::ffmpeg(&["-i", path.to_str().unwrap(), "-f", "f32le", out.to_str().unwrap()]);
    let back: Vec<f32> = std::fs::read(&out)
        .unwrap()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(back.len(), samples.len());
    assert!(worst(&back, &samples) < 1e-6);
}

#[test]
fn what_is_no_sound_is_refused_and_what_is_no_number_is_silence() {
    let bad = AudioEncoderSettings { channels: 0, ..aac(0) };
    assert!(AudioEncoder::open(&bad).is_err());
    let mut out = Vec::new();
    let mut encoder = AudioEncoder::open(&aac(0)).unwrap();
    encoder.send(&[f32::NAN; 3000], &mut out).unwrap();
    encoder.send(&[f32::INFINITY; 3000], &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    assert!(out.len() >= 6);
}
