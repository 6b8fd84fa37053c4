//! The titles that are open.

use std::{path::Path, sync::Arc};

use byte_source::ByteSource;

use crate::{ContentKey, MediaConfig, MediaError, Stats, Title};

/// Opens titles and makes segments. Clones share everything.
#[derive(Clone, Debug)]
pub struct Media {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    _config: MediaConfig,
}

impl Media {
    /// Starts with nothing open. Makes the cache directory; what is in it is looked at in the background.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`MediaError::Cache`] if the directory cannot be made or written.
    pub fn new(config: MediaConfig) -> Result<Self, MediaError> {
        Ok(Self { shared: Arc::new(Shared { _config: config }) })
    }

    /// The title of the file at `path`, opened and planned if it is not open. Cheap when it is: call it per request.
    /// A file replaced since is opened anew.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] without a file, [`MediaError::NotPlayable`], or the disk's.
    ///
    /// # Cancel safety
    /// Safe: the opening goes on for whoever else waits.
    pub async fn open_file(&self, video_id: &str, _path: &Path) -> Result<Arc<Title>, MediaError> {
        let _ = &self.shared;
        Err(MediaError::Internal { title: video_id.to_owned(), detail: "not built yet".to_owned() })
    }

    /// The title of a source, opened and planned if `video_id` is not open already.
    ///
    /// # Errors
    /// As [`open_file`](Self::open_file).
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn open(
        &self,
        video_id: &str,
        _source: Arc<dyn ByteSource>,
        _content: ContentKey,
    ) -> Result<Arc<Title>, MediaError> {
        Err(MediaError::Internal { title: video_id.to_owned(), detail: "not built yet".to_owned() })
    }

    /// The title if it is open.
    #[must_use]
    pub fn get(&self, _video_id: &str) -> Option<Arc<Title>> {
        None
    }

    /// Numbers of now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Waits until what is to be written to the cache is written. For shutdown.
    pub async fn flush(&self) {
        crate::buffers::trim();
    }
}
