//! Every MP4 fixture against ffprobe, which shares no code with us: place, size, times and key flag of each sample.
//!
//! Fixtures lie in `$HEADWATER_FIXTURES`, by default `target/fixtures`; without them, or without ffprobe, this says so
//! and passes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, and it says what it skips")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use container::{Index, Movie, TrackKind, mp4, pull::drive_memory};

/// A packet as ffprobe tells it.
#[derive(Clone, Debug)]
struct Packet {
    pos: u64,
    size: u32,
    pts: Option<i64>,
    dts: Option<i64>,
    key: bool,
}

fn fixtures() -> PathBuf {
    std::env::var_os("HEADWATER_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures"), PathBuf::from)
}

/// Packets by stream.
fn packets(file: &Path, options: &[&str]) -> Option<HashMap<usize, Vec<Packet>>> {
    let fields = "packet=stream_index,pts,dts,size,pos,flags";
    let out = Command::new("ffprobe")
        .args(["-v", "error"])
        .args(options)
        .args(["-show_entries", fields, "-of", "csv=nk=0:p=0"])
        .arg(file)
        .output()
        .ok()?;
    assert!(out.status.success(), "ffprobe {}: {}", file.display(), String::from_utf8_lossy(&out.stderr));
    let mut streams: HashMap<usize, Vec<Packet>> = HashMap::new();
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let fields: HashMap<_, _> = line.split(',').filter_map(|field| field.split_once('=')).collect();
        let number = |key: &str| fields.get(key).and_then(|value| value.parse::<i64>().ok());
        let (Some(stream), Some(pos)) = (number("stream_index"), number("pos")) else { continue };
        streams.entry(usize::try_from(stream).unwrap()).or_default().push(Packet {
            pos: u64::try_from(pos).unwrap(),
            size: u32::try_from(number("size").unwrap()).unwrap(),
            pts: number("pts"),
            dts: number("dts"),
            key: fields.get("flags").is_some_and(|flags| flags.contains('K')),
        });
    }
    Some(streams)
}

fn open(file: &Path) -> Movie {
    let bytes = Bytes::from(std::fs::read(file).unwrap());
    match drive_memory(&mut mp4::Opener::new(bytes.len() as u64), &bytes) {
        Ok(movie) => movie,
        Err(error) => panic!("{}: {error}", file.display()),
    }
}

/// What the tables say, edit lists left out: place, size, key flag and duration of each packet, and times up to one
/// constant a track.
fn compare_media(file: &Path, movie: &Movie, index: &mp4::Mp4Index) {
    let Some(streams) = packets(file, &["-ignore_editlist", "1"]) else {
        println!("skipped: no ffprobe");
        return;
    };
    for (number, (track, table)) in movie.tracks.iter().zip(&index.tables).enumerate() {
        if track.kind == TrackKind::Other {
            continue;
        }
        let what = format!("{} track {number} ({})", file.display(), track.codec.name());
        let packets = streams.get(&number).map(Vec::as_slice).unwrap_or_default();
        assert!(table.len() <= packets.len(), "{what}: {} rows, {} packets", table.len(), packets.len());
        // The edit list may cut the tail off, as it does the empty cue that closes a text track.
        let cut = packets.len() - table.len();
        assert!(
            cut <= 1 || cut * 20 <= packets.len(),
            "{what}: {cut} of {} packets are missing",
            packets.len()
        );
        let mut shift = None;
        for (place, (row, packet)) in table.iter().zip(packets).enumerate() {
            let what = format!("{what} sample {place}: {row:?} {packet:?}");
            assert_eq!((row.offset, row.size), (packet.pos, packet.size), "{what}");
            assert_eq!(row.sync || row.random_access, packet.key, "{what}");
            // ffprobe's own packet durations are of the average frame rate; the table's are between decode times.
            if let (Some(dts), Some(Some(next))) = (packet.dts, packets.get(place + 1).map(|next| next.dts)) {
                assert_eq!(i64::from(row.duration), next - dts, "{what}");
            }
            if let Some(pts) = packet.pts {
                assert_eq!(row.pts - pts, *shift.get_or_insert(row.pts - pts), "{what}");
            }
        }
    }
}

/// With edit lists: each packet that ffprobe still gives has our time, and those it does not give are hidden.
fn compare_shown(file: &Path, movie: &Movie, index: &mp4::Mp4Index) {
    let Some(streams) = packets(file, &[]) else { return };
    for (number, (track, table)) in movie.tracks.iter().zip(&index.tables).enumerate() {
        if track.kind == TrackKind::Other {
            continue;
        }
        let packets = streams.get(&number).map(Vec::as_slice).unwrap_or_default();
        let times: HashMap<u64, Option<i64>> = packets.iter().map(|p| (p.pos, p.pts)).collect();
        // Where the list cuts a picture in two, ffmpeg moves the track so that the next one is at 0; we leave it be.
        let first = table.iter().filter(|row| !row.hidden).min_by_key(|row| row.pts);
        let shift =
            first.and_then(|row| Some(row.pts - times.get(&row.offset).copied().flatten()?)).unwrap_or(0);
        let frame = first.map_or(0, |row| i64::from(row.duration));
        // In fragments, ffmpeg adds the largest negative composition offset to every time.
        assert!(
            index.fragmented || (0..=frame).contains(&shift),
            "{} track {number}: off by {shift}",
            file.display()
        );
        for (place, row) in table.iter().enumerate() {
            let what =
                format!("{} track {number} ({}) sample {place}: {row:?}", file.display(), track.codec.name());
            match times.get(&row.offset) {
                // Frames before an edit get made-up times of it, since none is shown.
                Some(Some(pts)) if !row.hidden => assert_eq!(row.pts, *pts + shift, "{what}"),
                Some(_) => {}
                None => {
                    assert!(row.hidden || row.pts < 0 || row.duration == 0, "{what}: not given by ffprobe")
                }
            }
        }
    }
}

#[test]
fn tables_agree_with_ffprobe_for_every_fixture() {
    let Ok(listing) = std::fs::read_dir(fixtures()) else {
        println!("skipped: no fixtures in {}", fixtures().display());
        return;
    };
    let mut seen = 0;
    for entry in listing {
        let file = entry.unwrap().path();
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !matches!(extension, "mp4" | "m4a" | "m4v" | "mov") || broken(&file) {
            continue;
        }
        println!("{}", file.display());
        let movie = open(&file);
        let Index::Mp4(index) = &movie.index else { panic!("not an MP4 index") };
        compare_media(&file, &movie, index);
        compare_shown(&file, &movie, index);
        seen += 1;
    }
    println!("compared {seen} files");
}

/// Fixtures that are broken on purpose say so.
fn broken(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["truncated", "bad-"].iter().any(|word| name.contains(word))
}
