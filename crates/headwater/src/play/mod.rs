//! `play`: a film of a torrent, streamed to a player while it arrives.
//!
//! A session and a server of its own on a free loopback port; the player gets the address of the file's bytes. It ends when
//! the player does; what is here stays, and the same command goes on with it.

mod chosen;
mod player;
mod standing;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use engine::{Add, FileInfo, SeedGoal, Torrent};
use tokio::{sync::watch, time::interval};

use self::{chosen::Chosen, player::Player, standing::Standing};
use crate::{
    cli::PlayArgs,
    client,
    config::Settings,
    failure::Failure,
    say,
    serve::{Running, StopSignals, raise_descriptor_limit, runtime},
    torrent::{
        Target,
        download::peers,
        engine_config, human, printable,
        progress::{Watched, note},
        state_dir,
    },
};

/// How often it is looked where things stand.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is asked how long the film is, until it is known.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// What is to be played.
enum What {
    Torrent(Target),
    Film(PathBuf),
}

pub(crate) fn play(args: &PlayArgs, settings: &Settings) -> Result<(), Failure> {
    let what = what(&args.what)?;
    let player = Player::find(args.player.as_deref(), &args.player_args)?;
    let target = match what {
        What::Torrent(target) => target,
        What::Film(path) => return on_disk(&path, &player),
    };
    let output = args.output.clone().unwrap_or_else(|| settings.data_dir.join("play"));
    let engine = engine_config(settings, output.clone(), state_dir(settings, "play", &output));
    let wish = Wish { target, chosen: Chosen::parse(args.file.as_deref()), peers: peers(&args.peer)? };
    // The player gets the file's own bytes: no segments, so no cache of them, and no library.
    let alone = Settings { paths: Vec::new(), cache_enabled: false, ..settings.clone() };
    raise_descriptor_limit();
    runtime()?.block_on(async {
        let mut stop = StopSignals::listen()?;
        let running = Running::with_engine(&alone, (Ipv4Addr::LOCALHOST, 0).into(), engine).await?;
        let result = tokio::select! {
            result = stream(&running, &wish, &player) => result,
            _ = stop.wait() => Err(Failure::Kept),
        };
        tokio::select! {
            () = running.stop() => {}
            // A second signal means it.
            _ = stop.wait() => {}
        }
        result
    })
}

/// Which film of which torrent.
struct Wish {
    target: Target,
    chosen: Chosen,
    peers: Vec<SocketAddr>,
}

fn what(text: &str) -> Result<What, Failure> {
    let target = Target::parse(text)?;
    let Target::File(path) = &target else { return Ok(What::Torrent(target)) };
    let is_torrent = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("torrent"));
    if is_torrent {
        return Ok(What::Torrent(target));
    }
    if path.is_file() {
        return Ok(What::Film(path.clone()));
    }
    let shown = printable(text);
    if path.is_dir() {
        return Err(Failure::Failed(anyhow!(
            "{shown}: is a folder: headwater serve --target-path plays what is in it"
        )));
    }
    if text.contains('/') {
        return Err(Failure::Failed(anyhow!("{shown}: there is no such file")));
    }
    Err(Failure::Usage(format!(
        "\"{shown}\" is no file, magnet link or address; searching for a title comes with a later version: give a \
         magnet link or a .torrent"
    )))
}

