//! `seed`: gives what is already on disk to whoever asks, until interrupted.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use engine::{Add, SeedGoal, Session, State, Torrent};
use metainfo::Metainfo;
use tokio::time::interval;

use super::{
    download::in_session, engine_config, human, printable, progress::Progress, state_dir,
    target::read_torrent,
};
use crate::{cli::SeedArgs, config::Settings, failure::Failure};

pub(crate) fn seed(args: &SeedArgs, settings: &Settings) -> Result<(), Failure> {
    let metainfo = read_torrent(&args.torrent)?;
    let dir = folder(&args.data, &metainfo)?;
    let config = engine_config(settings, dir.clone(), state_dir(settings, "seed", &dir));
    let progress = Progress::new(args.json);
    in_session(config, async move |session| run(session, &metainfo, &dir, progress).await)
}

/// The folder that the torrent's file or folder lies in: as named, or the one above where the content itself is named.
fn folder(data: &Path, metainfo: &Metainfo) -> Result<PathBuf, Failure> {
    let name = metainfo.info().name();
    if data.join(name).exists() {
        return Ok(data.to_owned());
    }
    let is_content = data.file_name().is_some_and(|last| last.to_str() == Some(name)) && data.exists();
    match data.parent() {
        Some(parent) if is_content && parent.as_os_str().is_empty() => Ok(PathBuf::from(".")),
        Some(parent) if is_content => Ok(parent.to_owned()),
        _ => Err(Failure::Failed(anyhow!("{}: there is no \"{}\" in it", data.display(), printable(name)))),
    }
}

async fn run(
    session: &Session,
    metainfo: &Metainfo,
    dir: &Path,
    mut progress: Progress,
) -> Result<(), Failure> {
    let add = Add { seed_goal: Some(SeedGoal::FOREVER), ..Add::metainfo(metainfo.bytes().clone()) };
    let (torrent, _) = session.add(add).await.map_err(anyhow::Error::new)?;
    torrent.resume().await.map_err(anyhow::Error::new)?;
    let mut ticks = interval(progress.interval());
    let mut told = false;
    loop {
        ticks.tick().await;
        let snapshot = torrent.snapshot();
        progress.show(&snapshot);
        match snapshot.state {
            State::Downloading | State::Idle | State::Paused => return Err(incomplete(&torrent, dir)),
            State::Failed => {
                let why = snapshot.reason.clone().unwrap_or_default();
                return Err(Failure::Failed(anyhow!("{}: {why}", dir.display())));
            }
            State::Seeding | State::Finished if !told => {
                told = true;
                let port =
                    session.stats().listen_port.map(|port| format!(" on port {port}")).unwrap_or_default();
                let words = format!(
                    "seeding {} ({}){port}\n{}",
                    printable(metainfo.info().name()),
                    human(snapshot.wanted),
                    torrent.magnet()
                );
                progress.turn("seeding", &snapshot, words);
            }
            State::Metadata | State::Checking | State::Seeding | State::Finished => {}
        }
    }
}

fn incomplete(torrent: &Torrent, dir: &Path) -> Failure {
    let snapshot = torrent.snapshot();
    Failure::Failed(anyhow!(
        "{}: holds {} of {} pieces of {}: headwater download -o fetches the rest there",
        dir.display(),
        snapshot.pieces_have,
        snapshot.pieces,
        printable(snapshot.name.as_deref().unwrap_or_default())
    ))
}
