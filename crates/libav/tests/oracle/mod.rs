//! The `ffmpeg` and `ffprobe` commands: they make what goes in, and judge what comes out.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// A packet as ffprobe found it in a file.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) data: Vec<u8>,
    pub(crate) pts: Option<i64>,
    pub(crate) dts: Option<i64>,
    pub(crate) duration: i64,
    pub(crate) keyframe: bool,
}

impl Found {
    pub(crate) fn packet(&self) -> libav::Packet<'_> {
        let Self { data, pts, dts, duration, keyframe } = self;
        libav::Packet { data, pts: *pts, dts: *dts, duration: *duration, keyframe: *keyframe }
    }
}

/// One stream of a file.
pub(crate) struct Stream {
    pub(crate) packets: Vec<Found>,
    pub(crate) configuration: Vec<u8>,
    pub(crate) time_base: libav::TimeBase,
    pub(crate) fields: BTreeMap<String, String>,
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {errors}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned() + &errors
}

pub(crate) fn ffmpeg(arguments: &[&str]) -> String {
    run("ffmpeg", &[&["-hide_banner", "-nostdin", "-y", "-v", "error"], arguments].concat())
}

/// Runs `ffmpeg` with `arguments`, its output a file called `name` in `folder`.
pub(crate) fn make(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    ffmpeg(&[arguments, &[path.to_str().unwrap()]].concat());
    path
}

/// Lines of `key=value` under one section.
fn sections(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut out: Vec<BTreeMap<String, String>> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') && !line.starts_with("[/") {
            out.push(BTreeMap::new());
        } else if let (Some(last), Some((key, value))) = (out.last_mut(), line.split_once('=')) {
            last.insert(key.to_owned(), value.to_owned());
        }
    }
    out
}

/// Reads a stream (`v:0`, `a:0`) of a file whose packets lie whole in it (MP4, or AVI).
pub(crate) fn stream(path: &Path, which: &str) -> Stream {
    let file = path.to_str().unwrap();
    let text =
        run("ffprobe", &["-v", "error", "-select_streams", which, "-show_streams", "-show_data", file]);
    let fields = sections(&text).swap_remove(0);
    let (num, den) = fields["time_base"].split_once('/').unwrap();
    let time_base = libav::TimeBase { num: num.parse().unwrap(), den: den.parse().unwrap() };
    // A hex dump: `00000000: 0164 001f ffe1 …  text`.
    let configuration = text
        .lines()
        .filter(|line| line.len() > 10 && line.as_bytes()[8] == b':')
        .flat_map(|line| {
            let hex: String = line[10..line.len().min(49)].chars().filter(char::is_ascii_hexdigit).collect();
            hex.as_bytes()
                .chunks_exact(2)
                .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    let bytes = std::fs::read(path).unwrap();
    let packets =
        sections(&run("ffprobe", &["-v", "error", "-select_streams", which, "-show_packets", file]))
            .into_iter()
            .filter(|p| p.contains_key("pos"))
            .map(|p| {
                let (pos, size): (usize, usize) = (p["pos"].parse().unwrap(), p["size"].parse().unwrap());
                Found {
                    data: bytes[pos..pos + size].to_vec(),
                    pts: p["pts"].parse().ok(),
                    dts: p["dts"].parse().ok(),
                    duration: p["duration"].parse().unwrap_or(0),
                    keyframe: p["flags"].starts_with('K'),
                }
            })
            .collect();
    Stream { packets, configuration, time_base, fields }
}

/// The frames of a file's first video stream, in order of presentation.
pub(crate) fn frames(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text =
        run("ffprobe", &["-v", "error", "-select_streams", "v:0", "-show_frames", path.to_str().unwrap()]);
    sections(&text).into_iter().filter(|f| f.contains_key("pict_type")).collect()
}

/// What ffprobe says of a file's first stream.
pub(crate) fn stream_fields(path: &Path) -> BTreeMap<String, String> {
    sections(&run("ffprobe", &["-v", "error", "-show_streams", path.to_str().unwrap()])).swap_remove(0)
}

/// SSIM of `ours` against `source` brought to its size by `chain`, frame for frame: the mean and the worst frame.
pub(crate) fn ssim(ours: &Path, source: &Path, chain: &str) -> (f64, f64) {
    compare(&["-i", ours.to_str().unwrap()], source, chain)
}

/// As [`ssim`], of raw pictures of `size`.
pub(crate) fn ssim_raw(ours: &Path, size: &str, source: &Path, chain: &str) -> (f64, f64) {
    let raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-i", ours.to_str().unwrap()];
    compare(&raw, source, chain)
}

fn compare(ours: &[&str], source: &Path, chain: &str) -> (f64, f64) {
    let graph = format!(
        "[0:v]settb=1/1000,setpts=N[a];[1:v]{chain},format=yuv420p,setsar=1,settb=1/1000,setpts=N[b];\
         [a][b]ssim=stats_file=-"
    );
    let source = ["-noautorotate", "-i", source.to_str().unwrap()];
    let end = ["-lavfi", &graph, "-f", "null", "-"];
    let text =
        run("ffmpeg", &[&["-hide_banner", "-nostdin", "-v", "error"][..], ours, &source, &end].concat());
    let scores: Vec<f64> =
        text.lines().filter_map(|line| line.split_once("All:")?.1.split(' ').next()?.parse().ok()).collect();
    assert!(!scores.is_empty(), "no scores: {text}");
    (scores.iter().sum::<f64>() / scores.len() as f64, scores.iter().copied().fold(1.0, f64::min))
}

/// Writes samples with the parameter sets of their record as a stream with start codes, which any program reads.
pub(crate) fn write_annex_b(path: &Path, configuration: &[u8], samples: &[libav::EncodedSample]) {
    const START: [u8; 4] = [0, 0, 0, 1];
    let mut out = Vec::new();
    let mut at = 6;
    for sets in [usize::from(configuration[5] & 31), 1] {
        for _ in 0..sets {
            let length = usize::from(u16::from_be_bytes([configuration[at], configuration[at + 1]]));
            out.extend_from_slice(&START);
            out.extend_from_slice(&configuration[at + 2..at + 2 + length]);
            at += 2 + length;
        }
        at += 1;
    }
    for sample in samples {
        let mut rest = &sample.data[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (unit, next) = after.split_at(u32::from_be_bytes(*length) as usize);
            out.extend_from_slice(&START);
            out.extend_from_slice(unit);
            rest = next;
        }
    }
    std::fs::write(path, out).unwrap();
}
