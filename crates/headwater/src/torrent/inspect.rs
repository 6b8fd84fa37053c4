//! What `inspect` says of a magnet or a `.torrent`; of a magnet the metadata comes from the swarm.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, anyhow};
use engine::{Add, Select, Session};
use metainfo::Metainfo;
use serde::Serialize;
use tokio::time::{interval, timeout};

use super::{
    Target, download, engine_config, human, printable,
    progress::{Progress, note},
    target::read_torrent,
};
use crate::{
    cli::InspectArgs,
    config::{Settings, parse_duration},
    failure::Failure,
    say,
};

/// Files listed for people; `--json` lists all.
const FILES_SHOWN_MAX: usize = 100;
/// Without `--timeout`, a magnet's metadata is waited for so long.
const WAIT: Duration = Duration::from_secs(120);

#[derive(Serialize)]
struct TorrentJson<'a> {
    kind: &'static str,
    name: &'a str,
    info_hash: String,
    info_hash_v2: Option<String>,
    magnet: String,
    size: u64,
    piece_length: u32,
    pieces: u32,
    private: bool,
    source: Option<&'a str>,
    trackers: &'a [Vec<String>],
    web_seeds: &'a [String],
    nodes: Vec<String>,
    /// Seconds since 1970.
    creation_date: Option<i64>,
    created_by: Option<&'a str>,
    comment: Option<&'a str>,
    files: Vec<FileJson<'a>>,
}

#[derive(Serialize)]
struct FileJson<'a> {
    index: u32,
    path: &'a str,
    size: u64,
    /// Where it begins in the torrent's bytes.
    offset: u64,
    pad: bool,
}

/// Says what is in it; `--save` writes the `.torrent`.
pub(crate) fn inspect(target: &Target, args: &InspectArgs, settings: &Settings) -> Result<(), Failure> {
    if let Target::File(path) = target {
        return tell(&read_torrent(path)?, args);
    }
    let wait = match &args.timeout {
        None => WAIT,
        Some(text) => parse_duration(text).ok_or_else(|| {
            Failure::Usage(format!(
                "--timeout is \"{}\": expected a time such as 30s or 5m",
                text.escape_debug()
            ))
        })?,
    };
    let peers = download::peers(&args.peer)?;
    // Nothing of a torrent that is only looked at is kept.
    let scratch = tempfile::tempdir().context("a folder for the metadata")?;
    let state = scratch.path().join("state");
    let config = engine_config(settings, scratch.path().join("files"), state);
    download::in_session(config, async |session| {
        let source = target.source(session).await?;
        let add = Add { peers, select: Select::Nothing, ..Add::new(source) };
        let metainfo = metadata(session, add, wait).await?;
        tell(&metainfo, args)
    })
    .map_err(|failure| match failure {
        // Nothing was begun that could be resumed.
        Failure::Kept => Failure::Interrupted,
        other => other,
    })
}

async fn metadata(session: &Session, add: Add, wait: Duration) -> Result<Metainfo, Failure> {
    let (torrent, _) = session.add(add).await.map_err(anyhow::Error::new)?;
    let mut progress = Progress::new(false);
    let mut ticks = interval(progress.interval());
    ticks.tick().await;
    let known = timeout(wait, async {
        loop {
            tokio::select! {
                known = torrent.wait_metadata() => return known,
                _ = ticks.tick() => progress.show(&torrent.snapshot()),
            }
        }
    });
    match known.await {
        Ok(known) => known.map_err(anyhow::Error::new)?,
        Err(_) => {
            let snapshot = torrent.snapshot();
            let why =
                snapshot.reason.clone().unwrap_or_else(|| format!("{} peers connected", snapshot.peers));
            return Err(Failure::Failed(anyhow!(
                "{}: no peer sent the metadata in {} s ({why}); --peer names one, --timeout waits longer",
                torrent.info_hash(),
                wait.as_secs()
            )));
        }
    }
    drop(progress);
    let bytes = torrent.metainfo().context("the metadata")?;
    Ok(Metainfo::parse(bytes).context("the metadata")?)
}

