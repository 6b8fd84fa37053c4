//! ffmpeg and ffprobe, asked for facts.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// One decoded frame or one packet, as ffmpeg's `framemd5` muxer tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Presentation time in seconds.
    pub pts: f64,
    /// Bytes.
    pub size: u64,
    /// MD5 of its content.
    pub md5: String,
}

/// Decodes a stream (`0:v:0`) and gives every frame.
///
/// # Errors
/// ffmpeg failed; its words are in the error.
pub fn frames(file: &Path, stream: &str) -> Result<Vec<Unit>> {
    let args = ["-fps_mode", "passthrough", "-enc_time_base", "-1", "-c:v", "rawvideo", "-autorotate", "0"];
    units(file, stream, &args[..6])
}

/// Gives every packet of a stream, not decoded. `filter` is a bitstream filter, such as `aac_adtstoasc`.
///
/// # Errors
/// ffmpeg failed; its words are in the error.
pub fn packets(file: &Path, stream: &str, filter: Option<&str>) -> Result<Vec<Unit>> {
    let mut args = vec!["-c", "copy"];
    if let Some(filter) = filter {
        args.extend(["-bsf", filter]);
    }
    units(file, stream, &args)
}

fn units(file: &Path, stream: &str, args: &[&str]) -> Result<Vec<Unit>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1", "-copyts", "-noautorotate", "-i"])
        .arg(file)
        .args(["-map", stream])
        .args(args)
        .args(["-f", "framemd5", "-"])
        .output()
        .context("start ffmpeg")?;
    ensure!(
        output.status.success(),
        "ffmpeg on {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let mut base = 1.0;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(tb) = line.strip_prefix("#tb 0: ") {
            let (num, den) = tb.split_once('/').context("time base")?;
            base = num.trim().parse::<f64>()? / den.trim().parse::<f64>()?;
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [_, _, pts, _, size, md5] = fields[..6.min(fields.len())] else { continue };
            found.push(Unit { pts: pts.parse::<f64>()? * base, size: size.parse()?, md5: md5.to_owned() });
        }
    }
    Ok(found)
}

/// How far each of ours is from the source's in time, seconds, ascending.
///
/// # Errors
/// They are not the same content in the same order.
pub fn shifts(ours: &[Unit], theirs: &[Unit]) -> Result<Vec<f64>> {
    for (n, (a, b)) in ours.iter().zip(theirs).enumerate() {
        ensure!(
            a.md5 == b.md5,
            "number {n} at {:.3} s differs from the source's at {:.3} s ({} and {} of them)",
            a.pts,
            b.pts,
            ours.len(),
            theirs.len()
        );
    }
    ensure!(ours.len() == theirs.len(), "{} of them, the source has {}", ours.len(), theirs.len());
    let mut shifts: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a.pts - b.pts).collect();
    shifts.sort_by(f64::total_cmp);
    Ok(shifts)
}

/// Decodes bytes that come on standard input: frames decoded and what ffmpeg complained of.
///
/// # Errors
/// ffmpeg could not be run.
pub fn decode(bytes: &[u8]) -> Result<(usize, String)> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-nostats", "-threads", "1", "-i", "pipe:0", "-fps_mode", "passthrough"])
        .args(["-f", "framemd5", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start ffmpeg")?;
    let mut stdin = child.stdin.take().context("stdin")?;
    let bytes = bytes.to_vec();
    // ffmpeg may stop reading before the end: its own words say why, not the broken pipe.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output()?;
    let _ = feeder.join();
    let frames = String::from_utf8_lossy(&output.stdout).lines().filter(|l| !l.starts_with('#')).count();
    Ok((frames, String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// The streams of a file, as ffprobe describes them.
///
/// # Errors
/// ffprobe failed.
pub fn streams(file: &Path) -> Result<Vec<serde_json::Value>> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_streams", "-of", "json"])
        .arg(file)
        .output()
        .context("start ffprobe")?;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(json.get("streams").and_then(|s| s.as_array()).cloned().unwrap_or_default())
}
