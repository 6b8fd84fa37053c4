//! Opening and planning a film: how long, and how many of its bytes were read. Beside it an `ffprobe` process.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use byte_source::{ByteRange, ByteSource, ReadFuture, SourceError};
use container::{MovieOpener, pull::drive};
use media::FileSource;
use packager::{PlanOptions, Planner};

use crate::{stats::Times, table::Table};

const RUNS: usize = 200;
const RUNS_PROCESS: usize = 15;

/// A source that counts what is read through it.
struct Counting<S> {
    inner: S,
    bytes: AtomicU64,
    reads: AtomicU64,
}

impl<S> Counting<S> {
    fn count(&self, range: ByteRange) {
        self.bytes.fetch_add(range.len(), Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: ByteSource> ByteSource for Counting<S> {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        self.count(range);
        self.inner.read_at(range)
    }

    fn try_read_at(&self, range: ByteRange) -> Option<Result<bytes::Bytes, SourceError>> {
        let answer = self.inner.try_read_at(range)?;
        self.count(range);
        Some(answer)
    }
}

/// Opens and plans each film many times in this process.
pub(crate) fn measure(films: &[&Path]) -> Result<Table> {
    let mut table = Table::new(
        "Open and plan (in process, page cache warm)",
        &["film", "p50 / p95 / p99 ms", "bytes read", "reads", "segments", "ffprobe process p50 ms"],
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for film in films {
        let mut times = Vec::with_capacity(RUNS);
        let (mut bytes, mut reads, mut segments) = (0, 0, 0);
        for _ in 0..RUNS {
            let start = Instant::now();
            let source = Counting {
                inner: runtime.block_on(FileSource::open(film)).context("open")?,
                bytes: AtomicU64::new(0),
                reads: AtomicU64::new(0),
            };
            let planned = runtime.block_on(async {
                let movie = drive(&mut MovieOpener::new(source.len()), &source).await?;
                drive(&mut Planner::new(movie, PlanOptions::default()), &source).await
            })?;
            times.push(start.elapsed());
            bytes = source.bytes.into_inner();
            reads = source.reads.into_inner();
            let plan = &planned.plan;
            segments = plan.track(plan.reference).map_or(0, |track| track.segments.len());
        }
        let name = film.file_name().unwrap_or_default().to_string_lossy().into_owned();
        table.row(vec![
            name,
            Times::new(times).row(),
            bytes.to_string(),
            reads.to_string(),
            segments.to_string(),
            format!("{:.1}", ffprobe(film)?.ms(50)),
        ]);
    }
    Ok(table)
}

fn ffprobe(film: &Path) -> Result<Times> {
    let mut times = Vec::<Duration>::new();
    for _ in 0..RUNS_PROCESS {
        let start = Instant::now();
        Command::new("ffprobe")
            .args(["-v", "quiet", "-show_entries", "stream=codec_name:format=duration"])
            .arg(film)
            .stdout(Stdio::null())
            .status()?;
        times.push(start.elapsed());
    }
    Ok(Times::new(times))
}
