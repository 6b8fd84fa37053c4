//! Every made film, planned and cut in memory, against what ffprobe sees in the source: the same packets with the same
//! payload, at the same times, whatever the order of cutting.
//!
//! Films come from `tests/fixtures/make.sh`; without them, or without ffprobe, these tests say so and pass.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and says what it skips"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use container::{Movie, MovieOpener, Pull, PullParser, TrackKind, pull::drive_memory};
use packager::{
    CutSegment, Cutter, Part, PlanOptions, Planned, Planner, RenditionId, SegmentFormat, SegmentIndex,
    cmaf_layout, init_segment,
    playlist::{self, MasterOptions},
    ts_segment,
};

fn folder() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures");
    std::env::var_os("HEADWATER_FIXTURES").map_or(default, PathBuf::from)
}

fn films() -> Vec<PathBuf> {
    let wanted = std::env::var("HEADWATER_FILM").ok();
    let mut films: Vec<PathBuf> = std::fs::read_dir(folder())
        .map(|dir| dir.filter_map(|e| Some(e.ok()?.path())).collect())
        .unwrap_or_default();
    films.retain(|f| {
        let name = f.file_name().unwrap().to_string_lossy().into_owned();
        let media = [".mkv", ".webm", ".mka", ".mp4", ".m4a", ".mov"].iter().any(|e| name.ends_with(e));
        media && !name.starts_with("bad-") && wanted.as_ref().is_none_or(|w| name.contains(w))
    });
    films.sort();
    if films.is_empty() {
        eprintln!("no films in {}: run tests/fixtures/make.sh", folder().display());
    }
    films
}

struct Film {
    bytes: Bytes,
    planned: Planned,
}

impl Film {
    fn open(path: &Path) -> Result<Self, String> {
        let bytes = Bytes::from(std::fs::read(path).unwrap());
        let movie: Movie =
            drive_memory(&mut MovieOpener::new(bytes.len() as u64), &bytes).map_err(|e| e.to_string())?;
        let mut planner = Planner::new(movie, PlanOptions::default());
        let planned = drive_memory(&mut planner, &bytes).map_err(|e| e.to_string())?;
        Ok(Self { bytes, planned })
    }

    fn segment(&self, rendition: RenditionId, n: u32) -> Vec<u8> {
        let mut cutter = Cutter::new(&self.planned, rendition, SegmentIndex::new(n)).unwrap();
        let cut = drive_memory(&mut cutter, &self.bytes).unwrap();
        let layout = cmaf_layout(&cut).unwrap();
        let mut out = Vec::new();
        for part in layout.parts {
            match part {
                Part::Inline(bytes) => out.extend_from_slice(&bytes),
                Part::Source(r) => out.extend_from_slice(&self.bytes[r.start() as usize..r.end() as usize]),
            }
        }
        assert_eq!(out.len() as u64, layout.len);
        out
    }

