//! What the configuration records and the samples' headers of whole films say, against ffprobe.
//!
//! Films come from `$HEADWATER_FIXTURES` (default `target/fixtures`, made by `tests/fixtures/make.sh`); without them,
//! or without ffprobe, nothing is compared.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use container::{
    Index, Movie, MovieOpener, TrackKind,
    codec::{Leading, RandomAccess},
    pull::drive_memory,
};

/// Samples of a track that are looked at, and how much of each.
const SAMPLES_MAX: usize = 600;
const HEAD_BYTES: usize = 4_096;
const FILM_BYTES_MAX: u64 = 256 << 20;

type Row = HashMap<String, String>;

fn films() -> Vec<PathBuf> {
    let folder = std::env::var_os("HEADWATER_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_film = |path: &PathBuf| path.extension().is_some_and(|e| e == "mp4" || e == "mkv" || e == "webm");
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_film).collect()
}

/// Lines of `key=value` fields that ffprobe prints, or nothing if it cannot read the film.
fn probe(film: &Path, fields: &str) -> Vec<Row> {
    let arguments =
        ["-v", "error", "-ignore_editlist", "1", "-show_entries", fields, "-of", "compact=p=0:nk=0"];
    let is_mp4 = film.extension().is_some_and(|e| e == "mp4");
    let arguments = arguments.iter().filter(|a| is_mp4 || !matches!(**a, "-ignore_editlist" | "1"));
    let Ok(out) = Command::new("ffprobe").args(arguments).arg(film).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let field = |f: &str| f.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    // Side data have lines of their own, without fields that were asked for.
    let rows = text.lines().map(|line| line.split('|').filter_map(field).collect::<Row>());
    rows.filter(|row| !row.is_empty()).collect()
}

fn open(film: &Path) -> Option<(Bytes, Movie)> {
    // Sparse giants are for other tests.
    let bytes = match std::fs::metadata(film) {
        Ok(facts) if facts.len() <= FILM_BYTES_MAX => Bytes::from(std::fs::read(film).ok()?),
        _ => return None,
    };
    let movie = drive_memory(&mut MovieOpener::new(bytes.len() as u64), &bytes).ok()?;
    Some((bytes, movie))
}

#[test]
fn records_of_films_say_what_ffprobe_says() {
    let fields = "stream=codec_name,width,height,has_b_frames,sample_rate,channels,profile";
    for film in films() {
        let (Some((_, movie)), streams) = (open(&film), probe(&film, fields)) else { continue };
        for (track, stream) in movie.tracks.iter().zip(&streams) {
            let what = format!("{} {stream:?} {track:?}", film.display());
            let theirs = |key: &str| stream.get(key).and_then(|value| value.parse::<u32>().ok());
            let (mut video, mut audio) = Default::default();
            if track.codec.wants_first_frame() {
                continue;
            }
            match track.kind {
                TrackKind::Video if matches!(track.codec.name(), "h264" | "hevc" | "av1") => {
                    track.codec.fill_video(&mut video);
                    assert_eq!(
                        (Some(video.width), Some(video.height)),
                        (theirs("width"), theirs("height")),
                        "{what}"
                    );
                    if track.codec.name() != "av1" {
                        assert_eq!(track.codec.reorder_frames(), theirs("has_b_frames"), "{what}");
                    }
                }
                TrackKind::Audio if track.codec.record().is_some() => {
                    track.codec.fill_audio(&mut audio);
                    assert_eq!(Some(audio.sample_rate), theirs("sample_rate"), "{what}");
                    assert_eq!(Some(u32::from(audio.channels)), theirs("channels"), "{what}");
                }
                _ => continue,
            }
            assert!(track.codec.rfc6381().is_some(), "{what}");
        }
    }
}

#[test]
fn samples_of_films_are_what_ffprobe_calls_them() {
    for film in films() {
        let Some((bytes, movie)) = open(&film) else { continue };
        let Index::Mp4(index) = &movie.index else { continue };
        let mut packets: HashMap<String, Row> = HashMap::new();
        for packet in probe(&film, "packet=pos,flags,duration,stream_index") {
            packets.insert(packet.get("pos").cloned().unwrap_or_default(), packet);
        }
        for (track, table) in movie.tracks.iter().zip(&index.tables) {
            let (mut frames, mut agreed) = (0, 0);
            for row in table.iter().take(SAMPLES_MAX) {
                let Some(packet) = packets.get(&row.offset.to_string()) else { continue };
                let what = format!("{} ({}) {packet:?}", film.display(), track.codec.name());
                let start = usize::try_from(row.offset).unwrap();
                let Some(sample) = bytes.get(start..start + usize::try_from(row.size).unwrap()) else {
                    break;
                };
                let head = &sample[..sample.len().min(HEAD_BYTES)];
                let is_key = packet.get("flags").is_some_and(|flags| flags.contains('K'));
                match track.codec.random_access(head) {
                    RandomAccess::Clean | RandomAccess::OpenGop => assert!(is_key, "{what}"),
                    RandomAccess::No => assert!(!is_key, "{what}"),
                    RandomAccess::RecoveryPoint => {}
                    RandomAccess::Unknown => assert_ne!(track.kind, TrackKind::Video, "{what}"),
                }
                if is_key {
                    assert!(matches!(track.codec.leading(head), Leading::No | Leading::Unknown), "{what}");
                }
                if track.kind == TrackKind::Audio && track.timescale.get() == rate(track) {
                    // Where the film has a gap the table says more, at its end it may say less; a film that was
                    // copied from Matroska is a millisecond off here and there.
                    let stated = packet.get("duration").and_then(|value| value.parse::<u32>().ok());
                    let slack = track.timescale.get() / 1_000;
                    let samples = track.codec.frame_samples(sample);
                    frames += 1;
                    agreed += usize::from(samples.zip(stated).is_some_and(|(a, b)| a.abs_diff(b) <= slack));
                }
            }
            assert!(agreed * 10 >= frames * 9, "{}: {agreed} of {frames} frames", film.display());
        }
    }
}

fn rate(track: &container::Track) -> u32 {
    let mut audio = container::AudioInfo::default();
    track.codec.fill_audio(&mut audio);
    audio.sample_rate
}
