//! `download`: fetches torrents, shows how far they are, and keeps what it has when interrupted.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, anyhow};
use engine::{Add, Config, SeedGoal, Select, Session, State, Torrent};
use tokio::{task::JoinSet, time::interval};

use super::{Target, clock, engine_config, human, printable, progress::Progress, state_dir};
use crate::{
    cli::DownloadArgs,
    config::{Settings, parse_duration, parse_ratio},
    failure::Failure,
    serve::{StopSignals, raise_descriptor_limit, runtime},
};

pub(crate) fn download(args: &DownloadArgs, settings: &Settings) -> Result<(), Failure> {
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from("."));
    let targets: Vec<Target> =
        args.torrents.iter().map(|text| Target::parse(text)).collect::<Result<_, _>>()?;
    let wish = Wish {
        select: args.select.clone(),
        peers: peers(&args.peer)?,
        sequential: args.sequential,
        goal: goal(args)?,
    };
    std::fs::create_dir_all(&output).with_context(|| format!("folder {}", output.display()))?;
    let state = state_dir(settings, "download", &output);
    let config = engine_config(settings, output, state);
    let progress = Progress::new(args.json);
    in_session(config, async move |session| run(session, &targets, &wish, progress).await)
}

/// Runs `work` with an engine until it is done or a signal comes; the engine ends in order either way.
pub(crate) fn in_session(
    config: Config,
    work: impl AsyncFnOnce(&Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    raise_descriptor_limit();
    runtime()?.block_on(async {
        let mut stop = StopSignals::listen()?;
        let session = Session::start(config).await.map_err(anyhow::Error::new)?;
        let result = tokio::select! {
            result = work(&session) => result,
            _ = stop.wait() => Err(Failure::Kept),
        };
        tokio::select! {
            () = session.stop() => {}
            // A second signal means it.
            _ = stop.wait() => {}
        }
        result
    })
}

/// How the torrents are wanted.
struct Wish {
    select: Vec<String>,
    peers: Vec<SocketAddr>,
    sequential: bool,
    goal: SeedGoal,
}

pub(crate) fn peers(texts: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let peer = |text: &String| {
        text.parse().map_err(|_| {
            Failure::Usage(format!(
                "--peer is \"{}\": expected an address and a port, such as 192.0.2.7:6881",
                text.escape_debug()
            ))
        })
    };
    texts.iter().map(peer).collect()
}

/// Ends when everything is here, unless seeding is asked for.
fn goal(args: &DownloadArgs) -> Result<SeedGoal, Failure> {
    let wrong = |flag: &str, text: &str, expected: &str| {
        Failure::Usage(format!("{flag} is \"{}\": expected {expected}", text.escape_debug()))
    };
    let ratio = args
        .ratio
        .as_ref()
        .map(|text| {
            parse_ratio(text).ok_or_else(|| wrong("--ratio", text, "a number from 0 on, such as 1.5"))
        })
        .transpose()?;
    let time = args
        .seed_time
        .as_ref()
        .map(|text| {
            parse_duration(text).ok_or_else(|| wrong("--seed-time", text, "a time such as 30m or 72h"))
        })
        .transpose()?;
    Ok(match (args.seed, ratio, time) {
        (true, ..) => SeedGoal::FOREVER,
        (false, None, None) => SeedGoal::AT_ONCE,
        (false, ratio, time) => SeedGoal { ratio, time },
    })
}

async fn run(
    session: &Session,
    targets: &[Target],
    wish: &Wish,
    mut progress: Progress,
) -> Result<(), Failure> {
    let (mut torrents, mut ends) = (Vec::<Torrent>::new(), JoinSet::new());
    for target in targets {
        let add = Add {
            select: if wish.select.is_empty() { Select::All } else { Select::Matching(wish.select.clone()) },
            peers: wish.peers.clone(),
            sequential: wish.sequential,
            seed_goal: Some(wish.goal),
            ..Add::new(target.source(session).await?)
        };
        let (torrent, new) = session.add(add).await.map_err(anyhow::Error::new)?;
        if new {
            // One that rests since an earlier run is wanted again.
            torrent.resume().await.map_err(anyhow::Error::new)?;
            progress.show(&torrent.snapshot());
            let (selects, goal) = (!wish.select.is_empty(), wish.goal);
            ends.spawn({
                let torrent = torrent.clone();
                async move { (torrent.clone(), finish(&torrent, selects).await, goal != SeedGoal::AT_ONCE) }
            });
            torrents.push(torrent);
        }
    }
    let mut ticks = interval(progress.interval());
    let mut failures = Vec::new();
    let mut seeding = JoinSet::new();
    while !(ends.is_empty() && seeding.is_empty()) {
        tokio::select! {
            Some(end) = ends.join_next() => {
                let (torrent, end, goes_on) = end.context("waiting for a torrent")?;
                let snapshot = torrent.snapshot();
                progress.show(&snapshot);
                match end {
                    Ok(()) => {
                        progress.turn("finished", &snapshot, finished(&torrent, &progress));
                        if goes_on {
                            seeding.spawn(async move { seeded(&torrent).await });
                        }
                    }
                    Err(error) => {
                        progress.turn("failed", &snapshot, format_args!("failed: {error:#}"));
                        failures.push(error);
                    }
                }
            }
            Some(end) = seeding.join_next() => failures.extend(end.context("waiting for a torrent")?.err()),
            _ = ticks.tick() => torrents.iter().for_each(|torrent| progress.show(&torrent.snapshot())),
        }
    }
    drop(progress);
    match failures.into_iter().next() {
        None => Ok(()),
        Some(error) => Err(error.into()),
    }
}

/// Waits until everything wanted is here.
async fn finish(torrent: &Torrent, selects: bool) -> anyhow::Result<()> {
    torrent.wait_metadata().await?;
    if selects
        && torrent.snapshot().wanted == 0
        && torrent.files()?.iter().all(|file| file.priority == engine::Priority::Skip)
    {
        return Err(anyhow!(
            "{}: no file matches --select: headwater inspect lists the files",
            printable(torrent.snapshot().name.as_deref().unwrap_or_default())
        ));
    }
    torrent.wait_finished().await?;
    Ok(())
}

/// Waits until its seeding goal is reached.
async fn seeded(torrent: &Torrent) -> anyhow::Result<()> {
    let mut watch = torrent.watch();
    let snapshot = watch.wait_for(|now| matches!(now.state, State::Finished | State::Failed)).await?.clone();
    match (snapshot.state, &snapshot.reason) {
        (State::Failed, why) => Err(anyhow!("stopped: {}", why.as_deref().unwrap_or("for no reason given"))),
        _ => Ok(()),
    }
}

fn finished(torrent: &Torrent, progress: &Progress) -> String {
    let snapshot = torrent.snapshot();
    let seconds = progress.elapsed(torrent.info_hash());
    format!(
        "finished {} in {}: {}, {} taken in {}",
        printable(snapshot.name.as_deref().unwrap_or_default()),
        printable(&snapshot.output),
        human(snapshot.wanted),
        human(progress.taken(&snapshot)),
        clock(seconds),
    )
}
