//! What we write, read by ffmpeg, which shares no code with us: the same pictures, sounds and times as the source, and
//! not a word of complaint.
//!
//! Sources are made by ffmpeg in a moment, a codec or two each; without ffmpeg this says so and passes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, and it says what it skips")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use container::{
    Index, Movie, Sample, Timescale, Track, TrackKind, mp4,
    pull::drive_memory,
    subtitle::{ass, srt, webvtt},
    write::{
        cmaf::{FragmentSample, InitTrack, init_segment, media_header, media_header_len},
        mpegts::TsWriter,
        webvtt::{TimestampMap, VttHeader, write_vtt},
    },
};
use tempfile::TempDir;

/// 10 s, as our MPEG-TS segments begin at.
const TS_OFFSET: i64 = 900_000;

fn run(program: &str, args: &[&str], files: &[&Path]) -> (String, String) {
    let args: Vec<String> = args
        .iter()
        .map(|arg| match arg.strip_prefix('@').map(str::parse::<usize>) {
            Some(Ok(file)) => files[file].to_str().unwrap().to_owned(),
            _ => (*arg).to_owned(),
        })
        .collect();
    let out = Command::new(program).args(&args).output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{program} {}: {stderr}", args.join(" "));
    (String::from_utf8_lossy(&out.stdout).into_owned(), stderr)
}

fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !found {
        println!("skipped: no ffmpeg");
    }
    found
}

/// A film in `dir`: 2.6 s of test picture and a tone, with these codec options.
fn film(dir: &TempDir, name: &str, options: &[&str]) -> PathBuf {
    let path = dir.path().join(name);
    let mut args = vec!["-v", "error", "-nostdin", "-y", "-fflags", "+bitexact", "-f", "lavfi"];
    args.extend([
        "-i",
        "testsrc2=s=192x108:r=24:d=2.6",
        "-f",
        "lavfi",
        "-i",
        "aevalsrc=sin(660*t)|sin(880*t):d=2.6:s=48000",
    ]);
    args.extend(options);
    args.push("@0");
    run("ffmpeg", &args, &[&path]);
    path
}

fn h264<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut options =
        vec!["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "24", "-pix_fmt", "yuv420p"];
    options.extend(more);
    options
}

struct Film {
    path: PathBuf,
    movie: Movie,
    /// Per track: samples in decode order with the source's times.
    samples: Vec<Vec<Sample>>,
}

fn open(path: PathBuf) -> Film {
    let bytes = Bytes::from(std::fs::read(&path).unwrap());
    let mut movie = drive_memory(&mut mp4::Opener::new(bytes.len() as u64), &bytes).unwrap();
    let Index::Mp4(index) = &movie.index else { panic!("not an MP4") };
    let mut samples = Vec::new();
    for table in &index.tables {
        let mut times: Vec<i64> = table.iter().map(|s| s.pts).collect();
        times.sort_unstable();
        let made = table.iter().zip(&times).map(|(s, &dts)| {
            let at = usize::try_from(s.offset).unwrap();
            let data = bytes.slice(at..at + usize::try_from(s.size).unwrap());
            Sample { pts: s.pts, dts, duration: s.duration, sync: s.sync, data }
        });
        samples.push(made.collect::<Vec<_>>());
    }
    for (track, samples) in movie.tracks.iter_mut().zip(&samples) {
        track.codec.complete_from_frame(&samples[0].data).unwrap();
    }
    Film { path, movie, samples }
}

/// The times of our timeline: the earliest sample of the film is at zero.
fn shifted(film: &Film, track: usize, scale: Timescale, offset: i64) -> Vec<Sample> {
    let seconds = |track: &Track, ticks| track.timescale.seconds(ticks);
    let (first, first_track) = film
        .movie
        .tracks
        .iter()
        .zip(&film.samples)
        .filter_map(|(track, samples)| Some((samples.iter().map(|s| s.pts).min()?, track)))
        .min_by(|a, b| seconds(a.1, a.0).total_cmp(&seconds(b.1, b.0)))
        .unwrap();
    let from = film.movie.tracks[track].timescale;
    let shift = first_track.timescale.rescale(first, from);
    film.samples[track]
        .iter()
        .map(|s| Sample {
            pts: from.rescale(s.pts - shift, scale) + offset,
            dts: from.rescale(s.dts - shift, scale) + offset,
            duration: u32::try_from(from.rescale(i64::from(s.duration), scale)).unwrap(),
            ..s.clone()
        })
        .collect()
}

