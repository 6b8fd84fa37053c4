//! From a magnet, a `.torrent` or what is remembered to a torrent's task.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use metainfo::{InfoHash, Magnet, Metainfo};
use tokio::sync::oneshot;

use super::Core;
use crate::{
    Add, EngineError, Event, Select, Source, Torrent,
    torrent::{
        Plan,
        inbox::Command,
        saved::{Saved, moment},
    },
};

fn refused(error: impl std::fmt::Display) -> EngineError {
    EngineError::Source { detail: error.to_string() }
}

/// What is added, read.
struct Read {
    info_hash: InfoHash,
    metainfo: Option<Metainfo>,
    magnet: Option<Magnet>,
}

fn read(source: Source) -> Result<Read, EngineError> {
    Ok(match source {
        Source::Metainfo(bytes) => {
            // Of its own: these bytes stay for as long as the torrent, and may be a slice of a far larger buffer.
            let metainfo = Metainfo::parse(Bytes::copy_from_slice(&bytes)).map_err(refused)?;
            Read { info_hash: metainfo.info().info_hash(), metainfo: Some(metainfo), magnet: None }
        }
        Source::Magnet(link) => {
            let magnet: Magnet = link.parse().map_err(refused)?;
            Read { info_hash: magnet.info_hash, metainfo: None, magnet: Some(magnet) }
        }
        Source::InfoHash(info_hash) => {
            Read { info_hash, metainfo: None, magnet: Some(Magnet::new(info_hash)) }
        }
    })
}

pub(crate) async fn add(core: &Arc<Core>, mut add: Add) -> Result<(Torrent, bool), EngineError> {
    let source = std::mem::replace(&mut add.source, Source::InfoHash(InfoHash([0; 20])));
    let mut read = read(source)?;
    if let Some(magnet) = &read.magnet {
        add.peers.extend(magnet.peers.iter().filter_map(|peer| peer.socket_addr()));
    }
    if let Some(torrent) = core.torrents.get(read.info_hash) {
        join(&torrent, &add, &read).await?;
        return Ok((torrent, false));
    }
    let directory = core.config.state_dir.clone();
    let (info_hash, needs_metainfo) = (read.info_hash, read.metainfo.is_none());
    let (saved, kept) = tokio::task::spawn_blocking(move || {
        let kept = needs_metainfo.then(|| kept_metainfo(&directory, info_hash)).flatten();
        (Saved::load(&directory, info_hash), kept)
    })
    .await
    .map_err(|_| EngineError::Stopped)?;
    read.metainfo = read.metainfo.or(kept);

    let output = match (&add.output, &saved) {
        (Some(output), _) => output.clone(),
        (None, Some(saved)) if !saved.output.as_os_str().is_empty() => saved.output.clone(),
        _ => core.config.download_dir.clone(),
    };
    let mut saved = saved.unwrap_or_else(|| Saved::new(output.clone()));
    saved.output = std::path::absolute(&output).unwrap_or(output);
    saved.priorities.clear();
    saved.paused = add.paused;
    saved.watch = add.watch;
    saved.idle = false;
    saved.sequential = add.sequential;
    saved.super_seed = add.super_seed;
    saved.seed_goal = add.seed_goal;
    saved.limits = add.limits;
    let mut tiers = match (&read.metainfo, &read.magnet) {
        (_, Some(magnet)) if !magnet.trackers.is_empty() => magnet.tiers(),
        (Some(metainfo), _) => metainfo.trackers().to_vec(),
        _ => Vec::new(),
    };
    let private = read.metainfo.as_ref().is_some_and(|metainfo| metainfo.info().is_private())
        || read.magnet.as_ref().is_some_and(Magnet::looks_private);
    if !private {
        merge(&mut tiers, &saved.trackers);
        merge(&mut tiers, &add.trackers.iter().map(|url| vec![url.clone()]).collect::<Vec<_>>());
    }
    saved.trackers = tiers;
    if let Some(magnet) = &read.magnet {
        saved.magnet = Some(magnet.to_string());
        merge_list(&mut saved.web_seeds, &magnet.web_seeds);
    }
    if let Some(metainfo) = &read.metainfo {
        merge_list(&mut saved.web_seeds, metainfo.web_seeds());
    }
    let select = match (add.select, &read.magnet) {
        (Select::All, _) if add.watch => Some(Select::Nothing),
        (Select::All, Some(magnet)) => {
            magnet.select.as_ref().map(|ranges| Select::Files(ranges.iter().flatten_files()))
        }
        (Select::All, None) => None,
        (select, _) => Some(select),
    };
    let plan = Plan {
        info_hash,
        name: read.magnet.as_ref().and_then(|magnet| magnet.name.clone()),
        metainfo: read.metainfo.map(Arc::new),
        private_until_known: private,
        added: moment(saved.added),
        saved,
        select,
        peers: add.peers,
        recheck: add.recheck,
        fetch_anew: true,
    };
    spawn(core, plan, true)
}

