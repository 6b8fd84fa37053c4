//! The one pass that decides whether bytes are bencode. What it lets through, `value` walks without looking twice.

use crate::Value;

/// How deep lists and dictionaries may lie in one another by default: a torrent's v2 file tree is as deep as its folders.
pub const DEPTH_MAX: usize = 100;

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The input ends within a value.
    #[error("the input ends within a value")]
    Truncated,
    /// A byte that begins no value.
    #[error("byte 0x{0:02x} begins no value")]
    Unexpected(u8),
    /// Digits that are no canonical number: none, a leading zero, `-0`.
    #[error("a number is not canonical")]
    Number,
    /// A number past 64 bits, signed.
    #[error("a number does not fit 64 bits")]
    Overflow,
    /// A dictionary key that is no byte string.
    #[error("a dictionary key is no byte string")]
    Key,
    /// A key without a value.
    #[error("a dictionary key has no value")]
    NoValue,
    /// Keys out of order, where order was asked for.
    #[error("dictionary keys are not sorted")]
    Unsorted,
    /// The same key twice running.
    #[error("a dictionary key is there twice")]
    Duplicate,
    /// Nested deeper than allowed.
    #[error("values nest deeper than {0}")]
    Depth(usize),
    /// More bytes than allowed.
    #[error("the input is longer than {0} bytes")]
    Size(usize),
    /// Bytes after the value.
    #[error("bytes follow the value")]
    Trailing,
}

/// A fault and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bencode: at byte {offset}: {problem}")]
pub struct Error {
    /// The byte of the input at which it was noticed.
    pub offset: usize,
    /// What it is.
    pub problem: Problem,
}

/// How to read: limits, and whether keys must be sorted.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    depth_max: usize,
    bytes_max: usize,
    sorted: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// What is open while the input is walked.
enum Open<'a> {
    List,
    /// With the key last read, and whether its value is still to come.
    Dict {
        last: Option<&'a [u8]>,
        value_wanted: bool,
    },
}

impl Decoder {
    /// Keys in any order, [`DEPTH_MAX`], input of any length.
    #[must_use]
    pub fn new() -> Self {
        Self { depth_max: DEPTH_MAX, bytes_max: usize::MAX, sorted: false }
    }

    /// Refuses dictionaries whose keys are not sorted, or there twice (BEP 3).
    #[must_use]
    pub fn sorted_keys(self) -> Self {
        Self { sorted: true, ..self }
    }

    /// Refuses values that nest deeper.
    #[must_use]
    pub fn depth_max(self, depth_max: usize) -> Self {
        Self { depth_max, ..self }
    }

    /// Refuses longer input before it is looked at.
    #[must_use]
    pub fn bytes_max(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// Reads one value that is all of `bytes`.
    ///
    /// # Errors
    /// [`Error`] with the place of the first fault.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Value<'a>, Error> {
        let (value, rest) = self.decode_prefix(bytes)?;
        if rest.is_empty() {
            return Ok(value);
        }
        Err(Error { offset: value.raw().len(), problem: Problem::Trailing })
    }

