//! A file of a torrent as a byte source: reads wait until their pieces are here and verified.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use byte_source::{ByteRange, ByteSource, ReadFuture, ReadHint, SourceError};
use bytes::{Bytes, BytesMut};
use metainfo::{FileIndex, PieceLayout};
use storage::StorageError;
use swarm::ReaderAt;

use crate::torrent::readers::{Demand, Readers};

/// Stretches that one reader is known to want at a time. Past it the oldest hint is forgotten.
const WINDOWS_MAX: usize = 16;

/// A read longer than this waits in steps: windows reach only so far, and move on when something was read.
const WAIT_STEP: u64 = 2 << 20;

/// How often, and after what time, a read is tried again whose pieces are known to be here and on their way out of memory.
const RETRIES_MAX: u32 = 100;
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// Reads one file of a torrent. Each reader states its own demand; dropping it withdraws the demand at once.
///
/// A read that has to wait is fetched before everything else. What is read in order, or [hinted](ByteSource::hint), keeps a
/// window of what follows.
pub struct Reader {
    readers: Arc<Readers>,
    layout: PieceLayout,
    file: FileIndex,
    /// The file within the torrent.
    bytes: Range<u64>,
    /// Bytes a second; 0 is not known.
    rate: AtomicU64,
    /// Reads are made a piece at a time: there is no room for all that one may ask for.
    piecewise: bool,
    windows: Mutex<Vec<Window>>,
}

/// A stretch that is wanted, from where it was read to.
struct Window {
    demand: Demand,
    /// Where it ends, in bytes of the torrent; what reads ask for may go further.
    end: u64,
    /// Reads that wait in it.
    reads: usize,
    id: u64,
}

impl Reader {
    pub(crate) fn new(
        readers: Arc<Readers>,
        layout: PieceLayout,
        file: FileIndex,
        bytes: Range<u64>,
        piecewise: bool,
    ) -> Self {
        let (rate, windows) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        Self { readers, layout, file, bytes, rate, piecewise, windows }
    }

    /// Which file it reads.
    #[must_use]
    pub fn file(&self) -> FileIndex {
        self.file
    }

    /// Where that begins among the torrent's bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.bytes.start
    }

    /// States how fast the bytes are consumed, in bytes a second: the media's bit rate. Decides how far ahead of the
    /// position pieces are fetched before all others.
    pub fn set_rate(&self, bytes_per_second: u64) {
        self.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// Whether a read at `at` goes on in this window: not if it leaves out what is still to come, which is another rendition's.
    fn continues(&self, window: &Window, at: u64) -> bool {
        let from = window.demand.at().wanted.start;
        (from..=window.end).contains(&at)
            && (at == from || self.readers.has_all(self.layout.pieces_of(from..at)))
    }

    fn windows(&self) -> MutexGuard<'_, Vec<Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The range in bytes of the torrent.
    fn absolute(&self, range: ByteRange) -> Result<Range<u64>, SourceError> {
        let length = self.len();
        if range.end() > length || range.start() > range.end() {
            return Err(SourceError::OutOfBounds { range, len: length });
        }
        Ok(self.bytes.start + range.start()..self.bytes.start + range.end())
    }

    /// States that `wanted` is wanted now: in the window it continues, else in one that is idle, else in a new one.
    fn begin(&self, wanted: &Range<u64>) -> Reading<'_> {
        let rate = self.rate();
        let mut windows = self.windows();
        let continues =
            windows.iter().position(|window| window.reads == 0 && self.continues(window, wanted.start));
        let idle =
            || windows.iter().position(|window| window.reads == 0 && window.demand.at().wanted.is_empty());
        let id = match continues.or_else(idle) {
            Some(index) => {
                let window = &mut windows[index];
                let continued = continues.is_some();
                window.end = if continued { window.end.max(wanted.end) } else { wanted.end };
                window.reads += 1;
                window.demand.set(wanted.start..window.end, rate, None);
                window.id
            }
            None => self.open(&mut windows, wanted.clone(), None),
        };
        Reading { reader: self, id, done: None }
    }

    /// For a read that waits, or for one that will come after so long.
    fn open(&self, windows: &mut Vec<Window>, wanted: Range<u64>, ahead: Option<Duration>) -> u64 {
        if windows.len() >= WINDOWS_MAX
            && let Some(oldest) = windows.iter().position(|window| window.reads == 0)
        {
            windows.remove(oldest);
        }
        let id = windows.iter().map(|window| window.id).max().unwrap_or(0) + 1;
        let end = wanted.end;
        let at = ReaderAt { file: self.bytes.clone(), wanted, bytes_per_s: self.rate(), ahead };
        let reads = usize::from(ahead.is_none());
        windows.push(Window { demand: self.readers.demand(at), end, reads, id });
        id
    }

    /// A read went through without waiting: the window that it continues moves on.
    fn passed(&self, read: &Range<u64>) {
        if self.readers.is_complete() {
            return;
        }
        let rate = self.rate();
        let mut windows = self.windows();
        if let Some(window) =
            windows.iter_mut().find(|window| window.reads == 0 && self.continues(window, read.start))
        {
            window.end = window.end.max(read.end);
            window.demand.set(read.end..window.end, rate, Some(Duration::ZERO));
        } else if windows.is_empty() {
            self.open(&mut windows, read.end..read.end, Some(Duration::ZERO));
        }
    }

    /// A torrent that has ended may be there anew, with other readers: who holds this one should ask for another.
    fn failed(&self, range: ByteRange, reason: &str) -> SourceError {
        let detail = reason.to_owned();
        match self.readers.has_ended() {
            true => SourceError::Changed { range, detail },
            false => SourceError::Unavailable { range, detail },
        }
    }

    async fn read(&self, range: ByteRange) -> Result<Bytes, SourceError> {
        let absolute = self.absolute(range)?;
        if !self.piecewise || self.layout.pieces_of(absolute).len() < 2 {
            return self.read_at_once(range).await;
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(range.len()).unwrap_or_default());
        let mut at = range.start();
        while at < range.end() {
            let piece = self.layout.range(self.layout.piece_of(self.bytes.start + at));
            let end = range.end().min(piece.end - self.bytes.start);
            whole.extend_from_slice(&self.read_at_once(ByteRange::new(at, end)).await?);
            at = end;
        }
        Ok(whole.freeze())
    }

    async fn read_at_once(&self, range: ByteRange) -> Result<Bytes, SourceError> {
        let wanted = self.absolute(range)?;
        if wanted.is_empty() {
            return Ok(Bytes::new());
        }
        let pieces = self.layout.pieces_of(wanted.clone());
        let (mut reading, mut retries) = (None, 0);
        loop {
            let mut step = wanted.start;
            while !self.readers.has_all(self.layout.pieces_of(step..wanted.end)) {
                let end = wanted.end.min(step.saturating_add(WAIT_STEP));
                let mut waits = self.begin(&(step..wanted.end));
                let came = self.readers.wait(self.layout.pieces_of(step..end)).await;
                came.map_err(|reason: Arc<str>| self.failed(range, &reason))?;
                if end < wanted.end {
                    waits.done = Some(end);
                } else {
                    reading = Some(waits);
                    break;
                }
                step = end;
            }
            let Some(store) = self.readers.store() else {
                return Err(self.failed(range, "the torrent is not running"));
            };
            let read = match store.try_read_range(wanted.clone()) {
                Some(bytes) => Ok(bytes),
                None => store.read_range(wanted.clone()).await,
            };
            match read {
                Ok(bytes) => {
                    match reading {
                        Some(mut reading) => reading.done = Some(wanted.end),
                        None => self.passed(&wanted),
                    }
                    return Ok(bytes);
                }
                // Evicted between the two looks, and marked so before: the next round waits for it.
                Err(StorageError::NotVerified { .. }) if !self.readers.has_all(pieces.clone()) => {}
                Err(StorageError::NotVerified { .. }) if retries < RETRIES_MAX => {
                    retries += 1;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error @ StorageError::Changed { .. }) => {
                    return Err(SourceError::Changed { range, detail: error.to_string() });
                }
                Err(error) => return Err(SourceError::Io { range, detail: error.to_string() }),
            }
        }
    }
}

