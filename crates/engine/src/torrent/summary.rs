//! A torrent's state as plain values, for people and programs.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use metainfo::InfoHash;
use swarm::{Stats, Wait};

use super::{
    goals,
    saved::moment,
    task::{Phase, Task},
};
use crate::{EngineError, Limits, PeerInfo, PieceState, Pieces, Priority, SeedGoal, Snapshot, State};

/// A torrent of which nothing is known yet.
pub(super) fn empty(info_hash: InfoHash, added: SystemTime) -> Snapshot {
    Snapshot {
        info_hash,
        name: None,
        state: State::Metadata,
        reason: None,
        private: None,
        output: String::new(),
        size: None,
        wanted: 0,
        have: 0,
        progress: 0.0,
        pieces: 0,
        pieces_have: 0,
        piece_length: 0,
        download_rate: 0,
        upload_rate: 0,
        downloaded: 0,
        uploaded: 0,
        wasted: 0,
        corrupt: 0,
        ratio: 0.0,
        eta: None,
        peers: 0,
        seeds: 0,
        candidates: 0,
        web_seeds: 0,
        added,
        completed: None,
        seeding_time: Duration::ZERO,
        seed_goal: SeedGoal::FOREVER,
        owes: Vec::new(),
        limits: Limits::default(),
        sequential: false,
        readers: 0,
        playback: None,
    }
}

impl Task {
    #[expect(clippy::cast_precision_loss, reason = "shares and ratios are shown to a few digits")]
    pub(super) fn summarize(&self, now: Duration, state: State, stats: &Stats) -> Snapshot {
        let given = self.given(now);
        let totals = self.totals(&stats.counters);
        let info = self.metainfo.as_ref().map(|metainfo| metainfo.info());
        let left = if self.informed { stats.left_wanted } else { self.wanted_piece_bytes };
        let have = self.wanted.saturating_sub(left);
        let share = |part: u64, of: u64| if of == 0 { 1.0 } else { part as f64 / of as f64 };
        let progress = match (&self.phase, info) {
            (Phase::Checking(done, of), _) => share(u64::from(*done), u64::from(*of)),
            (_, None) => 0.0,
            // Nothing is wanted: what readers have fetched.
            (_, Some(info)) if self.wanted_piece_bytes == 0 => {
                share(u64::from(stats.pieces_have), u64::from(info.layout().pieces()))
            }
            // By pieces: of a file that shares its pieces the last bytes come with others.
            _ => 1.0 - share(left, self.wanted_piece_bytes.max(1)).min(1.0),
        };
        let downloading = state == State::Downloading && stats.down_bytes_per_s > 0;
        Snapshot {
            info_hash: self.shared_info_hash(),
            name: self.name.clone(),
            state,
            reason: self.reason(state, stats),
            private: self.private,
            output: Path::new(&self.saved.output).display().to_string(),
            size: info.map(|info| info.layout().total()),
            wanted: self.wanted,
            have,
            progress,
            pieces: info.map_or(0, |info| info.layout().pieces()),
            pieces_have: stats.pieces_have,
            piece_length: info.map_or(0, |info| info.layout().piece_length()),
            download_rate: stats.down_bytes_per_s,
            upload_rate: stats.up_bytes_per_s,
            downloaded: totals.downloaded,
            uploaded: totals.uploaded,
            wasted: totals.wasted,
            corrupt: totals.corrupt,
            ratio: given.ratio(),
            eta: downloading.then(|| left as f64 / stats.down_bytes_per_s as f64),
            peers: stats.connected,
            seeds: stats.seeds,
            candidates: stats.candidates,
            web_seeds: self.web_seeds.len(),
            added: self.added,
            completed: self.saved.completed.map(moment),
            // Whole minutes while it runs: a torrent at rest gives no new snapshot every moment.
            seeding_time: given.seeding_time,
            seed_goal: self.goal(),
            owes: goals::owed(&self.asked(), &given),
            limits: self.saved.limits,
            sequential: self.saved.sequential,
            readers: self.shared.readers().open_count(),
            playback: None,
        }
    }

