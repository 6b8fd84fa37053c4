//! Every Matroska fixture against ffprobe, which shares no code with us: track, time, size, key flag and place of each
//! packet.
//!
//! Fixtures lie in `$HEADWATER_FIXTURES`, by default `target/fixtures`; without them, or without ffprobe, this says so
//! and passes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use container::{
    Movie,
    codec::{CodecConfig, TextFormat},
    matroska::{self, Block, Payload},
};

use crate::support::{everything, index, open_counted, walk_counted};

/// A packet as ffprobe tells it.
#[derive(Clone, Debug)]
struct Packet {
    pts_ms: Option<i64>,
    size: u64,
    pos: u64,
    key: bool,
}

fn fixtures() -> PathBuf {
    std::env::var_os("HEADWATER_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures"), PathBuf::from)
}

/// Packets of each stream.
fn packets(file: &Path) -> Option<Vec<Vec<Packet>>> {
    let fields = "packet=stream_index,pts_time,size,pos,flags";
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", fields, "-of", "csv=nk=0:p=0"])
        .arg(file)
        .output()
        .ok()?;
    assert!(out.status.success(), "ffprobe {}: {}", file.display(), String::from_utf8_lossy(&out.stderr));
    let mut streams: Vec<Vec<Packet>> = Vec::new();
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let field =
            |key: &str| line.split(',').filter_map(|f| f.split_once('=')).find(|f| f.0 == key).map(|f| f.1);
        let number = |key: &str| field(key).and_then(|value| value.parse::<u64>().ok());
        let (Some(stream), Some(pos)) = (number("stream_index"), number("pos")) else { continue };
        let stream = usize::try_from(stream).unwrap();
        if streams.len() <= stream {
            streams.resize(stream + 1, Vec::new());
        }
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a fixture")]
        let ms = |time: f64| (time * 1000.0).round() as i64;
        streams[stream].push(Packet {
            pts_ms: field("pts_time").and_then(|time| time.parse::<f64>().ok()).map(ms),
            size: number("size").unwrap(),
            pos,
            key: field("flags").is_some_and(|flags| flags.contains('K')),
        });
    }
    Some(streams)
}

/// The blocks of a track as ffprobe would tell them: codec delay taken off, header put back, zlib undone.
fn compare(name: &str, movie: &Movie, blocks: &[Block], streams: &[Vec<Packet>]) {
    let scale = i64::try_from(index(movie).timestamp_scale_ns).unwrap();
    assert_eq!(scale, 1_000_000, "{name}: fixtures count in milliseconds");
    for (number, track) in movie.tracks.iter().enumerate() {
        let ours: Vec<_> = blocks.iter().filter(|b| b.track == number).collect();
        let theirs = streams.get(number).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(ours.len(), theirs.len(), "{name} track {number}");
        // libav rounds the delay to a tick first.
        let delay = i64::try_from((track.codec_delay_ns + 500_000) / 1_000_000).unwrap();
        let mut laced = 0;
        for (place, (block, packet)) in ours.iter().zip(theirs).enumerate() {
            laced = if place > 0 && ours[place - 1].element == block.element { laced + 1 } else { 0 };
            let what = format!("{name} track {number} sample {place}: {:?} {packet:?}", block.sample);
            if let Some(pts) = packet.pts_ms {
                // For later frames of a lace libav adds up durations that it cut to whole milliseconds.
                let late = block.sample.pts - delay - pts;
                assert!((0..=laced).contains(&late), "{what}: {late} ms");
            }
            let data = block.data.as_deref().unwrap();
            let size = if track.deflated {
                matroska::inflate(data, block.sample.bytes.start()).unwrap().len()
            } else {
                track.strip_prefix.len() + data.len()
            };
            // libav takes two lines off the front of WebM's old form of WebVTT.
            let known = track.codec != CodecConfig::Text(TextFormat::WebVttInline);
            assert!(!known || size as u64 == packet.size, "{what}");
            assert_eq!(block.sample.sync, packet.key, "{what}");
            // libav's place is the block's payload, ours the element's; both in the same block.
            assert!(
                (block.element..block.sample.bytes.end().max(block.element + 1)).contains(&packet.pos),
                "{what}"
            );
        }
    }
}

/// Fixtures that ffprobe and we read differently for a reason.
fn skipped(name: &str) -> bool {
    name.starts_with("bad-") || name.contains("garbage")
}

#[test]
fn blocks_agree_with_ffprobe_for_every_fixture() {
    let Ok(listing) = std::fs::read_dir(fixtures()) else {
        println!("skipped: no fixtures in {}", fixtures().display());
        return;
    };
    let mut seen = 0;
    let mut files: Vec<_> = listing.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !matches!(extension, "mkv" | "mka" | "mks" | "webm") || skipped(&name) {
            continue;
        }
        let Some(streams) = packets(&path) else {
            println!("skipped: no ffprobe");
            return;
        };
        let file = Bytes::from(std::fs::read(&path).unwrap());
        let (movie, reads) = open_counted(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let cues = index(&movie).cues.len();
        println!(
            "{name}: {} tracks, {cues} cues, opened with {} bytes in {} reads",
            movie.tracks.len(),
            reads.bytes,
            reads.count
        );
        assert!(reads.bytes < 200 << 10, "{name}: {reads:?}");
        let options = everything(&movie, Payload::Whole, 8 << 20);
        let (blocks, _) =
            walk_counted(&movie, &file, options).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(&name, &movie, &blocks, &streams);
        let hopped = walk_counted(&movie, &file, everything(&movie, Payload::None, 64)).unwrap().0;
        assert!(
            hopped.iter().map(|b| &b.sample).eq(blocks.iter().map(|b| &b.sample)),
            "{name}: hopping differs"
        );
        seen += 1;
    }
    println!("compared {seen} files");
}
