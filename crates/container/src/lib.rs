//! Media containers: what is in a film file and where its bytes lie; and the files that players are sent.
//!
//! Readers ([`matroska`], [`mp4`]) are pull parsers (see [`pull`]): they name the byte range they need next, so the
//! same code works on memory, a disk and a swarm. Writers ([`write`]) turn samples into CMAF, MPEG-TS and WebVTT.
//! [`codec`] reads the codecs' own configuration records and makes codec strings (RFC 6381).
//!
//! Where segments begin and end is decided in `packager`. Decodes no picture and no sound; opens nothing; knows no
//! clock. Every byte that comes in is hostile: sizes, counts and depths have named limits ([`limits`]).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod codec;
pub mod error;
pub mod language;
pub mod limits;
pub mod matroska;
pub mod movie;
pub mod mp4;
pub mod pull;
pub mod sample;
pub mod subtitle;
pub mod time;
pub mod track;
pub mod write;

pub use error::{ContainerError, Format};
pub use movie::{Attachment, Chapter, Index, Movie, MovieOpener};
pub use pull::{Pull, PullParser};
pub use sample::{Sample, SampleRef};
pub use time::Timescale;
pub use track::{AudioInfo, ColorInfo, Rational, Track, TrackFlags, TrackKind, VideoInfo};
