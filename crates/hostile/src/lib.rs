//! Everything that is done with a film's bytes between the disk and a player, on bytes that may be anything.
//!
//! One place for what the fuzz targets (`fuzz/`) and the mutation test run, so that what one finds the other replays.
//! An error is a fine answer; a panic, a parser that goes in circles and a read outside the file are not.

mod drive;
mod film;
mod mutate;
mod records;

pub use film::{Reached, film, walk};
pub use mutate::Mutator;
pub use records::{RECORDS, record};
