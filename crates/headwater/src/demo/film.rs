//! Makes the demo's film with the `ffmpeg` command: a clock of colours, two sounds, subtitles that count.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};

use crate::{failure::Failure, say};

const SECONDS: u32 = 60;
const NAME: &str = "Headwater Demo (2026).mkv";

/// The film in `dir`, made if it is not there.
pub(super) fn make(dir: &Path) -> Result<PathBuf, Failure> {
    let film = dir.join(NAME);
    if film.is_file() {
        return Ok(film);
    }
    fs::create_dir_all(dir).with_context(|| format!("folder {}", dir.display()))?;
    let subtitles = dir.join(".counting.srt");
    fs::write(&subtitles, counting()).with_context(|| format!("file {}", subtitles.display()))?;
    say(format_args!("making a film of {SECONDS} seconds in {}", dir.display()));
    let unfinished = dir.join(".unfinished.mkv");
    let made = run(&subtitles, &unfinished);
    let _ = fs::remove_file(&subtitles);
    made.inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })?;
    fs::rename(&unfinished, &film).with_context(|| format!("file {}", film.display()))?;
    Ok(film)
}

fn run(subtitles: &Path, film: &Path) -> Result<(), Failure> {
    let seconds = SECONDS.to_string();
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=24"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=2:sample_rate=48000"])
        .args(["-f", "lavfi", "-i", "sine=frequency=220:beep_factor=3:sample_rate=48000"])
        .arg("-i")
        .arg(subtitles)
        .args(["-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-t", &seconds])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "superfast",
            "-crf",
            "27",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "48",
            "-bf",
            "2",
        ])
        .args(["-c:a", "aac", "-b:a", "96k", "-ac", "2", "-c:s", "srt"])
        .args([
            "-metadata:s:a:0",
            "language=eng",
            "-metadata:s:a:1",
            "language=ger",
            "-metadata:s:s:0",
            "language=eng",
        ])
        .args(["-metadata", "title=Headwater Demo", "-disposition:s:0", "0"])
        .arg(film)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::Failed(anyhow!(
                "demo: the film is made with ffmpeg, which is not installed: install it, or name a film of yours"
            )));
        }
        Err(error) => return Err(anyhow::Error::new(error).context("demo: ffmpeg").into()),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().last().unwrap_or("it said nothing").to_owned();
        return Err(Failure::Failed(anyhow!("demo: ffmpeg could not make the film: {last}")));
    }
    Ok(())
}

fn counting() -> String {
    let mut srt = String::new();
    for second in 0..SECONDS {
        let (minute, rest) = (second / 60, second % 60);
        let _ = write!(
            srt,
            "{}\n00:{minute:02}:{rest:02},000 --> 00:{minute:02}:{rest:02},900\nsecond {second}\n\n",
            second + 1
        );
    }
    srt
}
