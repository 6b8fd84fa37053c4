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
use container::{Movie, MovieOpener, TrackKind, pull::drive_memory};
use packager::{
    Cutter, Part, PlanOptions, Planned, Planner, RenditionId, SegmentIndex, cmaf_layout, init_segment,
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
    let (ours, source) = (packets(&ours, "0"), packets(path, stream));
    if ours.len() != source.len() {
        return Err(format!("{rendition}: {} packets, the source has {}", ours.len(), source.len()));
    }
    if let Some(n) = (0..ours.len()).find(|n| ours[*n].hash != source[*n].hash) {
        return Err(format!("{rendition}: packet {n} differs"));
    }
    if path.file_name().is_some_and(|n| n == "editlist.mp4") {
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

/// Films whose packets the source itself does not give to ffprobe in full.
fn hides_packets(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.contains("truncated")
}

#[test]
fn every_packet_of_the_source_is_in_the_segments() {
    let mut failed = Vec::new();
    for path in films().into_iter().filter(|p| !hides_packets(p)) {
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
