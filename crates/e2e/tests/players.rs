//! Players that people use play the playlists to their end: mpv, FFmpeg's ffplay, GStreamer. (Browsers: tests/browser.)
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use common::House;
use e2e::{film::every, fixtures, oracle};

/// Longer than any of these films takes in real time.
const PATIENCE: Duration = Duration::from_secs(60);

fn films() -> Vec<PathBuf> {
    let names = ["tail.mkv", "tail.mp4", "hevc-closed.mkv", "late-audio.mkv", "vfr.mkv"];
    let films: Vec<_> = fixtures::good()
        .unwrap()
        .into_iter()
        .filter(|f| names.contains(&fixtures::name(f).as_str()))
        .collect();
    assert_eq!(films.len(), names.len(), "fixtures are missing: {films:?}");
    films
}

/// Runs a player; one that does not end is ended and told on.
fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("start {name}"))?;
    let begin = Instant::now();
    while child.try_wait()?.is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill()?;
            bail!("{name} had not ended after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{name}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output)
}

fn on_each(check: impl Fn(&str, usize) -> Result<()> + Sync) {
    let house = House::open(true);
    every(&films(), |film| {
        let frames = oracle::frames(film, "0:v:0")?.len();
        for container in ["fmp4", "ts"] {
            let path = house.path(film, &format!("master.m3u8?container={container}"))?;
            check(&format!("http://{}{path}", house.server.address), frames).context(container)?;
        }
        Ok(())
    });
}

#[test]
fn mpv_shows_every_frame() {
    on_each(|url, frames| {
        let output = run(Command::new("mpv")
            .args([
                "--no-config",
                "--vo=null",
                "--ao=null",
                "--untimed",
                "--framedrop=no",
                "--msg-level=all=warn",
            ])
            .args(["--msg-level=statusline=status", "--term-status-msg=FRAME ${estimated-frame-number}\\n"])
            .arg(url))?;
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        let last = said.rsplit("FRAME ").find_map(|s| s.split_whitespace().next()?.parse::<usize>().ok());
        let last = last.with_context(|| format!("mpv said nothing of frames: {said}"))?;
        ensure!(last + 3 >= frames, "mpv stopped at frame {last} of {frames}: {said}");
        Ok(())
    });
}

#[test]
fn gstreamer_counts_every_frame() {
    on_each(|url, frames| {
        let output = run(Command::new("gst-launch-1.0")
            .args(["-v", "playbin", &format!("uri={url}"), "audio-sink=fakesink sync=false"])
            .arg("video-sink=fakesink sync=false silent=false"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let shown =
            said.lines().filter(|l| l.contains("last-message = chain") && l.contains("video")).count();
        let shown = if shown == 0 {
            said.lines().filter(|l| l.contains("last-message = chain")).count()
        } else {
            shown
        };
        ensure!(shown + 3 >= frames, "GStreamer showed {shown} of {frames} frames");
        Ok(())
    });
}

#[test]
fn ffplay_plays_to_the_end_in_real_time() {
    let house = House::open(true);
    let film = films().into_iter().find(|f| fixtures::name(f) == "tail.mkv").unwrap();
    let path = house.path(&film, "master.m3u8").unwrap();
    let begin = Instant::now();
    let output = run(Command::new("ffplay")
        .env("SDL_VIDEODRIVER", "dummy")
        .env("SDL_AUDIODRIVER", "dummy")
        .args(["-hide_banner", "-loglevel", "warning", "-nostats", "-autoexit"])
        .arg(format!("http://{}{path}", house.server.address)))
    .unwrap();
    assert!(begin.elapsed() > Duration::from_secs(14), "ended after {:?}", begin.elapsed());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.to_lowercase().contains("error"), "{said}");
}
