//! Where videos lie, looked up on the disk once in a while and not at every segment.
//!
//! Resolving a path asks the file system about each of its folders, which a sleeping disk answers late: it is done where
//! waiting harms nobody, and believed as long as `media` believes an open file.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use library::{Video, VideoId};
use media::limits::PATH_TRUST;

use crate::problem::Problem;

/// Places remembered; past it everything is forgotten, which only costs looking again.
const PLACES_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<VideoId, (PathBuf, Instant)>>);

impl Places {
    /// The path of a video, inside its library folder.
    pub(crate) async fn of(&self, video: &Arc<Video>) -> Result<PathBuf, Problem> {
        if let Some((path, seen)) = self.map().get(&video.id)
            && seen.elapsed() < PATH_TRUST
        {
            return Ok(path.clone());
        }
        let asked = Arc::clone(video);
        let path = tokio::task::spawn_blocking(move || asked.path())
            .await
            .map_err(|error| Problem::internal(format!("{}: {error}", video.id)))??;
        let mut map = self.map();
        if map.len() >= PLACES_MAX {
            map.clear();
        }
        map.insert(video.id.clone(), (path.clone(), Instant::now()));
        Ok(path)
    }

    fn map(&self) -> MutexGuard<'_, HashMap<VideoId, (PathBuf, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
