//! The session's storage: its threads, its bound on bytes in flight, its open files, its state directory.

use std::{path::PathBuf, sync::Arc};

use metainfo::InfoHash;

use crate::{
    Contents, Pending, Room, Sink, StorageError, Store, keeper::KeeperJob, pending::promise,
    relocate::resume_path, threads::Threads,
};

/// How a [`Storage`] is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that hash and write; 0 stands for one per core, four at most.
    pub threads: usize,
    /// Past this many bytes on their way to the disk, [`Storage::room`] waits.
    pub bytes_in_flight_max: u64,
    /// Files held open at most, over all torrents.
    pub descriptors_max: usize,
    /// Where resume data is kept, `{info_hash}.resume` per torrent; `None` keeps none.
    pub state_directory: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 0, bytes_in_flight_max: 8 << 20, descriptors_max: 256, state_directory: None }
    }
}

/// What unfinished files are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfinished {
    /// `name.part` until the file is whole, so that nothing that scans folders takes it for finished.
    #[default]
    Suffixed,
    /// The final name from the first byte on.
    FinalName,
}

/// Where a torrent's bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Files beneath a folder.
    Directory {
        /// The folder; made when it is not there.
        path: PathBuf,
        /// What unfinished files are called.
        unfinished: Unfinished,
    },
    /// Memory only; nothing is left when the torrent is closed.
    Memory {
        /// Payload bytes held at most; the least useful pieces go ([`Store::set_usefulness`]).
        bytes_max: u64,
    },
}

/// The storage that a session's torrents share. Cheap to clone; its threads end with [`stop`](Self::stop), or once its last
/// clone is dropped and what was queued is written.
#[derive(Clone, Debug)]
pub struct Storage {
    owner: Arc<Owner>,
}

/// Ends the threads, which hold the rest themselves.
#[derive(Debug)]
struct Owner {
    threads: Arc<Threads>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.threads.stop();
    }
}

impl Storage {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the state directory cannot be made or no thread started.
    pub fn start(options: Options) -> Result<Self, StorageError> {
        Ok(Self { owner: Arc::new(Owner { threads: Threads::start(options)? }) })
    }

    /// Opens a torrent: reads its resume data, looks at its files, trusts what has not changed since. Nothing is made on
    /// disk yet. Blocks for a few system calls per file: not for a runtime's own threads.
    ///
    /// Pieces in files that were changed, or that no resume data speaks of, are [`doubtful`](Store::doubtful): let
    /// [`Store::check`] look at them before fetching any. If a file is gone that verified pieces were in, the torrent opens
    /// as [failed](Store::failure): fetching it all again is for the user to decide, by a check of all.
    ///
    /// # Errors
    /// [`StorageError::InTheWay`] when something that cannot be the torrent's has a file's name, or the torrent is open
    /// already; those of the system.
    pub fn open(&self, contents: Contents, place: Place, sink: Sink) -> Result<Store, StorageError> {
        Store::open(&self.owner.threads, contents, place, sink)
    }

    /// Whether fewer bytes are in flight than the bound. Cheap.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.owner.threads.in_flight.has_room()
    }

    /// Waits until [`has_room`](Self::has_room). Await it before reading a socket: [`Store::write`] itself takes whatever
    /// it is given, so what is past the bound is what the sockets' buffers held.
    ///
    /// # Cancel safety
    /// Nothing is held; it can be dropped and asked again.
    pub fn room(&self) -> Room {
        Room { in_flight: self.owner.threads.in_flight.clone() }
    }

    /// Bytes written by callers and not yet on disk.
    #[must_use]
    pub fn bytes_in_flight(&self) -> u64 {
        self.owner.threads.in_flight.bytes()
    }

    /// Drops the resume data of a torrent that is not open.
    ///
    /// # Errors
    /// Those of the system; that there is none is no error.
    pub fn forget(&self, info_hash: InfoHash) -> Result<(), StorageError> {
        let Some(folder) = &self.owner.threads.state_directory else { return Ok(()) };
        let path = resume_path(folder, info_hash);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StorageError::from_io(path, 0, "removing", &error))
            }
            _ => Ok(()),
        }
    }

    /// Writes what is queued, saves every torrent's resume data, closes them, ends the threads.
    pub fn stop(&self) -> Pending<()> {
        let (promise, pending) = promise();
        self.owner.threads.keeper.push([KeeperJob::Stop(promise)]);
        pending
    }
}