/// Segments of a second or so: video from keyframe to keyframe, audio by count.
fn segments(samples: &[Sample], is_video: bool) -> Vec<&[Sample]> {
    if !is_video {
        return samples.chunks(40).collect();
    }
    samples.chunk_by(|_, next| !next.sync).collect()
}

/// One track as a CMAF file: init and all its segments.
fn cmaf(film: &Film, number: usize) -> (Bytes, Vec<Sample>) {
    let track = &film.movie.tracks[number];
    let mut samples = shifted(film, number, track.timescale, 0);
    // Decode times have to tile.
    let ends: Vec<i64> = samples.iter().skip(1).map(|s| s.dts).collect();
    for (sample, end) in samples.iter_mut().zip(ends) {
        sample.duration = u32::try_from(end - sample.dts).unwrap();
    }
    let init = InitTrack { track, track_id: 1, timescale: track.timescale };
    let mut out = init_segment(&[init]).unwrap().to_vec();
    assert_eq!(out, init_segment(&[init]).unwrap());
    for (sequence, segment) in (1..).zip(segments(&samples, track.kind == TrackKind::Video)) {
        let rows: Vec<_> = segment
            .iter()
            .map(|s| FragmentSample {
                size: u32::try_from(s.data.len()).unwrap(),
                duration: s.duration,
                composition_offset: i32::try_from(s.pts - s.dts).unwrap(),
                sync: s.sync,
            })
            .collect();
        let header = media_header(sequence, 1, u64::try_from(segment[0].dts).unwrap(), &rows);
        assert_eq!(header.len(), media_header_len(&rows));
        out.extend_from_slice(&header);
        segment.iter().for_each(|s| out.extend_from_slice(&s.data));
    }
    (out.into(), samples)
}

/// Hashes of what is decoded (or copied), and what ffmpeg said while it did. Frames that differ only in time are equal.
fn hashes(path: &Path, input: &[&str], stream: &str, output: &[&str]) -> (Vec<String>, String) {
    let mut args = vec!["-hide_banner", "-nostdin", "-v", "warning"];
    args.extend(input);
    args.extend(["-i", "@0", "-map", stream]);
    args.extend(output);
    args.extend(["-f", "framehash", "-hash", "md5", "-"]);
    let (out, err) = run("ffmpeg", &args, &[path]);
    let lines = out.lines().filter(|line| !line.starts_with('#'));
    // Stream, dts, pts, duration, size, hash; perhaps side data.
    (lines.map(|line| line.split(',').nth(5).unwrap().trim().to_owned()).collect(), err)
}

fn decoded(path: &Path, input: &[&str], kind: TrackKind) -> (Vec<String>, String) {
    match kind {
        TrackKind::Video => hashes(path, input, "0:v:0", &["-fps_mode", "passthrough"]),
        _ => hashes(path, input, "0:a:0", &["-c", "copy"]),
    }
}

/// (pts, dts, duration) of each packet, as ffprobe reads them.
fn packet_times(path: &Path, stream: &str) -> Vec<(i64, i64, i64)> {
    let args = [
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=pts,dts,duration",
        "-of",
        "csv=p=0",
        "@0",
    ];
    let (out, _) = run("ffprobe", &args, &[path]);
    out.lines()
        .filter(|line| line.split(',').count() >= 3)
        .map(|line| {
            let mut fields = line.split(',').map(|field| field.parse().unwrap_or(-1));
            (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap_or(-1))
        })
        .collect()
}

fn selector(kind: TrackKind) -> &'static str {
    if kind == TrackKind::Video { "v:0" } else { "a:0" }
}

fn check_cmaf(film: &Film, dir: &TempDir) {
    for (number, track) in film.movie.tracks.iter().enumerate() {
        let what = format!("{} {}", film.path.display(), track.codec.name());
        let path = dir.path().join(format!("out-{number}.mp4"));
        let (file, samples) = cmaf(film, number);
        std::fs::write(&path, &file).unwrap();
        // ffmpeg shows pictures late by the largest negative composition offset it has seen in fragments, its own too
        // (`dts_shift`); decode times and everyone else's presentation times are as written.
        let shift = samples.iter().map(|s| s.dts - s.pts).max().unwrap();
        let times = packet_times(&path, selector(track.kind));
        assert_eq!(times.len(), samples.len(), "{what}");
        for (number, ((pts, dts, duration), sample)) in (1..).zip(times.into_iter().zip(&samples)) {
            assert_eq!((pts, dts), (sample.pts + shift, sample.dts), "{what}");
            // Packets looked at while opening have lost their durations; a short last frame is told as a whole one.
            if duration != -1 && number < samples.len() {
                assert_eq!(duration, i64::from(sample.duration), "{what} at {pts}");
            }
        }
        let (source, _) = decoded(&film.path, &["-ignore_editlist", "1"], track.kind);
        let (ours, complaints) = decoded(&path, &[], track.kind);
        assert_eq!(complaints, "", "{what}");
        assert_eq!(ours, source, "{what}: frames");
        assert_eq!(samples.len(), ours.len(), "{what}");
    }
}