/// A read that waits in a window; when it ends the window moves past it, or stays where it is.
struct Reading<'a> {
    reader: &'a Reader,
    id: u64,
    /// Where it got to.
    done: Option<u64>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let rate = self.reader.rate();
        let mut windows = self.reader.windows();
        let Some(index) = windows.iter().position(|window| window.id == self.id) else { return };
        let window = &mut windows[index];
        window.reads -= 1;
        match self.done {
            Some(end) => window.demand.set(end..window.end.max(end), rate, Some(Duration::ZERO)),
            // Given up: nobody waits for these bytes.
            None => {
                windows.remove(index);
            }
        }
    }
}

impl ByteSource for Reader {
    fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        Box::pin(self.read(range))
    }

    fn try_read_at(&self, range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        let wanted = match self.absolute(range) {
            Ok(wanted) => wanted,
            Err(error) => return Some(Err(error)),
        };
        if wanted.is_empty() {
            return Some(Ok(Bytes::new()));
        }
        if !self.readers.has_all(self.layout.pieces_of(wanted.clone())) {
            return None;
        }
        let bytes = self.readers.store()?.try_read_range(wanted.clone())?;
        self.passed(&wanted);
        Some(Ok(bytes))
    }

    /// Opens a window: what it holds is fetched in order before all else but reads that wait. It ends once it was read, when
    /// the reader is dropped, or when sixteen newer ones are open.
    fn hint(&self, hint: ReadHint) {
        let cut = ByteRange::new(hint.range.start().min(self.len()), hint.range.end().min(self.len()));
        let Ok(wanted) = self.absolute(cut) else { return };
        if wanted.is_empty() || self.readers.has_all(self.layout.pieces_of(wanted.clone())) {
            return;
        }
        let rate = self.rate();
        let readers = &self.readers;
        let layout = self.layout;
        let mut windows = self.windows();
        // Windows whose bytes have come meanwhile have done their work.
        windows.retain(|window| {
            let wanted = &window.demand.at().wanted;
            window.reads > 0 || (!wanted.is_empty() && !readers.has_all(layout.pieces_of(wanted.clone())))
        });
        let known = windows.iter_mut().find(|window| {
            let at = &window.demand.at().wanted;
            at.start <= wanted.start && wanted.start <= window.end
        });
        match known {
            Some(window) if window.end >= wanted.end => {}
            Some(window) => {
                window.end = wanted.end;
                let at = window.demand.at();
                let (start, ahead) = (at.wanted.start, at.ahead);
                window.demand.set(start..wanted.end, rate, ahead);
            }
            None => {
                let ahead = Duration::from_millis(u64::from(hint.deadline_ms));
                self.open(&mut windows, wanted, Some(ahead));
            }
        }
    }

    /// Closes the windows that begin in `range` and that no read waits in.
    fn forget(&self, range: ByteRange) {
        let Ok(gone) = self.absolute(range.intersection(ByteRange::new(0, self.len()))) else { return };
        self.windows().retain(|window| window.reads > 0 || !gone.contains(&window.demand.at().wanted.start));
    }

    fn is_here(&self) -> bool {
        self.readers.has_all(self.layout.pieces_of(self.bytes.clone()))
    }
}
