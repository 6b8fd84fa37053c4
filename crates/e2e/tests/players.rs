//! Players that people use play the playlists to their end: mpv, FFmpeg's ffplay, GStreamer. (Browsers: tests/browser.)
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    process::{Command, Stdio},
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

/// Runs a player and gives what it said; one that does not end is ended and told on.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    // Into a file: a pipe that nobody empties would stop a talkative player.
    let mut said = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("start {name}"))?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut text = Vec::new();
    said.seek(SeekFrom::Start(0))?;
    said.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let tail = text.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
    match status {
        None => bail!("{name} had not ended after {PATIENCE:?}: {tail}"),
        Some(status) => ensure!(status.success(), "{name}: {status}: {tail}"),
    }
    Ok(text)
}

/// Calls `check` with each film's address in each form, and its decoded frames.
fn on_each(check: impl Fn(&str, &[oracle::Unit]) -> Result<()> + Sync) {
    let house = House::open(true);
    every(&films(), |film| {
        let frames = oracle::frames(film, "0:v:0")?;
        for container in ["fmp4", "ts"] {
            let path = house.path(film, &format!("master.m3u8?container={container}"))?;
            check(&format!("http://{}{path}", house.server.address), &frames).context(container)?;
        }
        Ok(())
    });
}

#[test]
fn mpv_plays_to_the_last_frame() {
    on_each(|url, frames| {
        let said = run(Command::new("mpv")
            .args([
                "--no-config",
                "--vo=null",
                "--ao=null",
                "--untimed",
                "--framedrop=no",
                "--msg-level=all=warn",
            ])
            .args(["--msg-level=statusline=status", "--term-status-msg=AT ${=time-pos} \n"])
            .arg(url))?;
        let times = said.split("AT ").filter_map(|s| s.split_whitespace().next()?.parse::<f64>().ok());
        let last = times.fold(0.0, f64::max);
        let length = frames.last().zip(frames.first()).map_or(0.0, |(b, a)| b.pts - a.pts);
        ensure!(last >= length - 0.2, "mpv stopped at {last} s of {length} s");
        Ok(())
    });
}

#[test]
fn gstreamer_shows_every_frame() {
    on_each(|url, frames| {
        let play = || {
            run(Command::new("gst-launch-1.0")
                .args(["-v", "playbin", &format!("uri={url}"), "audio-sink=fakesink sync=false"])
                .arg("video-sink=fakesink sync=false silent=false"))
        };
        // GStreamer 1.22 now and then waits for itself before the first frame, on a busy machine; what it then gets is no other.
        let hung = |error: &anyhow::Error| error.to_string().contains("had not ended");
        let said = match play() {
            Err(error) if hung(&error) => play()?,
            said => said?,
        };
        let shown = said.lines().filter(|l| l.contains("last-message = chain")).count();
        ensure!(shown + 3 >= frames.len(), "GStreamer showed {shown} of {} frames", frames.len());
        Ok(())
    });
}

#[test]
fn ffplay_plays_to_the_end_in_real_time() {
    let house = House::open(true);
    let film = films().into_iter().find(|f| fixtures::name(f) == "tail.mkv").unwrap();
    let path = house.path(&film, "master.m3u8").unwrap();
    let begin = Instant::now();
    let said = run(Command::new("ffplay")
        .env("SDL_VIDEODRIVER", "dummy")
        .env("SDL_AUDIODRIVER", "dummy")
        .args(["-hide_banner", "-loglevel", "warning", "-nostats", "-autoexit"])
        .arg(format!("http://{}{path}", house.server.address)))
    .unwrap();
    assert!(begin.elapsed() > Duration::from_secs(14), "ended after {:?}", begin.elapsed());
    assert!(!said.to_lowercase().contains("error"), "{said}");
}
