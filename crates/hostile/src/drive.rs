//! Runs a pull parser on memory and holds it to the contract of `container::pull`.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{ContainerError, Pull, PullParser};

/// More conversations than any of the made films needs, by far: a parser that has more goes in circles.
const POLLS_MAX: usize = 200_000;

/// Bytes of a range of the file.
///
/// # Panics
/// When the range is not within the file.
pub(crate) fn slice(file: &Bytes, range: ByteRange) -> Bytes {
    let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    assert!(range.end() <= file.len() as u64, "asked for {range:?} of a file of {} bytes", file.len());
    file.slice(bound(range.start())..bound(range.end()))
}

/// Runs `parser` on `file` until it gives an item.
///
/// # Panics
/// When the parser asks for what is not there, for the same twice running, or without end.
pub(crate) fn drive<P: PullParser>(parser: &mut P, file: &Bytes) -> Result<P::Item, ContainerError> {
    let mut last = None;
    for _ in 0..POLLS_MAX {
        match parser.poll()? {
            Pull::Item(item) => return Ok(item),
            Pull::Need(range) => {
                assert!(last != Some(range), "asked for {range:?} twice running");
                last = Some(range);
                parser.feed(range, slice(file, range));
            }
        }
    }
    panic!("asked {POLLS_MAX} times without coming to an end");
}
