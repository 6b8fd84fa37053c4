//! Films long enough to be watched while they arrive: a minute and a half, in every container that is cut.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::fixtures;

/// Matroska: pictures, two sounds, subtitles; its Cues are at its end.
pub const MATROSKA: &str = "reel.mkv";
/// MP4 whose `moov` is at its end.
pub const MOOV_LAST: &str = "reel-end.mp4";
/// MP4 whose `moov` is in front.
pub const MOOV_FIRST: &str = "reel-front.mp4";
/// Fragmented MP4, a fragment a keyframe.
pub const FRAGMENTED: &str = "reel-fragmented.mp4";
/// VP9 and Opus.
pub const WEBM: &str = "reel.webm";

const SECONDS: &str = "90";

/// The file of this name, beside the fixtures; made if it is not there.
///
/// # Errors
/// ffmpeg is not installed or fails.
pub fn reel(name: &str) -> Result<PathBuf> {
    let folder = fixtures::folder().with_file_name("reels");
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(&folder)?;
    // Noise keeps the encoder from making a film of a few kilobytes.
    let picture =
        |size: &str| format!("testsrc2=size={size}:rate=24:duration={SECONDS},noise=alls=24:allf=t");
    let tone = |hz: u32| format!("sine=frequency={hz}:sample_rate=48000:duration={SECONDS}");
    let video =
        ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p", "-b:v", "900k"];
    let keys = ["-maxrate", "900k", "-bufsize", "900k", "-g", "96", "-keyint_min", "24"];
    match name {
        MATROSKA => {
            let text = folder.join(format!("{}.srt", std::process::id()));
            fs::write(&text, subtitles())?;
            let (picture, left, right) = (picture("480x270"), tone(300), tone(500));
            let text_path = text.display().to_string();
            let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &left, "-f", "lavfi", "-i"];
            let inputs = [&inputs[..], &[right.as_str(), "-i", text_path.as_str()]].concat();
            let maps =
                ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-c:a", "aac", "-c:s", "srt"];
            make(&path, &[&inputs[..], &maps, &video, &keys].concat())?;
            fs::remove_file(&text)?;
        }
        WEBM => {
            let (picture, sound) = (picture("320x180"), tone(300));
            let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound, "-c:a", "libopus"];
            let video =
                ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p"];
            make(&path, &[&inputs[..], &video, &["-b:v", "700k", "-g", "96"]].concat())?;
        }
        _ => {
            let from = reel(MATROSKA)?.display().to_string();
            let mut args = vec!["-i", from.as_str(), "-map", "0:v", "-map", "0:a", "-c", "copy"];
            match name {
                MOOV_FIRST => args.extend(["-movflags", "+faststart"]),
                FRAGMENTED => args.extend(["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]),
                _ => ensure!(name == MOOV_LAST, "there is no reel {name}"),
            }
            make(&path, &args)?;
        }
    }
    Ok(path)
}

/// A line a second that says which it is.
fn subtitles() -> String {
    let time = |s: u32| format!("00:{:02}:{:02},000", s / 60, s % 60);
    (0..80).map(|s| format!("{}\n{} --> {}\nsecond {s}\n\n", s + 1, time(s), time(s + 1))).collect()
}

fn make(path: &Path, args: &[&str]) -> Result<()> {
    // Whole once it has its name, whoever else is making it.
    let part = path.with_file_name(format!("{}-{}", std::process::id(), fixtures::name(path)));
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-threads", "2"])
        .args(args)
        .args(["-fflags", "+bitexact", "-map_metadata", "-1"])
        .arg(&part)
        .output()
        .context("start ffmpeg")?;
    ensure!(
        output.status.success(),
        "{}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    fs::rename(&part, path)?;
    Ok(())
}
