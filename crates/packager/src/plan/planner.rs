//! Makes a [`Plan`]: a conversation with the file that reads as little as it can.

use std::sync::Arc;

use byte_source::ByteRange;
use bytes::Bytes;
use container::{ContainerError, Index, Movie, Pull, PullParser};

use super::{PLAN_VERSION, Plan, PlanOptions, Planned, matroska, mp4};
use crate::{PackagerError, limits, script::Script};

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
            script: Script::new(move |ask| async move {
                let plan = match &movie.index {
                    Index::Mp4(index) => mp4::plan(&ask, &movie, index, &options).await?,
                    Index::Matroska(index) => matroska::plan(&ask, &movie, index, &options).await?,
                };
                complete(movie, plan)
            }),
        }
    }

    /// A title again from its kept plan, without a read.
    ///
    /// # Errors
    /// [`PackagerError::PlanMismatch`] if the plan is of another version or another file.
    pub fn resume(movie: Movie, plan: Plan) -> Result<Planned, PackagerError> {
        fits(&movie, &plan).map_err(PackagerError::PlanMismatch)?;
        complete(movie, plan).map_err(|e| PackagerError::PlanMismatch(e.to_string()))
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

/// Puts what the plan found out into the tracks.
fn complete(mut movie: Movie, plan: Plan) -> Result<Planned, ContainerError> {
    for planned in &plan.tracks {
        if let Some(track) = movie.tracks.get_mut(planned.track) {
            track.timescale = planned.timescale;
            if let Some(video) = track.video.as_mut() {
                video.frame_rate = planned.frame_rate.or(video.frame_rate);
            }
        }
    }
    for frame in &plan.first_frames {
        if let Some(track) = movie.tracks.get_mut(frame.track) {
            track.codec.complete_from_frame(&frame.bytes)?;
        }
    }
    Ok(Planned { movie: Arc::new(movie), plan: Arc::new(plan) })
}

/// Whether a kept plan is of this file. It comes from our own disk, but disks rot: nothing in it may send a reader
/// out of bounds later.
fn fits(movie: &Movie, plan: &Plan) -> Result<(), String> {
    if plan.version != PLAN_VERSION {
        return Err(format!("it has version {}, this is version {PLAN_VERSION}", plan.version));
    }
    if plan.file_len != movie.len {
        return Err(format!("it is of {} bytes, the file has {}", plan.file_len, movie.len));
    }
    if plan.file_tracks != movie.tracks.len() {
        return Err(format!("it is of {} tracks, the file has {}", plan.file_tracks, movie.tracks.len()));
    }
    let count = plan.intervals.len();
    if count == 0 || count > limits::SEGMENTS_MAX || plan.track(plan.reference).is_none() {
        return Err(format!("it has {count} intervals and reference track {}", plan.reference));
    }
    for track in &plan.tracks {
        let samples = match &movie.index {
            Index::Mp4(index) => index.tables.get(track.track).map_or(0, |t| t.len()),
            Index::Matroska(_) => 0,
        };
        let inside = |s: &super::SegmentPlan| {
            s.samples.0 <= s.samples.1
                && s.samples.1 as usize <= samples
                && s.intervals.0 < s.intervals.1
                && s.intervals.1 as usize <= count
        };
        if track.track >= movie.tracks.len() || !track.segments.iter().all(inside) {
            return Err(format!("track {} has segments past the file", track.track));
        }
    }
    Ok(())
}
