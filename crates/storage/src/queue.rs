//! A queue between the engine and a thread: taken from in batches, and nobody is woken who is awake.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<T>,
    sleeping: usize,
    stopped: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State { jobs: VecDeque::new(), sleeping: 0, stopped: false };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds jobs; false, and they are dropped, once it has stopped.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = T>) -> bool {
        let mut state = self.lock();
        if state.stopped {
            return false;
        }
        state.jobs.extend(jobs);
        let wake = state.sleeping > 0;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        true
    }

    /// What is done after it are the jobs queued until now.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    /// Waits for jobs and takes them in order until their `weight` reaches `weight_max`, at least one. An empty batch: it has
    /// stopped, or `until` came.
    pub(crate) fn take(
        &self,
        weight_max: usize,
        weight: impl Fn(&T) -> usize,
        until: Option<Instant>,
        batch: &mut Vec<T>,
    ) -> Taken {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.stopped {
                return Taken::Stopped;
            }
            state.sleeping += 1;
            state = match until {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let rest = until.saturating_duration_since(Instant::now());
                    self.wake.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.sleeping -= 1;
            if state.jobs.is_empty() && until.is_some_and(|until| until <= Instant::now()) {
                return Taken::TimeUp;
            }
        }
        let mut sum = 0;
        while sum < weight_max
            && let Some(job) = state.jobs.pop_front()
        {
            sum += weight(&job).max(1);
            batch.push(job);
        }
        let more = !state.jobs.is_empty() && state.sleeping > 0;
        drop(state);
        if more {
            self.wake.notify_one();
        }
        Taken::Jobs
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Jobs,
    TimeUp,
    Stopped,
}
