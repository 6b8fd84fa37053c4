//! Video through all three stages, against the `ffmpeg` command.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod oracle;
mod stages;

use std::path::Path;

use libav::{EncodedSample, VideoCodec};
use oracle::{Stream, make};
use stages::{decode, encode, filter, scaled, settings};

/// What must be true of any output, whatever went in.
fn hold_against_source(source: &Stream, samples: &[EncodedSample]) {
    let mut asked: Vec<(i64, i64)> = source.packets.iter().map(|p| (p.pts.unwrap(), p.duration)).collect();
    let mut got: Vec<(i64, i64)> = samples.iter().map(|s| (s.pts, s.duration)).collect();
    asked.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, asked, "every picture comes out once, with its own time and duration");
    assert!(samples.iter().all(|s| s.dts <= s.pts), "nothing is shown before it is decoded");
    assert!(samples.windows(2).all(|w| w[0].dts < w[1].dts), "decode times increase");
    assert!(samples[0].keyframe);
}

/// The pictures that ffprobe calls keyframes, by their place in order of presentation.
fn keyframes(path: &Path) -> Vec<usize> {
    let frames = oracle::frames(path);
    frames.iter().enumerate().filter(|(_, f)| f["key_frame"] == "1").map(|(at, _)| at).collect()
}

/// One film through all stages at 180 rows: every time kept, forced keyframes where asked, close to what ffmpeg scales.
fn whole_chain(name: &str, make_it: &[&str], codec: VideoCodec, floor: f64) {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), name, make_it);
    let source = oracle::stream(&path, "v:0");
    let frames = decode(&source, codec);
    assert_eq!(frames.len(), source.packets.len());
    let frames = filter(frames, &scaled(320, 180, source.time_base));
    let mut times: Vec<i64> = source.packets.iter().map(|p| p.pts.unwrap()).collect();
    times.sort_unstable();
    let places = [0, 7, 31, 32, 60];
    let keys = places.iter().map(|at| times[*at]).collect();
    let (configuration, samples) = encode(frames, &settings(320, 180, source.time_base), &keys);
    hold_against_source(&source, &samples);
    let out = folder.path().join("out.h264");
    oracle::write_annex_b(&out, &configuration, &samples);
    let found = keyframes(&out);
    assert!(places.iter().all(|at| found.contains(at)), "asked for {places:?}, found {found:?}");
    let mut said: Vec<i64> = samples.iter().filter(|s| s.keyframe).map(|s| s.pts).collect();
    said.sort_unstable();
    assert_eq!(
        said,
        found.iter().map(|at| times[*at]).collect::<Vec<_>>(),
        "flags say what the stream holds"
    );
    let (mean, worst) = oracle::ssim(&out, &path, "scale=320:180:flags=bicubic");
    assert!(worst > floor, "SSIM {worst} of the worst frame, {mean} on average");
}

const PICTURE: &str = "testsrc2=size=640x360:rate=25:duration=3";

#[test]
fn h264_with_b_frames_keeps_every_time_and_has_its_keyframes() {
    let source = ["-f", "lavfi", "-i", PICTURE, "-c:v", "libx264", "-preset", "superfast", "-bf", "3"];
    whole_chain(
        "in.mp4",
        &[&source[..], &["-pix_fmt", "yuv420p", "-crf", "12"]].concat(),
        VideoCodec::H264,
        0.98,
    );
}

#[test]
fn hevc_of_ten_bits_at_film_rate_keeps_every_time() {
    let picture = "testsrc2=size=640x360:rate=24000/1001:duration=3";
    let source = ["-f", "lavfi", "-i", picture, "-c:v", "libx265", "-preset", "superfast", "-x265-params"];
    let more = ["log-level=none:open-gop=0", "-pix_fmt", "yuv420p10le", "-crf", "12"];
    whole_chain("in.mp4", &[&source[..], &more].concat(), VideoCodec::Hevc, 0.98);
}

#[test]
fn vp9_keeps_every_time() {
    let source =
        ["-f", "lavfi", "-i", PICTURE, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"];
    whole_chain("in.mp4", &[&source[..], &["-b:v", "4M"]].concat(), VideoCodec::Vp9, 0.98);
}

#[test]
fn av1_keeps_every_time() {
    let source = ["-f", "lavfi", "-i", PICTURE, "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8"];
    whole_chain("in.mp4", &[&source[..], &["-b:v", "4M"]].concat(), VideoCodec::Av1, 0.98);
}

#[test]
fn a_variable_frame_rate_is_not_made_even() {
    let rate = "select='mod(n,7)*mod(n,5)',settb=1/90000";
    let source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5", "-vf", rate];
    let more = ["-fps_mode", "passthrough", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "12"];
    whole_chain("in.mp4", &[&source[..], &more].concat(), VideoCodec::H264, 0.98);
}