    /// Why it waits or stopped, in facts.
    fn reason(&self, state: State, stats: &Stats) -> Option<String> {
        match (&self.phase, state) {
            (Phase::Failed(reason), _) => return Some(reason.clone()),
            (_, State::Idle) => return Some("nobody reads it; it goes on when somebody does".into()),
            (_, State::Metadata | State::Downloading) => {}
            _ => return None,
        }
        if let Some(blocked) = self.core.egress.blocked() {
            return Some(blocked);
        }
        Some(match stats.wait {
            Wait::Nothing | Wait::Stopped | Wait::Rate { .. } => return None,
            Wait::NoPeers { candidates: 0, connecting: 0 } => "no peers are known".into(),
            Wait::NoPeers { candidates, connecting } => {
                format!("no peer is connected: {candidates} known, {connecting} being tried")
            }
            Wait::Metadata { peers: 0 } => "no connected peer has the metadata".into(),
            Wait::Metadata { peers } => format!("metadata from {peers} peers"),
            Wait::NoSource { peers } => format!("none of {peers} peers has what is missing"),
            Wait::Choked { peers } => format!("{peers} peers have what is missing and do not serve yet"),
        })
    }

    pub(super) fn peer_infos(&self, now: Duration) -> Vec<PeerInfo> {
        let pieces = self.metainfo.as_ref().map_or(0, |metainfo| metainfo.info().layout().pieces());
        let peers = self.swarm.peers(now).into_iter();
        peers
            .map(|peer| PeerInfo {
                address: peer.addr.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
                client: Some(peer.client).filter(|client| !client.is_empty()),
                transport: match (peer.addr, peer.utp) {
                    (None, _) => "web",
                    (_, true) => "utp",
                    (_, false) => "tcp",
                },
                encrypted: peer.encrypted,
                incoming: peer.incoming,
                source: match peer.source {
                    _ if peer.incoming => "incoming",
                    Some(swarm::Source::Tracker) => "tracker",
                    Some(swarm::Source::Dht) => "dht",
                    Some(swarm::Source::Pex) => "pex",
                    Some(swarm::Source::Lsd) => "lsd",
                    Some(swarm::Source::Incoming) => "incoming",
                    Some(swarm::Source::User) | None => "given",
                },
                progress: if pieces == 0 { 0.0 } else { f64::from(peer.pieces) / f64::from(pieces) },
                download_rate: peer.down_bytes_per_s,
                upload_rate: peer.up_bytes_per_s,
                downloaded: peer.downloaded,
                uploaded: peer.uploaded,
                choking: peer.choking,
                interested: peer.interested,
                choked: peer.choked,
                interesting: peer.interesting,
                requests: peer.in_flight,
            })
            .collect()
    }

    pub(super) fn piece_runs(&self) -> Result<Pieces, EngineError> {
        let info_hash = self.shared_info_hash();
        let metainfo = self.metainfo.as_ref().ok_or(EngineError::NoMetadata { info_hash })?;
        let layout = metainfo.info().layout();
        let have = self.shared.readers().have();
        let mut wanted = vec![false; layout.pieces() as usize];
        for (index, file) in metainfo.info().files().iter().filter(|(_, file)| file.length() > 0) {
            if self.priorities.get(index.as_usize()).is_none_or(|priority| *priority != Priority::Skip) {
                let pieces = layout.pieces_of(file.range());
                wanted[pieces.start as usize..pieces.end as usize].fill(true);
            }
        }
        let mut begun = vec![false; layout.pieces() as usize];
        self.swarm.begun().for_each(|piece| begun[piece.as_usize()] = true);
        let mut runs: Vec<(PieceState, u32)> = Vec::new();
        for piece in layout.all() {
            let number = piece.as_usize();
            let state = match (have.has(piece), begun[number], wanted[number]) {
                (true, ..) => PieceState::Have,
                (false, true, _) => PieceState::Partial,
                (false, false, true) => PieceState::Missing,
                (false, false, false) => PieceState::Skipped,
            };
            match runs.last_mut() {
                Some((last, count)) if *last == state => *count += 1,
                _ => runs.push((state, 1)),
            }
        }
        Ok(Pieces { count: layout.pieces(), piece_length: layout.piece_length(), runs })
    }
}