/// Takes up what is remembered.
pub(crate) async fn restore(core: &Arc<Core>, info_hash: InfoHash, saved: Saved) -> Result<(), EngineError> {
    let directory = core.config.state_dir.clone();
    let metainfo = tokio::task::spawn_blocking(move || kept_metainfo(&directory, info_hash))
        .await
        .map_err(|_| EngineError::Stopped)?;
    let magnet: Option<Magnet> = saved.magnet.as_ref().and_then(|link| link.parse().ok());
    let private = metainfo.as_ref().is_some_and(|metainfo| metainfo.info().is_private())
        || magnet.as_ref().is_some_and(Magnet::looks_private);
    let plan = Plan {
        info_hash,
        name: magnet.and_then(|magnet| magnet.name),
        metainfo: metainfo.map(Arc::new),
        private_until_known: private,
        added: moment(saved.added),
        peers: Vec::new(),
        saved,
        select: None,
        recheck: false,
        fetch_anew: false,
    };
    spawn(core, plan, false).map(|_| ())
}

fn spawn(core: &Arc<Core>, plan: Plan, save: bool) -> Result<(Torrent, bool), EngineError> {
    let info_hash = plan.info_hash;
    if let Some(metainfo) = plan.metainfo.as_ref().filter(|_| !plan.private_until_known) {
        core.discovery.enter_by(metainfo.nodes());
    }
    let made = core.torrents.insert(info_hash, || Torrent::spawn(core, plan, save));
    let (torrent, new) = made.ok_or(EngineError::Stopped)?;
    if new {
        core.tell(Event::Added { info_hash });
    }
    Ok((torrent, new))
}

/// A torrent that is here learns what the newcomer's link or file says.
async fn join(torrent: &Torrent, add: &Add, read: &Read) -> Result<(), EngineError> {
    if !add.peers.is_empty() {
        torrent.add_peers(add.peers.clone()).await?;
    }
    let mut trackers = add.trackers.clone();
    if let Some(magnet) = &read.magnet {
        trackers.extend(magnet.trackers.iter().cloned());
    }
    if let Some(metainfo) = &read.metainfo {
        trackers.extend(metainfo.trackers().iter().flatten().cloned());
    }
    if !trackers.is_empty() {
        // The task refuses them for a private torrent.
        torrent.ask(|answer: oneshot::Sender<_>| Command::AddTrackers(trackers, answer)).await?;
    }
    Ok(())
}

/// The metadata that an earlier run got.
fn kept_metainfo(directory: &std::path::Path, info_hash: InfoHash) -> Option<Metainfo> {
    let path: PathBuf = Saved::metainfo_path(directory, info_hash);
    let length = std::fs::metadata(&path).ok()?.len();
    if length > metainfo::limits::TORRENT_BYTES_MAX as u64 {
        return None;
    }
    let metainfo = Metainfo::parse(Bytes::from(std::fs::read(&path).ok()?)).ok()?;
    (metainfo.info().info_hash() == info_hash).then_some(metainfo)
}

/// Adds the tiers whose trackers are not here yet.
fn merge(tiers: &mut Vec<Vec<String>>, more: &[Vec<String>]) {
    for tier in more {
        let new: Vec<_> =
            tier.iter().filter(|url| !tiers.iter().flatten().any(|known| known == *url)).cloned().collect();
        if !new.is_empty() {
            tiers.push(new);
        }
    }
}

fn merge_list(list: &mut Vec<String>, more: &[String]) {
    for item in more {
        if !list.contains(item) && list.len() < metainfo::limits::WEB_SEEDS_MAX {
            list.push(item.clone());
        }
    }
}

/// Files that a magnet selects (BEP 53), as many as a torrent may have.
trait FlattenFiles {
    fn flatten_files(self) -> Vec<metainfo::FileIndex>;
}

impl<'a, I: Iterator<Item = &'a std::ops::Range<u32>>> FlattenFiles for I {
    fn flatten_files(self) -> Vec<metainfo::FileIndex> {
        self.flat_map(Clone::clone).take(metainfo::limits::FILES_MAX).map(metainfo::FileIndex).collect()
    }
}
