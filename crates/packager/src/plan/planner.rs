//! Makes a [`Plan`]: a conversation with the file that reads as little as it can.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{ContainerError, Movie, Pull, PullParser};

use super::{Plan, PlanOptions, Planned};
use crate::{PackagerError, script::Script};

/// Plans a title. Gives one [`Planned`].
#[derive(Debug)]
pub struct Planner {
    script: Script<Planned>,
}

impl Planner {
    /// For a file whose index has been read.
    #[must_use]
    pub fn new(movie: Movie, options: PlanOptions) -> Self {
        Self {
            script: Script::new(move |_ask| async move {
                let _ = (movie, options);
                Err(ContainerError::UnknownContainer("not planned yet".to_owned()))
            }),
        }
    }

    /// A title again from its kept plan, without a read.
    ///
    /// # Errors
    /// [`PackagerError::PlanMismatch`] if the plan is of another version or another file.
    pub fn resume(movie: Movie, plan: Plan) -> Result<Planned, PackagerError> {
        let _ = movie;
        Err(PackagerError::PlanMismatch(format!("version {}", plan.version)))
    }
}

impl PullParser for Planner {
    type Item = Planned;

    fn poll(&mut self) -> Result<Pull<Planned>, ContainerError> {
        self.script.poll()
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.script.feed(range, bytes);
    }
}
