//! `demo`: a made film, streamed from a swarm on loopback (or films that are named, from their folders); with `--check`, played
//! and sought through by the command itself.

mod boxes;
mod check;
mod film;
mod liar;
mod playlist;
mod streamed;
mod swarm;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use self::{streamed::Streamed, swarm::Swarm};
use crate::{
    cli::DemoArgs,
    config::Settings,
    failure::Failure,
    say,
    serve::{Running, StopSignals, raise_descriptor_limit, runtime},
};

pub(crate) fn demo(args: &DemoArgs, settings: &Settings) -> Result<(), Failure> {
    let port = args.port.unwrap_or(if args.check { 0 } else { settings.port });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let scratch = Scratch::new()?;
    // A check that finds its segments in a cache has not seen them made; a demonstration leaves nothing behind.
    let quiet = Settings { cache_path: scratch.0.join("cache"), ..settings.clone() };
    if args.films.is_empty() {
        let film = film::make(&args.dir.clone().unwrap_or_else(|| settings.data_dir.join("demo")))?;
        return signalled(async |stop| of_swarm(&film, &quiet, address, args.check, &scratch.0, stop).await);
    }
    let paths = args.films.iter().map(|path| folder_of(path)).collect::<Result<_, _>>()?;
    let cache_path = if args.check { quiet.cache_path.clone() } else { settings.cache_path.clone() };
    let settings = Settings { paths, cache_path, ..settings.clone() };
    let wanted: Vec<String> = args.films.iter().filter(|p| p.is_file()).filter_map(|p| name_of(p)).collect();
    signalled(async |stop| {
        let running = Running::start(&settings, address).await?;
        let result = unless_stopped(stop, of_folders(running.address, args.check, &wanted)).await;
        running.stop().await;
        result
    })
}

/// Runs `work`, which looks after signals itself.
fn signalled(work: impl AsyncFnOnce(&mut StopSignals) -> Result<(), Failure>) -> Result<(), Failure> {
    raise_descriptor_limit();
    runtime()?.block_on(async { work(&mut StopSignals::listen()?).await })
}

/// Goes on until it is done or a signal comes.
async fn unless_stopped(
    stop: &mut StopSignals,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::select! {
        result = work => result,
        interrupted = stop.wait() => if interrupted { Err(Failure::Interrupted) } else { Ok(()) },
    }
}

/// Streams the film from a swarm on loopback.
async fn of_swarm(
    film: &Path,
    settings: &Settings,
    address: SocketAddr,
    check: bool,
    scratch: &Path,
    stop: &mut StopSignals,
) -> Result<(), Failure> {
    let swarm = Swarm::start(film, scratch).await.context("the demo's swarm")?;
    // The library is empty: what there is to see comes from the swarm.
    let alone = Settings { paths: Vec::new(), ..settings.clone() };
    let engine = engine::Config::loopback(scratch.join("downloads"), scratch.join("torrents"));
    let running = Running::with_engine(&alone, address, engine).await?;
    let work = async {
        if check {
            return check_swarm(running.address, &swarm, film, settings, scratch).await;
        }
        let streamed = streamed::add(running.address, &swarm.magnet).await?;
        tell_swarm(running.address, &swarm, &streamed);
        std::future::pending().await
    };
    let result = unless_stopped(stop, work).await;
    running.stop().await;
    swarm.stop().await;
    result
}

/// Checks the film in the swarm beside the same film on disk, then the one on disk for itself.
async fn check_swarm(
    address: SocketAddr,
    swarm: &Swarm,
    film: &Path,
    settings: &Settings,
    scratch: &Path,
) -> Result<(), Failure> {
    let settings = Settings {
        paths: film.parent().map(Path::to_owned).into_iter().collect(),
        cache_path: scratch.join("local-cache"),
        ..settings.clone()
    };
    let engine = engine::Config::loopback(scratch.join("nothing"), scratch.join("nothing"));
    let local = Running::with_engine(&settings, (Ipv4Addr::LOCALHOST, 0).into(), engine).await?;
    let result = async {
        let wanted: Vec<String> = name_of(film).into_iter().collect();
        let listed = check::videos(local.address, &wanted).await?;
        let [on_disk] = listed.as_slice() else {
            return Err(anyhow!("demo: {} films of that name are on disk", listed.len()).into());
        };
        say(swarm.words());
        streamed::check(address, swarm, local.address, &on_disk.id)
            .await
            .context("check the film in the swarm")?;
        check::video(local.address, on_disk, true)
            .await
            .with_context(|| format!("check {}", on_disk.name))?;
        say("everything is as it should be");
        Ok(())
    }
    .await;
    local.stop().await;
    result
}

fn tell_swarm(address: SocketAddr, swarm: &Swarm, streamed: &Streamed) {
    let base = format!("http://{address}/api/v1/video/{}", streamed.video_id);
    say(format_args!("{} comes from {}", streamed.name, swarm.words()));
    say(format_args!("Open  http://{address}/#/watch/{}", streamed.video_id));
    say(format_args!("HLS   {base}/master.m3u8"));
    say(format_args!("DASH  {base}/manifest.mpd"));
    say(format_args!("File  {base}/file"));
    say(format_args!("How far it is  http://{address}/api/v1/torrents/{}", swarm.info_hash));
    say("Ctrl-C ends it");
}

/// Says what to open and waits for ever, or checks.
async fn of_folders(address: SocketAddr, check: bool, wanted: &[String]) -> Result<(), Failure> {
    let videos = check::videos(address, wanted).await?;
    if videos.is_empty() {
        return Err(Failure::Failed(anyhow!("demo: there is no film in these folders")));
    }
    if check {
        for video in &videos {
            check::video(address, video, false).await.with_context(|| format!("check {}", video.name))?;
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
