//! Parsers that name the bytes they need next, and two drivers for them.
//!
//! Calling order: [`PullParser::poll`]; on [`Pull::Need`], fetch exactly that range (it never ends past the file) and
//! hand it to [`PullParser::feed`]; poll again. After [`Pull::Item`], a parser of many items is polled again, a
//! parser of one is dropped. A parser that was fed what it asked for always makes progress: it never asks for the same
//! range twice running.

use byte_source::{ByteRange, ByteSource};
use bytes::Bytes;

use crate::ContainerError;

/// What a parser says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull<T> {
    /// These bytes, please.
    Need(ByteRange),
    /// Here is something.
    Item(T),
}

/// A parser without a source.
pub trait PullParser {
    /// What comes out.
    type Item;

    /// Goes as far as the bytes fed so far allow.
    ///
    /// # Errors
    /// [`ContainerError`] names the format, the offset and what is wrong; the parser is then of no further use.
    fn poll(&mut self) -> Result<Pull<Self::Item>, ContainerError>;

    /// Takes the bytes of the range last asked for.
    fn feed(&mut self, range: ByteRange, bytes: Bytes);
}

/// Runs `parser` on `source` until it gives an item.
///
/// # Errors
/// The parser's, or the source's as [`ContainerError::Source`].
///
/// # Cancel safety
/// Safe: what was fed stays in the parser.
pub async fn drive<P: PullParser>(
    parser: &mut P,
    source: &dyn ByteSource,
) -> Result<P::Item, ContainerError> {
    let mut last = None;
    loop {
        match parser.poll()? {
            Pull::Item(item) => return Ok(item),
            Pull::Need(range) => {
                progress(&mut last, range)?;
                let bytes = match source.try_read_at(range) {
                    Some(answer) => answer?,
                    None => source.read_at(range).await?,
                };
                parser.feed(range, bytes);
            }
        }
    }
}

/// Runs `parser` on bytes in memory until it gives an item. For tests and fuzzing.
///
/// # Errors
/// The parser's.
pub fn drive_memory<P: PullParser>(parser: &mut P, file: &Bytes) -> Result<P::Item, ContainerError> {
    let mut last = None;
    loop {
        match parser.poll()? {
            Pull::Item(item) => return Ok(item),
            Pull::Need(range) => {
                progress(&mut last, range)?;
                let len = file.len() as u64;
                let (Ok(start), Ok(end)) = (usize::try_from(range.start()), usize::try_from(range.end()))
                else {
                    return Err(byte_source::SourceError::OutOfBounds { range, len }.into());
                };
                if end > file.len() {
                    return Err(byte_source::SourceError::OutOfBounds { range, len }.into());
                }
                parser.feed(range, file.slice(start..end));
            }
        }
    }
}

/// Notes what is asked for; the same twice running would go on for ever, and on a server for nobody.
fn progress(last: &mut Option<ByteRange>, range: ByteRange) -> Result<(), ContainerError> {
    if last.replace(range) == Some(range) {
        return Err(ContainerError::Stuck { range });
    }
    Ok(())
}
