//! What handles ask of a torrent: answered once the snapshot shows what was done.

use std::{sync::PoisonError, time::Duration};

use swarm::Input;

use super::{
    inbox::{Answer, Command},
    task::{Phase, Reach, Task},
};
use crate::{EngineError, Limits, Priority};

impl Task {
    pub(super) fn command(&mut self, now: Duration, command: Command) {
        let done = match command {
            Command::Peers(answer) => {
                let _ = answer.send(Ok(self.peer_infos(now)));
                return;
            }
            Command::Trackers(answer) => {
                let _ = answer.send(Ok(self.trackers.status(now)));
                return;
            }
            Command::Pieces(answer) => {
                let _ = answer.send(self.piece_runs());
                return;
            }
            Command::Stop { remove, forget, done } => {
                self.ends_with = (remove, forget);
                self.ending = Some(done);
                return;
            }
            Command::SetFiles(files, answer) => {
                let set = self.set_files(now, files);
                self.answer(now, answer, set);
                return;
            }
            Command::Recheck(answer) => {
                let begun = self.begin_recheck(now);
                self.answer(now, answer, begun);
                return;
            }
            Command::Pause(done) => {
                if !self.saved.paused {
                    self.saved.paused = true;
                    self.swarm.handle(now, Input::Pause);
                    self.trackers.stop();
                }
                done
            }
            Command::Resume(done) => {
                self.goal_ignored = self.goal_ignored || self.resting;
                self.saved.idle = false;
                self.watch_anew(now);
                (self.saved.paused, self.resting) = (false, false);
                if matches!(self.phase, Phase::Failed(_)) {
                    self.phase = if self.metainfo.is_some() { Phase::Opening } else { Phase::Metadata };
                    self.shared.readers.recovered();
                    self.open_files();
                }
                self.go_on(now);
                done
            }
            Command::Reannounce(done) => {
                self.trackers.reannounce(now);
                if let Reach::Public(finder) = &self.reach {
                    finder.wanted();
                }
                done
            }
            Command::WayChanged { broken, done } => {
                // Before it is known what is on disk there are none, and nobody is to be dialled.
                let connects = matches!(self.phase, Phase::Metadata | Phase::Ready);
                if broken && connects && !self.is_at_rest() {
                    // Connections end here; whoever was connected is dialled again.
                    self.swarm.handle(now, Input::Pause);
                    self.swarm.handle(now, Input::Resume);
                }
                self.trackers.reannounce(now);
                if let Reach::Public(finder) = &self.reach {
                    finder.wanted();
                }
                done
            }
            Command::SetLimits(limits, done) => {
                let Limits { download, upload } = limits;
                self.down.set(download);
                self.up.set(upload);
                self.saved.limits = limits;
                done
            }
            Command::SetSeedGoal(goal, done) => {
                self.saved.seed_goal = goal;
                self.goal_ignored = false;
                if self.resting && !self.goal_is_reached(now) {
                    self.resting = false;
                    self.go_on(now);
                }
                done
            }
            Command::SetSequential(sequential, done) => {
                self.saved.sequential = sequential;
                self.swarm.handle(now, Input::Sequential(sequential));
                done
            }
            Command::AddPeers(addrs, done) => {
                self.swarm.handle(now, Input::Candidates { source: swarm::Source::User, addrs });
                done
            }
            Command::AddTrackers(urls, done) => {
                if matches!(self.reach, Reach::Public(_)) {
                    self.trackers.add(now, &urls);
                    self.saved.trackers = self.trackers.tiers();
                    *self.shared.trackers.lock().unwrap_or_else(PoisonError::into_inner) =
                        self.saved.trackers.clone();
                }
                done
            }
        };
        self.answer(now, done, Ok(()));
    }

    /// Answers once the snapshot shows what was done.
    fn answer(&mut self, now: Duration, answer: Answer<()>, result: Result<(), EngineError>) {
        self.carry_out(now);
        self.unsaved = true;
        self.publish(now);
        let _ = answer.send(result);
    }

    fn set_files(
        &mut self,
        now: Duration,
        files: Vec<(metainfo::FileIndex, Priority)>,
    ) -> Result<(), EngineError> {
        let info_hash = self.shared.info_hash;
        if self.metainfo.is_none() {
            return Err(EngineError::NoMetadata { info_hash });
        }
        let count = self.priorities.len();
        if let Some((file, _)) = files.iter().find(|(file, _)| file.as_usize() >= count) {
            return Err(EngineError::UnknownFile { info_hash, file: *file, files: count });
        }
        for (file, priority) in files {
            self.priorities[file.as_usize()] = priority;
        }
        self.remember_priorities();
        if self.phase == Phase::Ready {
            self.apply_priorities(now);
            if self.resting && !self.swarm.is_finished() {
                self.resting = false;
                self.go_on(now);
            }
        }
        Ok(())
    }
}
