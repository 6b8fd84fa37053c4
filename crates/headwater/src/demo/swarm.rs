//! The demo's swarm: seeders of our own engine on loopback, each with its limit, and one peer that sends wrong blocks.
//!
//! They share this process with the server, not a line of its state: what they give it goes through sockets.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, anyhow};
use engine::{Add, Config, Limits, SeedGoal, Session};
use metainfo::{Builder, Content, InfoHash, Metainfo, PieceLength};
use tokio::time::timeout;

use super::liar::Liar;
use crate::torrent::hash;

/// Bytes a second of the good seeders: together nearly four times the film's rate, so that it takes a quarter of a minute.
const GOOD: [u64; 3] = [512 << 10; 3];
/// Bytes a second of the slow one: a piece takes it two seconds.
const SLOW: u64 = 64 << 10;
/// Small enough that a film of 25 MB is not here after the first few.
const PIECE_BYTES: u32 = 128 << 10;
/// Hashing 25 MB takes a tenth of a second; on a machine that does much else, more.
const SEEDING_WAIT: Duration = Duration::from_secs(30);

/// Who gives the film away.
pub(super) struct Swarm {
    sessions: Vec<Session>,
    pub(super) liar: Liar,
    pub(super) info_hash: InfoHash,
    /// Names the seeders (`x.pe`).
    pub(super) magnet: String,
}

impl Swarm {
    /// Seeds `film`; what the seeders remember goes below `scratch`.
    pub(super) async fn start(film: &Path, scratch: &Path) -> Result<Self> {
        let metainfo = tokio::task::spawn_blocking({
            let film = film.to_owned();
            move || torrent_of(&film)
        })
        .await
        .context("making a torrent")??;
        let folder = film.parent().ok_or_else(|| anyhow!("{}: is in no folder", film.display()))?;
        let (info_hash, pieces) = (metainfo.info().info_hash(), metainfo.info().layout().pieces());
        let mut magnet = metainfo.magnet();
        let mut sessions = Vec::new();
        for (n, rate) in GOOD.into_iter().chain([SLOW]).enumerate() {
            let config = Config {
                limits: Limits { upload: Some(rate), download: None },
                seed_goal: SeedGoal::FOREVER,
                ..Config::loopback(folder, scratch.join(format!("seeder-{n}")))
            };
            let session = Session::start(config).await?;
            let port = session.stats().listen_port.context("a seeder has no port")?;
            let (torrent, _) = session.add(Add::metainfo(metainfo.bytes().clone())).await?;
            timeout(SEEDING_WAIT, torrent.wait_finished())
                .await
                .context("a seeder does not get to seeding")??;
            magnet.peers.push(format!("127.0.0.1:{port}").parse().context("a seeder's address")?);
            sessions.push(session);
        }
        let liar = Liar::start(info_hash, pieces).await?;
        magnet.peers.push(liar.address.to_string().parse().context("the corrupting peer's address")?);
        Ok(Self { sessions, liar, info_hash, magnet: magnet.to_string() })
    }

    /// What it is, for people.
    pub(super) fn words(&self) -> String {
        format!(
            "{} seeders of {} KiB/s, one of {} KiB/s, one peer that sends wrong blocks",
            GOOD.len(),
            GOOD[0] >> 10,
            SLOW >> 10
        )
    }

    pub(super) async fn stop(self) {
        for session in self.sessions {
            session.stop().await;
        }
    }
}

fn torrent_of(film: &Path) -> Result<Metainfo> {
    let name = film.file_name().and_then(|name| name.to_str()).context("the film has no name")?;
    let length = film.metadata().with_context(|| format!("{}", film.display()))?.len();
    let builder = Builder {
        piece_length: PieceLength::Bytes(PIECE_BYTES),
        ..Builder::new(name, Content::File { length })
    };
    let parts = [hash::Part { path: film.to_owned(), length }];
    let hashes = hash::pieces(&parts, &builder.layout()?, &|_| {})?;
    Ok(builder.build(&hashes)?)
}
