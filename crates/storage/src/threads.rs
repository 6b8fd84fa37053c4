//! What all torrents share: threads and their queues, the bound on bytes in flight, open files, buffers.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use metainfo::{InfoHash, PieceIndex};

use crate::{
    Options, StorageError,
    assembly::Budget,
    buffers::Buffers,
    keeper::{self, KeeperJob},
    pending::{InFlight, promise},
    pool::Pool,
    queue::Queue,
    reader::{self, ReaderJob},
    torrent::{Torrent, lock},
    writer::{self, WriterJob},
};

/// More threads do not write faster to one disk, and one hashes 1.5 GiB a second.
const WRITERS_MAX: usize = 4;

/// Reads that may wait for a disk at once.
const READERS: usize = 4;

/// Bytes that blocks ahead of their turn may hold until they are hashed.
const AHEAD_BYTES: u64 = 4 << 20;

/// Neighbouring pieces within this many bytes go to one thread, so that small pieces are written together.
const SHARD_BYTES: u32 = 1 << 20;

#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) buffers: Buffers,
    pub(crate) ahead: Arc<Budget>,
    pub(crate) keeper: Queue<KeeperJob>,
    pub(crate) readers: Queue<ReaderJob>,
    writers: Vec<Queue<WriterJob>>,
    pub(crate) state_directory: Option<PathBuf>,
    pub(crate) open: Mutex<HashMap<InfoHash, Weak<Torrent>>>,
    numbers: AtomicU64,
}

impl std::fmt::Debug for WriterJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("writer job")
    }
}

impl std::fmt::Debug for ReaderJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reader job")
    }
}

impl Threads {
    pub(crate) fn start(options: Options) -> Result<Arc<Self>, StorageError> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let writers = if options.threads == 0 { cores.min(WRITERS_MAX) } else { options.threads };
        let failed = |path: PathBuf, error: &io::Error| StorageError::from_io(path, 0, "starting", error);
        if let Some(folder) = &options.state_directory {
            std::fs::create_dir_all(folder).map_err(|error| failed(folder.clone(), &error))?;
        }
        let threads = Arc::new(Self {
            in_flight: Arc::new(InFlight::new(options.bytes_in_flight_max)),
            pool: Arc::new(Pool::new(options.descriptors_max)),
            buffers: Buffers::default(),
            ahead: Budget::new(AHEAD_BYTES),
            keeper: Queue::default(),
            readers: Queue::default(),
            writers: (0..writers).map(|_| Queue::default()).collect(),
            state_directory: options.state_directory,
            open: Mutex::default(),
            numbers: AtomicU64::new(0),
        });
        let spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
            let started = std::thread::Builder::new().name(name).spawn(work);
            started.map(drop).map_err(|error| {
                threads.stop();
                failed(PathBuf::from("a thread"), &error)
            })
        };
        for number in 0..writers {
            let shared = threads.clone();
            let work = move || writer::run(&shared.writers[number], &shared);
            spawn(format!("storage-write-{number}"), Box::new(work))?;
        }
        for number in 0..READERS {
            let shared = threads.clone();
            spawn(format!("storage-read-{number}"), Box::new(move || reader::run(&shared.readers)))?;
        }
        let shared = threads.clone();
        spawn("storage-keep".into(), Box::new(move || keeper::run(&shared)))?;
        Ok(threads)
    }

    /// The threads end once their queues are empty.
    pub(crate) fn stop(&self) {
        self.writers.iter().for_each(Queue::stop);
        self.readers.stop();
        self.keeper.stop();
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The queue of the thread that a piece's blocks go to.
    pub(crate) fn writer(&self, torrent: &Torrent, piece: PieceIndex) -> usize {
        let region = piece.0 / (SHARD_BYTES / torrent.contents.layout().piece_length()).max(1);
        let number = u64::from(region).wrapping_add(torrent.number) % self.writers.len() as u64;
        usize::try_from(number).unwrap_or_default()
    }

    /// False when they have stopped.
    pub(crate) fn write(&self, writer: usize, jobs: impl IntoIterator<Item = WriterJob>) -> bool {
        self.writers[writer].push(jobs)
    }

    pub(crate) fn writers(&self) -> usize {
        self.writers.len()
    }

    /// Waits until every block queued before is written.
    pub(crate) fn settle_writes(&self) {
        let pending: Vec<_> = self
            .writers
            .iter()
            .map(|queue| {
                let (promise, pending) = promise();
                queue.push([WriterJob::Barrier(promise)]);
                pending
            })
            .collect();
        for done in pending {
            let _ = done.wait();
        }
    }

    pub(crate) fn open_torrents(&self) -> Vec<Arc<Torrent>> {
        lock(&self.open).values().filter_map(Weak::upgrade).collect()
    }
}