fn tell(metainfo: &Metainfo, args: &InspectArgs) -> Result<(), Failure> {
    if let Some(path) = &args.save {
        save(path, metainfo)?;
        note(format_args!("wrote {}", path.display()));
    }
    if args.json {
        say(serde_json::to_string_pretty(&json(metainfo)).context("writing JSON")?);
    } else {
        print(metainfo);
    }
    Ok(())
}

/// Whole or not at all.
pub(super) fn save(path: &Path, metainfo: &Metainfo) -> Result<(), Failure> {
    let shown = path.display();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("folder {}", parent.display()))?;
    let file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(parent)
        .with_context(|| format!("{shown}"))?;
    fs::write(file.path(), metainfo.bytes()).with_context(|| format!("{shown}"))?;
    file.persist(path).with_context(|| format!("{shown}"))?;
    Ok(())
}

fn json(metainfo: &Metainfo) -> TorrentJson<'_> {
    let (info, layout) = (metainfo.info(), metainfo.info().layout());
    let files = info.files().iter().map(|(index, file)| FileJson {
        index: index.0,
        path: file.path(),
        size: file.length(),
        offset: file.offset(),
        pad: file.is_pad(),
    });
    TorrentJson {
        kind: "torrent",
        name: info.name(),
        info_hash: info.info_hash().to_string(),
        info_hash_v2: info.info_hash_v2().map(|hash| hash.to_string()),
        magnet: metainfo.magnet().to_string(),
        size: layout.total(),
        piece_length: layout.piece_length(),
        pieces: layout.pieces(),
        private: info.is_private(),
        source: info.source(),
        trackers: metainfo.trackers(),
        web_seeds: metainfo.web_seeds(),
        nodes: metainfo.nodes().iter().map(ToString::to_string).collect(),
        creation_date: metainfo.creation_date(),
        created_by: metainfo.created_by(),
        comment: metainfo.comment(),
        files: files.collect(),
    }
}

/// For people.
fn print(metainfo: &Metainfo) {
    let (info, layout) = (metainfo.info(), metainfo.info().layout());
    let files = info.files().iter().filter(|(_, file)| !file.is_pad()).count();
    say(format_args!(
        "{}: {}, {files} file{}{}",
        printable(info.name()),
        human(layout.total()),
        if files == 1 { "" } else { "s" },
        if info.is_private() { ", private" } else { "" },
    ));
    say(format_args!("info-hash {}", info.info_hash()));
    if let Some(hash) = info.info_hash_v2() {
        say(format_args!("v2        {hash} (hybrid: the v1 side is used)"));
    }
    say(format_args!("magnet    {}", metainfo.magnet()));
    say(format_args!("pieces    {} of {}", layout.pieces(), human(u64::from(layout.piece_length()))));
    for (tier, trackers) in metainfo.trackers().iter().enumerate() {
        let trackers: Vec<String> = trackers.iter().map(|url| printable(url)).collect();
        say(format_args!("tracker   {} (tier {tier})", trackers.join(", ")));
    }
    for url in metainfo.web_seeds() {
        say(format_args!("web seed  {}", printable(url)));
    }
    for node in metainfo.nodes() {
        say(format_args!("node      {node}"));
    }
    let texts =
        [("source", info.source()), ("made by", metainfo.created_by()), ("comment", metainfo.comment())];
    for (what, text) in texts {
        if let Some(text) = text {
            say(format_args!("{what:<9} {}", printable(text)));
        }
    }
    for (index, file) in info.files().iter().filter(|(_, file)| !file.is_pad()).take(FILES_SHOWN_MAX) {
        say(format_args!("file {:<4} {:>10}  {}", index.0, human(file.length()), printable(file.path())));
    }
    if files > FILES_SHOWN_MAX {
        say(format_args!("and {} more: --json lists them", files - FILES_SHOWN_MAX));
    }
}