fn check_ts(film: &Film, dir: &TempDir) {
    let tracks: Vec<&Track> = film.movie.tracks.iter().collect();
    let writer = TsWriter::new(&tracks).unwrap();
    let samples: Vec<Vec<Sample>> = (0..tracks.len())
        .map(|number| {
            let mut samples = shifted(film, number, Timescale::MPEG, TS_OFFSET);
            // Two pictures of 24 a second: what reordering needs here.
            let delay = if tracks[number].kind == TrackKind::Video { 7_500 } else { 0 };
            samples.iter_mut().for_each(|s| s.dts -= delay);
            samples
        })
        .collect();
    // Boundaries of the film: what the first track's segments begin with; the others follow by time.
    let first = segments(&samples[0], tracks[0].kind == TrackKind::Video);
    let starts: Vec<i64> = first.iter().skip(1).map(|segment| segment[0].pts).collect();
    let mut split: Vec<Vec<&[Sample]>> = vec![first];
    for samples in samples.iter().skip(1) {
        let at = |start: &i64| samples.partition_point(|s| s.pts < *start);
        let ends: Vec<usize> = starts.iter().map(at).chain([samples.len()]).collect();
        let begins = [0].iter().chain(&ends);
        split.push(begins.zip(&ends).map(|(&begin, &end)| &samples[begin..end]).collect());
    }
    let count = split[0].len();
    let mut file = Vec::new();
    for number in 0..count {
        let segment: Vec<&[Sample]> = split.iter().map(|segments| segments[number]).collect();
        file.extend_from_slice(&writer.write_segment(&segment).unwrap());
    }
    let path = dir.path().join("out.ts");
    std::fs::write(&path, &file).unwrap();
    let everything =
        ["-hide_banner", "-nostdin", "-v", "debug", "-i", "@0", "-map", "0", "-c", "copy", "-f", "null", "-"];
    let (_, said) = run("ffmpeg", &everything, &[&path]);
    let wrong: Vec<_> = said.lines().filter(|l| l.contains("ontinuity") || l.contains("corrupt")).collect();
    assert!(wrong.is_empty(), "{}: {wrong:?}", film.path.display());

    for (track, samples) in tracks.iter().zip(&samples) {
        let what = format!("{} {} in MPEG-TS", film.path.display(), track.codec.name());
        let times: Vec<_> = packet_times(&path, selector(track.kind)).iter().map(|t| t.0).collect();
        let expected: Vec<_> = samples.iter().map(|s| s.pts).collect();
        assert_eq!(times.len(), expected.len(), "{what}");
        for (time, expected) in times.iter().zip(&expected) {
            // Times of audio frames within a PES are ffmpeg's own reckoning.
            assert!(time.abs_diff(*expected) <= 2, "{what}: {time} for {expected}");
        }
        let (source, _) = decoded(&film.path, &["-ignore_editlist", "1"], track.kind);
        let (ours, complaints) = match track.codec.name() {
            "aac" => hashes(&path, &[], "0:a:0", &["-c", "copy", "-bsf:a", "aac_adtstoasc"]),
            _ => decoded(&path, &[], track.kind),
        };
        assert_eq!(complaints, "", "{what}");
        assert_eq!(ours, source, "{what}: frames");
    }
}

#[test]
fn h264_with_b_frames_and_aac_are_the_same_in_cmaf_and_mpeg_ts() {
    if has_ffmpeg() {
        let dir = TempDir::new().unwrap();
        let film = open(film(&dir, "source.mp4", &h264(&["-c:a", "aac"])));
        check_cmaf(&film, &dir);
        check_ts(&film, &dir);
    }
}

#[test]
fn ten_bit_hevc_and_ac3_are_the_same_in_cmaf_and_mpeg_ts() {
    if has_ffmpeg() {
        let dir = TempDir::new().unwrap();
        let options = [
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=none:keyint=24:open-gop=0",
        ];
        let more = ["-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", "-c:a", "ac3"];
        let film = open(film(&dir, "source.mp4", &[&options[..], &more[..]].concat()));
        check_cmaf(&film, &dir);
        check_ts(&film, &dir);
    }
}

