//! Drives the parsers over memory, watches that they keep the contract of [`PullParser`], and counts what they read.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    ContainerError, Index, Movie,
    matroska::{Block, BlockWalker, MatroskaIndex, Opener, Payload, WalkOptions, Walked},
    pull::{Pull, PullParser},
};

/// What a parser asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

/// Runs `parser` until `done` says so, with a budget of reads: a parser that asks for ever fails the test.
pub(crate) fn run<P: PullParser>(
    parser: &mut P,
    file: &Bytes,
    reads_max: usize,
    mut done: impl FnMut(P::Item) -> bool,
) -> Result<Reads, ContainerError> {
    let mut reads = Reads::default();
    let mut last = None;
    loop {
        match parser.poll()? {
            Pull::Item(item) => {
                if done(item) {
                    return Ok(reads);
                }
            }
            Pull::Need(range) => {
                assert!(!range.is_empty(), "asks for nothing at {}", range.start());
                assert!(range.end() <= file.len() as u64, "asks for {range:?} of {} bytes", file.len());
                assert_ne!(last.replace(range), Some(range), "asks for the same range twice running");
                reads.count += 1;
                reads.bytes += range.len();
                assert!(reads.count <= reads_max, "still reading after {reads_max} reads, now {range:?}");
                let at = |n: u64| usize::try_from(n).unwrap();
                parser.feed(range, file.slice(at(range.start())..at(range.end())));
            }
        }
    }
}

pub(crate) fn open_counted(file: &Bytes) -> Result<(Movie, Reads), ContainerError> {
    let mut movie = None;
    let reads =
        run(&mut Opener::new(file.len() as u64), file, 100_000, |item| movie.replace(item).is_none())?;
    Ok((movie.unwrap(), reads))
}

pub(crate) fn open(file: impl Into<Bytes>) -> Result<Movie, ContainerError> {
    open_counted(&file.into()).map(|(movie, _)| movie)
}

pub(crate) fn index(movie: &Movie) -> &MatroskaIndex {
    match &movie.index {
        Index::Matroska(index) => index,
        Index::Mp4(_) => panic!("an MP4 index for a Matroska file"),
    }
}

pub(crate) fn everything(movie: &Movie, payload: Payload, window: u64) -> WalkOptions {
    let index = index(movie);
    let start = index.first_cluster.unwrap_or(movie.len);
    WalkOptions { range: ByteRange::new(start, movie.len), tracks: Vec::new(), payload, window }
}

pub(crate) fn walk_counted(
    movie: &Movie,
    file: &Bytes,
    options: WalkOptions,
) -> Result<(Vec<Block>, Reads), ContainerError> {
    let mut blocks = Vec::new();
    let reads_max = file.len() * 4 + 64;
    let reads = run(&mut BlockWalker::new(movie, options), file, reads_max, |item| match item {
        Walked::Block(block) => {
            blocks.push(block);
            false
        }
        Walked::End => true,
    })?;
    Ok((blocks, reads))
}

/// All blocks of a file, with their payloads, in one window.
pub(crate) fn walk(file: &Bytes) -> Vec<Block> {
    let movie = open(file.clone()).unwrap();
    walk_counted(&movie, file, everything(&movie, Payload::Whole, 8 << 20)).unwrap().0
}

/// `track pts sync payload` of each block, to compare with what was written.
pub(crate) fn seen(blocks: &[Block]) -> Vec<(usize, i64, bool, String)> {
    let text =
        |block: &Block| String::from_utf8_lossy(block.data.as_deref().unwrap_or_default()).into_owned();
    blocks.iter().map(|b| (b.track, b.sample.pts, b.sample.sync, text(b))).collect()
}
