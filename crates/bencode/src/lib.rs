//! Strict, borrowing bencode (BEP 3): values that remember which bytes they were read from.
//!
//! [`decode`] checks the whole input once, without recursion and without allocating for what it holds; a [`Value`] is then
//! a checked span of it, and lists and dictionaries are read from their spans as they are walked. An info-hash is of the
//! bytes received: [`Value::raw`].
//!
//! **What is strict:** integers and lengths have no leading zero, no `-0`, no sign, and fit 64 bits; keys are byte strings;
//! nothing nests deeper than [`DEPTH_MAX`]. **What is not, unless asked** ([`Decoder::sorted_keys`]): the order of keys. BEP
//! 3 wants them sorted and unique, but torrents and tracker answers that are not are in use, so by default any order is taken
//! and the first of equal keys counts, as in libtorrent.
//!
//! What the values mean is for others: `metainfo`, `peer-wire`, `tracker-proto`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod check;
mod encode;
mod value;

pub use check::{DEPTH_MAX, Decoder, Error, Problem};
pub use encode::{DictWriter, ListWriter, encode_dict, encode_list};
pub use value::{Dict, DictIter, Item, List, ListIter, Value};

/// Reads one value that is all of `bytes`; keys in any order.
///
/// # Errors
/// [`Error`] with the place of the first fault, trailing bytes included.
pub fn decode(bytes: &[u8]) -> Result<Value<'_>, Error> {
    Decoder::new().decode(bytes)
}

/// Reads one value that `bytes` begin with, and gives what follows it: a `ut_metadata` message is a dictionary and then raw
/// bytes (BEP 9).
///
/// # Errors
/// [`Error`] with the place of the first fault.
pub fn decode_prefix(bytes: &[u8]) -> Result<(Value<'_>, &[u8]), Error> {
    Decoder::new().decode_prefix(bytes)
}