    /// Reads one value that `bytes` begin with, and gives what follows it.
    ///
    /// # Errors
    /// [`Error`] with the place of the first fault.
    pub fn decode_prefix<'a>(&self, bytes: &'a [u8]) -> Result<(Value<'a>, &'a [u8]), Error> {
        if bytes.len() > self.bytes_max {
            return Err(Error { offset: self.bytes_max, problem: Problem::Size(self.bytes_max) });
        }
        let mut at = 0;
        let end = self.walk(bytes, &mut at).map_err(|problem| Error { offset: at, problem })?;
        let (raw, rest) = bytes.split_at(end);
        Ok((Value::checked(raw), rest))
    }

    /// Walks one value from `at`; where it ends. On a fault `at` is its place.
    fn walk(&self, bytes: &[u8], at: &mut usize) -> Result<usize, Problem> {
        // At most `depth_max` of them, whatever the input says.
        let mut open: Vec<Open<'_>> = Vec::new();
        loop {
            let byte = *bytes.get(*at).ok_or(Problem::Truncated)?;
            if let Some(Open::Dict { value_wanted: false, last }) = open.last_mut()
                && byte != b'e'
            {
                if !byte.is_ascii_digit() {
                    return Err(Problem::Key);
                }
                let (key, next) = string(bytes, *at)?;
                if self.sorted
                    && let Some(last) = last
                    && *last >= key
                {
                    return Err(if *last == key { Problem::Duplicate } else { Problem::Unsorted });
                }
                *at = next;
                *open.last_mut().ok_or(Problem::Key)? = Open::Dict { last: Some(key), value_wanted: true };
                continue;
            }
            match byte {
                b'i' => *at = integer(bytes, *at)?.1,
                b'0'..=b'9' => *at = string(bytes, *at)?.1,
                b'l' | b'd' => {
                    if open.len() >= self.depth_max {
                        return Err(Problem::Depth(self.depth_max));
                    }
                    open.push(match byte {
                        b'l' => Open::List,
                        _ => Open::Dict { last: None, value_wanted: false },
                    });
                    *at += 1;
                    continue;
                }
                b'e' => {
                    if let Some(Open::Dict { value_wanted: true, .. }) = open.last() {
                        return Err(Problem::NoValue);
                    }
                    open.pop().ok_or(Problem::Unexpected(byte))?;
                    *at += 1;
                }
                other => return Err(Problem::Unexpected(other)),
            }
            // A value just ended.
            match open.last_mut() {
                None => return Ok(*at),
                Some(Open::Dict { value_wanted, .. }) => *value_wanted = false,
                Some(Open::List) => {}
            }
        }
    }
}

/// The canonical decimal number that `bytes` have from `at` to the first byte `end`; and where the byte after `end` is.
fn number(bytes: &[u8], at: usize, end: u8) -> Result<(u64, usize), Problem> {
    // 2^64 has 20 digits, so that the search for the end is bounded.
    let rest = bytes.get(at..).unwrap_or_default();
    let digits = rest.iter().take(21).take_while(|byte| byte.is_ascii_digit()).count();
    let (first, after) = (rest.first(), rest.get(digits));
    match (digits, first, after) {
        (21.., ..) => return Err(Problem::Overflow),
        (_, _, None) => return Err(Problem::Truncated),
        (_, _, Some(after)) if *after != end => return Err(Problem::Number),
        (0, ..) | (2.., Some(b'0'), _) => return Err(Problem::Number),
        _ => {}
    }
    let value = rest[..digits].iter().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|value| *value <= 1 << 63)
    });
    Ok((value.ok_or(Problem::Overflow)?, at + digits + 1))
}

/// The integer whose `i` is at `at`, and where the byte after its `e` is.
pub(crate) fn integer(bytes: &[u8], at: usize) -> Result<(i64, usize), Problem> {
    if bytes.get(at + 1) != Some(&b'-') {
        let (value, next) = number(bytes, at + 1, b'e')?;
        return Ok((i64::try_from(value).map_err(|_| Problem::Overflow)?, next));
    }
    let (value, next) = number(bytes, at + 2, b'e')?;
    match value {
        0 => Err(Problem::Number),
        value => Ok((0i64.checked_sub_unsigned(value).ok_or(Problem::Overflow)?, next)),
    }
}

/// The byte string whose length begins at `at`, and where the byte after it is.
pub(crate) fn string(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Problem> {
    let (length, start) = number(bytes, at, b':')?;
    let length = usize::try_from(length).map_err(|_| Problem::Truncated)?;
    let end = start.checked_add(length).ok_or(Problem::Truncated)?;
    Ok((bytes.get(start..end).ok_or(Problem::Truncated)?, end))
}

/// Where the value of checked bytes that begins at `at` ends.
pub(crate) fn skip(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'l' | b'd' => (depth, at) = (depth + 1, at + 1),
            b'e' => (depth, at) = (depth.saturating_sub(1), at + 1),
            b'i' => at = integer(bytes, at).map_or(bytes.len(), |(_, next)| next),
            _ => at = string(bytes, at).map_or(bytes.len(), |(_, next)| next),
        }
        if depth == 0 {
            break;
        }
    }
    at
}