/// A film that is here needs no server.
fn on_disk(path: &Path, player: &Player) -> Result<(), Failure> {
    let shown = path.display();
    let path = path.canonicalize().map_err(|error| anyhow!("{shown}: {error}"))?;
    if player.is_none() {
        say(format_args!("file://{}", encode(path.as_os_str().as_encoded_bytes(), b"/")));
        return Ok(());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    runtime()?.block_on(async {
        let mut stop = StopSignals::listen()?;
        let mut playing = player.start(path.as_os_str(), &name)?;
        tokio::select! {
            ended = playing.ended() => ended,
            _ = stop.wait() => Err(Failure::Interrupted),
        }
    })
}

async fn stream(running: &Running, wish: &Wish, player: &Player) -> Result<(), Failure> {
    let session = running.torrents().session().await.map_err(anyhow::Error::new)?;
    let add = Add {
        select: wish.chosen.select(),
        peers: wish.peers.clone(),
        // A look costs a look; what is watched is finished as `torrent.when_watched` says.
        watch: true,
        // It is given to others as long as it is watched.
        seed_goal: Some(SeedGoal::FOREVER),
        ..Add::new(wish.target.source(&session).await?)
    };
    let (torrent, _) = session.add(add).await.map_err(anyhow::Error::new)?;
    let mut watched = Watched::new();
    Standing::of(&torrent, None, None).show(&mut watched);
    torrent.resume().await.map_err(anyhow::Error::new)?;
    let mut looks = interval(LOOK_EVERY);
    let known = torrent.wait_metadata();
    let mut known = std::pin::pin!(known);
    loop {
        tokio::select! {
            _ = looks.tick() => Standing::of(&torrent, None, None).show(&mut watched),
            known = &mut known => break known.map_err(anyhow::Error::new)?,
        }
    }
    let file = wish.chosen.of(&torrent)?;
    want_nothing_unread(&torrent).await?;
    let name = file.path.rsplit('/').next().unwrap_or(&file.path).to_owned();
    let video_id = format!("{}-{}", torrent.info_hash(), file.index.0);
    let url =
        format!("http://{}/api/v1/video/{video_id}/file/{}", running.address, encode(name.as_bytes(), b""));
    note(format_args!("{} ({}) at {url}", printable(&file.path), human(file.size)));
    let duration = duration_of(running.address, video_id);
    let mut playing = None;
    if player.is_none() {
        say(&url);
    } else {
        playing = Some(player.start(url.as_ref(), &name)?);
    }
    let ended = async {
        match &mut playing {
            Some(playing) => playing.ended().await,
            // Whoever has the address ends this by hand.
            None => std::future::pending().await,
        }
    };
    let mut ended = std::pin::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => {
                drop(watched);
                farewell(&torrent, &file);
                return ended;
            }
            _ = looks.tick() => {
                let standing = Standing::of(&torrent, Some(&file), *duration.borrow());
                standing.show(&mut watched);
                standing.failure()?;
            }
        }
    }
}

/// Wants no file beside what is read: patterns are wishes only until it is known which file they mean.
async fn want_nothing_unread(torrent: &Torrent) -> Result<(), Failure> {
    let files = torrent.files().map_err(anyhow::Error::new)?;
    let none = files.iter().map(|file| (file.index, engine::Priority::Skip)).collect();
    Ok(torrent.set_files(none).await.map_err(anyhow::Error::new)?)
}

/// Seconds of the film, once its index is here; `None` until then, and for what has none.
fn duration_of(address: SocketAddr, video_id: String) -> watch::Receiver<Option<f64>> {
    let (tell, known) = watch::channel(None);
    tokio::spawn(async move {
        let path = format!("/api/v1/video/{video_id}");
        loop {
            let answer = tokio::select! {
                answer = client::get(address, &path, None) => answer,
                () = tell.closed() => return,
            };
            match answer {
                Ok(answer) if answer.status == 200 => {
                    let video: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    let seconds = video["duration"].as_f64().filter(|seconds| *seconds > 0.0);
                    tell.send_replace(seconds);
                    return;
                }
                // Its index is not here yet, or nobody is there who has it.
                Ok(answer) if answer.status == 503 => {}
                _ => return,
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_EVERY) => {}
                () = tell.closed() => return,
            }
        }
    });
    known
}

fn farewell(torrent: &Torrent, file: &FileInfo) {
    let have = torrent.file(file.index).map_or(0, |file| file.have);
    note(format_args!(
        "{} of {} are in {}; the same command goes on with them",
        human(have),
        human(file.size),
        printable(&torrent.snapshot().output)
    ));
}

/// Percent-encodes all but RFC 3986's `unreserved` and what is in `kept`.
fn encode(bytes: &[u8], kept: &[u8]) -> String {
    let encoded = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        byte if kept.contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_torrent_a_film_or_a_title() {
        let dir = tempfile::tempdir().unwrap();
        let film = dir.path().join("film.mkv");
        std::fs::write(&film, b"film").unwrap();
        assert!(matches!(what(film.to_str().unwrap()), Ok(What::Film(path)) if path == film));
        assert!(matches!(what("nowhere.torrent"), Ok(What::Torrent(_))));
        assert!(matches!(what(&"a1".repeat(20)), Ok(What::Torrent(Target::InfoHash(_)))));
        assert!(matches!(what("The Film"), Err(Failure::Usage(line)) if line.contains("later version")));
        assert!(matches!(what("/nowhere/film.mkv"), Err(Failure::Failed(_))));
        assert!(matches!(what(dir.path().to_str().unwrap()), Err(Failure::Failed(_))));
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(encode("ü a/b#".as_bytes(), b"/"), "%C3%BC%20a/b%23");
    }
}