#[test]
fn eac3_and_mp3_are_the_same_in_cmaf_and_mpeg_ts() {
    if has_ffmpeg() {
        for audio in [&["-c:a", "eac3"][..], &["-c:a", "libmp3lame"], &["-c:a", "libmp3lame", "-ar", "22050"]]
        {
            let dir = TempDir::new().unwrap();
            let film = open(film(&dir, "source.mp4", &h264(audio)));
            check_cmaf(&film, &dir);
            check_ts(&film, &dir);
        }
    }
}

#[test]
fn audio_alone_is_the_same_in_mpeg_ts() {
    if has_ffmpeg() {
        let dir = TempDir::new().unwrap();
        let film = open(film(&dir, "source.mp4", &["-vn", "-c:a", "aac", "-b:a", "48k"]));
        check_ts(&film, &dir);
    }
}

#[test]
fn vp9_with_opus_and_av1_with_flac_are_the_same_in_cmaf() {
    if has_ffmpeg() {
        let vp9 =
            ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "24", "-c:a", "libopus"];
        let av1 = ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "24", "-c:a", "flac"];
        for options in [vp9, av1] {
            let dir = TempDir::new().unwrap();
            let film = open(film(&dir, "source.mp4", &[&options[..], &["-strict", "-2"]].concat()));
            check_cmaf(&film, &dir);
        }
    }
}

#[test]
fn geometry_colour_and_language_are_told() {
    if has_ffmpeg() {
        let dir = TempDir::new().unwrap();
        let options =
            ["-c:a", "aac", "-vf", "setsar=4/3", "-color_primaries", "bt709", "-color_trc", "bt709"];
        let path = film(&dir, "source.mp4", &h264(&[&options[..], &["-colorspace", "bt709"]].concat()));
        let mut film = open(path);
        let path = dir.path().join("out.mp4");
        for (rotation, expected) in [(0, ""), (90, "-90"), (180, "-180"), (270, "90")] {
            film.movie.tracks[0].video.as_mut().unwrap().rotation = rotation;
            film.movie.tracks[0].language = Some("pt-BR".to_owned());
            std::fs::write(&path, cmaf(&film, 0).0).unwrap();
            let entries =
                "stream=sample_aspect_ratio,color_primaries:stream_tags=language:stream_side_data=rotation";
            let args = ["-v", "error", "-show_entries", entries, "-of", "default=nk=1:nw=1", "@0"];
            let (out, _) = run("ffprobe", &args, &[&path]);
            let lines: Vec<_> = out.lines().filter(|line| !line.is_empty()).collect();
            let told: Vec<_> =
                ["4:3", "bt709", "por", expected].into_iter().filter(|s| !s.is_empty()).collect();
            for word in &told {
                assert!(lines.contains(word), "{word} in {lines:?}");
            }
        }
    }
}

#[test]
fn subtitles_of_every_file_form_become_webvtt_that_ffmpeg_reads() {
    if has_ffmpeg() {
        let dir = TempDir::new().unwrap();
        let srt = "1\r\n00:00:01,000 --> 00:00:02,500\r\nOne <i>and</i> a < b & c\r\n\r\n2\r\n\
            01:00:00,250 --> 01:00:01,000\r\n{\\an8}Two\r\nlines\r\n";
        let source = dir.path().join("source.srt");
        std::fs::write(&source, srt).unwrap();
        for form in ["srt", "ass", "webvtt"] {
            let file = dir.path().join(format!("made.{form}"));
            run("ffmpeg", &["-v", "error", "-i", "@0", "-c:s", form, "-f", form, "@1"], &[&source, &file]);
            let bytes = std::fs::read(&file).unwrap();
            let cues = match form {
                "srt" => srt::parse_file(&bytes),
                "ass" => ass::parse_file(&bytes),
                _ => webvtt::parse_file(&bytes),
            }
            .unwrap();
            let map = Some(TimestampMap { mpegts: 900_000, local_ms: 0 });
            for timestamp_map in [None, map] {
                let path = dir.path().join("out.vtt");
                std::fs::write(&path, write_vtt(&cues, VttHeader { timestamp_map })).unwrap();
                let args = ["-v", "warning", "-i", "@0", "-f", "srt", "-"];
                let (out, complaints) = run("ffmpeg", &args, &[&path]);
                assert_eq!(complaints, "", "{form}");
                let lines: Vec<_> = out.lines().filter(|line| !line.is_empty()).collect();
                let expected = [
                    "1",
                    "00:00:01,000 --> 00:00:02,500",
                    "One <i>and</i> a < b & c",
                    "2",
                    "01:00:00,250 --> 01:00:01,000",
                    "Two",
                    "lines",
                ];
                assert_eq!(lines, expected, "{form}");
            }
        }
    }
}
