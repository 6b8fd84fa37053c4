//! `demo`: a made film (or those named), served; with `--check`, played and sought through by the command itself.

mod boxes;
mod check;
mod client;
mod film;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use crate::{
    cli::DemoArgs,
    config::Settings,
    failure::Failure,
    say,
    serve::{Running, StopSignals, runtime},
};

pub(crate) fn demo(args: &DemoArgs, settings: &Settings) -> Result<(), Failure> {
    let folders = if args.films.is_empty() {
        let dir = args.dir.clone().unwrap_or_else(|| settings.data_dir.join("demo"));
        film::make(&dir)?;
        vec![dir]
    } else {
        args.films.iter().map(|path| folder_of(path)).collect::<Result<_, _>>()?
    };
    let port = args.port.unwrap_or(if args.check { 0 } else { settings.port });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut settings = Settings { paths: folders, ..settings.clone() };
    // A check that finds its segments in a cache has not seen them made.
    let scratch = Scratch::new()?;
    if args.check {
        settings.cache_path = scratch.0.join("cache");
    }
    runtime()?.block_on(async {
        let mut stop = StopSignals::listen()?;
        let running = Running::start(&settings, address).await?;
        let local = running.address;
        let wanted: Vec<String> =
            args.films.iter().filter(|p| p.is_file()).filter_map(|p| name_of(p)).collect();
        let result = tokio::select! {
            result = demonstrate(local, args.check, &wanted, args.films.is_empty()) => result,
            interrupted = stop.wait() => if interrupted { Err(Failure::Interrupted) } else { Ok(()) },
        };
        running.stop().await;
        result
    })
}

/// Says what to open and waits for ever, or checks.
async fn demonstrate(
    address: SocketAddr,
    check: bool,
    wanted: &[String],
    must_play: bool,
) -> Result<(), Failure> {
    let videos = check::videos(address, wanted).await?;
    if videos.is_empty() {
        return Err(Failure::Failed(anyhow!("demo: there is no film in these folders")));
    }
    if check {
        for video in &videos {
            check::video(address, video, must_play).await.with_context(|| format!("check {}", video.name))?;
        }
        say("everything is as it should be");
        return Ok(());
    }
    say(format_args!("Open  http://{address}/"));
    if let [first, ..] = videos.as_slice() {
        let base = format!("http://{address}/api/v1/video/{}", first.id);
        say(format_args!("HLS   {base}/master.m3u8"));
        say(format_args!("DASH  {base}/manifest.mpd"));
        say(format_args!("File  {base}/file"));
    }
    say("Ctrl-C ends it");
    std::future::pending().await
}

/// A library is of folders: a film's is the one it lies in.
fn folder_of(path: &Path) -> Result<PathBuf, Failure> {
    let path = path.canonicalize().with_context(|| format!("film {}", path.display()))?;
    if path.is_dir() {
        return Ok(path);
    }
    let parent = path.parent().map(Path::to_owned);
    parent.ok_or_else(|| Failure::Usage(format!("film {}: is in no folder", path.display())))
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// A folder of this run, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let dir = std::env::temp_dir().join(format!("headwater-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("folder {}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