    /// Init and every segment, one after the other, made in reverse.
    fn whole(&self, rendition: RenditionId) -> Vec<u8> {
        let count = self.planned.segments(rendition).unwrap().len() as u32;
        let mut segments: Vec<Vec<u8>> = (0..count).rev().map(|n| self.segment(rendition, n)).collect();
        segments.push(init_segment(&self.planned, rendition).unwrap().to_vec());
        segments.reverse();
        segments.concat()
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Packet {
    pts: f64,
    duration: f64,
    hash: String,
}

/// The packets that ffprobe sees, in file order.
fn packets(file: &Path, stream: &str) -> Vec<Packet> {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-ignore_editlist", "1", "-select_streams", stream])
        .args(["-show_packets", "-show_data_hash", "MD5", "-of", "compact"])
        .arg(file)
        .output()
        .unwrap();
    let out = if out.stdout.is_empty() {
        Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", stream, "-show_packets"])
            .args(["-show_data_hash", "MD5", "-of", "compact"])
            .arg(file)
            .output()
            .unwrap()
    } else {
        out
    };
    // Side data begins a line of its own.
    let text = String::from_utf8_lossy(&out.stdout).replace("\n|", "|");
    let field = |line: &str, name: &str| {
        line.split('|').find_map(|f| f.strip_prefix(name)?.strip_prefix('=')).unwrap_or("").to_owned()
    };
    text.lines()
        .filter(|l| l.starts_with("packet"))
        .map(|line| Packet {
            pts: field(line, "pts_time").parse().unwrap_or(f64::NAN),
            duration: field(line, "duration_time").parse().unwrap_or(0.0),
            hash: field(line, "data_hash"),
        })
        .collect()
}

fn check(path: &Path, film: &Film, rendition: RenditionId, stream: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("ours.mp4");
    std::fs::write(&ours, film.whole(rendition)).unwrap();
    let (ours, mut source) = (packets(&ours, "0"), packets(path, stream));
    let edited = path.file_name().is_some_and(|n| n == "editlist.mp4");
    if edited && rendition != RenditionId::Source {
        // Sound that the edit list hides is left out, but for two frames.
        source.drain(..source.len() - ours.len());
    }
    if ours.len() != source.len() {
        return Err(format!("{rendition}: {} packets, the source has {}", ours.len(), source.len()));
    }
    if let Some(n) = (0..ours.len()).find(|n| ours[*n].hash != source[*n].hash) {
        return Err(format!("{rendition}: packet {n} differs"));
    }
    if edited {
        // Hidden pictures are collapsed: their times are not the source's.
        return Ok(());
    }
    let offset = ours[0].pts - source[0].pts;
    let tolerance =
        if path.extension().is_some_and(|e| e == "mp4" || e == "mov" || e == "m4a") { 1e-4 } else { 1.1e-3 };
    for (n, (o, s)) in ours.iter().zip(&source).enumerate() {
        if !s.pts.is_nan() && (o.pts - s.pts - offset).abs() > tolerance * 2.0 {
            return Err(format!(
                "{rendition}: packet {n} at {} s, the source has {} + {offset}",
                o.pts, s.pts
            ));
        }
    }
    Ok(())
}

/// One film of each kind: ffprobe takes its time, and the tests over HTTP look at all of them.
fn looked_at(path: &Path) -> bool {
    const FILMS: [&str; 22] = [
        "av1.mkv",
        "audio-mp3.mka",
        "block-groups.mkv",
        "editlist.mp4",
        "false-cues.mkv",
        "flac.mkv",
        "fragmented.mp4",
        "h264-opengop.mkv",
        "h264-opengop.mp4",
        "h264-signed-ctts.mp4",
        "header-stripping.mkv",
        "hevc-opengop.mkv",
        "late-audio.mkv",
        "late-video.mkv",
        "live.mkv",
        "many-tracks.mkv",
        "no-cues.mkv",
        "ntsc-film-mkvmerge.mkv",
        "tail.mkv",
        "vfr-mkvmerge.mkv",
        "vp9.webm",
        "xiph-lacing.mkv",
    ];
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    FILMS.contains(&name.as_str()) || std::env::var_os("HEADWATER_FILM").is_some()
}

#[test]
fn every_packet_of_the_source_is_in_the_segments() {
    let mut failed = Vec::new();
    for path in films().into_iter().filter(|p| looked_at(p)) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let film = match Film::open(&path) {
            Ok(film) => film,
            Err(e) => {
                failed.push(format!("{name}: {e}"));
                continue;
            }
        };
        let mut renditions: Vec<(RenditionId, String)> = Vec::new();
        if film.planned.video().is_some() {
            renditions.push((RenditionId::Source, "v:0".to_owned()));
        }
        for (n, _) in film.planned.of_kind(TrackKind::Audio).enumerate() {
            renditions.push((RenditionId::Audio(n), format!("a:{n}")));
        }
        for (rendition, stream) in renditions {
            let track = film.planned.rendition_track(rendition).unwrap();
            if film.planned.movie.tracks[track].codec.rfc6381().is_none() {
                eprintln!("{name}: {rendition} has no codec string");
                continue;
            }
            if let Err(e) = check(&path, &film, rendition, &stream) {
                failed.push(format!("{name}: {e}"));
            }
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Cuts by hand, so that what is read can be counted.
fn cut_counted(film: &Film, mut cutter: Cutter) -> (CutSegment, u64) {
    let mut read = 0;
    loop {
        match cutter.poll().unwrap() {
            Pull::Item(cut) => return (cut, read),
            Pull::Need(range) => {
                read += range.len();
                let bytes = film.bytes.slice(range.start() as usize..range.end() as usize);
                cutter.feed(range, bytes);
            }
        }
    }
}

#[test]
fn every_segment_is_what_the_plan_says_and_reads_little_more() {
    let mut wrong = Vec::new();
    for path in films() {
        let Ok(film) = Film::open(&path) else { continue };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let audio = film.planned.of_kind(TrackKind::Audio).count();
        let renditions: Vec<RenditionId> = [RenditionId::Source, RenditionId::IFrames]
            .into_iter()
            .chain((0..audio).map(RenditionId::Audio))
            .collect();
        for rendition in renditions {
            let Ok(segments) = film.planned.segments(rendition) else { continue };
            let (mut read, mut planned) = (0, 0);
            for (n, segment) in (0u32..).zip(segments) {
                let index = SegmentIndex::new(n);
                let cutter = Cutter::new(&film.planned, rendition, index).unwrap();
                let (cut, bytes) = cut_counted(&film, cutter);
                let [track] = cut.tracks.as_slice() else { panic!("{name}: {rendition} {n}: one track") };
                let duration: u64 = track.samples.iter().map(|s| u64::from(s.duration)).sum();
                if (track.base_time, duration) != (segment.start, segment.duration) {
                    wrong.push(format!(
                        "{name}: {rendition} {n}: {} + {duration}, planned {} + {}",
                        track.base_time, segment.start, segment.duration
                    ));
                }
                let ranges = film.planned.byte_ranges(rendition, index).unwrap();
                read += bytes.max(ranges.iter().map(|r| r.len()).sum());
                planned += ranges.iter().map(|r| r.len()).sum::<u64>();
            }
            // In films as small as these, the few heads read past a segment are much.
            if read > planned * 11 / 10 + 16_384 * segments.len() as u64 {
                wrong.push(format!("{name}: {rendition}: {read} bytes read, {planned} planned"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn transport_streams_are_muxed_from_what_was_missing() {
    for path in films() {
        let Ok(film) = Film::open(&path) else { continue };
        let master = MasterOptions { format: SegmentFormat::Ts, codecs: None };
        if playlist::multivariant(&film.planned, &master).is_err() {
            continue;
        }
        for (n, _) in (0u32..).zip(film.planned.segments(RenditionId::Source).unwrap()) {
            let cutter = Cutter::for_ts(&film.planned, RenditionId::Source, SegmentIndex::new(n)).unwrap();
            let (mut cut, _) = cut_counted(&film, cutter);
            for range in cut.missing() {
                cut.fill(range, &film.bytes.slice(range.start() as usize..range.end() as usize));
            }
            assert!(cut.missing().is_empty());
            let ts = ts_segment(&film.planned, &cut).unwrap();
            assert!(ts.len().is_multiple_of(188) && !ts.is_empty(), "{} {n}", path.display());
        }
    }
}

#[test]
fn segments_chain_and_playlists_tell_the_truth() {
    for path in films() {
        let Ok(film) = Film::open(&path) else { continue };
        let plan = &film.planned.plan;
        for track in &plan.tracks {
            for pair in track.segments.windows(2) {
                assert_eq!(pair[0].start + pair[0].duration, pair[1].start, "{}", path.display());
            }
            assert!(
                track.segments.iter().all(|s| s.duration > 0),
                "{}: {:?}",
                path.display(),
                track.segments
            );
        }
        let kept = serde_json::to_vec(&**plan).unwrap();
        let again =
            Planner::resume((*film.planned.movie).clone(), serde_json::from_slice(&kept).unwrap()).unwrap();
        assert_eq!(again.plan, *plan, "{}", path.display());
    }
}
