//! CMAF (ISO/IEC 23000-19 over ISO/IEC 14496-12): initialisation segments, and the header of a media segment.
//!
//! ```text
//! ftyp                                  what it is
//! moov mvhd                             §8.2
//!      trak tkhd                        §8.3.2   size, rotation
//!           mdia mdhd elng? hdlr        §8.4     timescale, language
//!                minf vmhd|smhd dinf
//!                     stbl stsd …       §8.5.2   the codec's configuration; sample tables are empty
//!      mvex trex                        §8.8.1   samples are in fragments
//!
//! styp                                  §8.16.2
//! moof mfhd                             §8.8.5
//!      traf tfhd tfdt trun              §8.8.7, §8.8.12, §8.8.8
//! mdat …                                the payload: not written here
//! ```
//!
//! A media segment's header depends on sizes and times only, so it is known before any payload is; the payload follows
//! as byte ranges of the source that this writer never touches. No edit list, no `sidx`, no creation times.

use bytes::Bytes;

use super::{
    boxes::BoxWriter,
    entry::SampleEntry,
    language::{packed, wants_extended},
};
use crate::{ContainerError, Timescale, Track, TrackKind, VideoInfo};

/// A track of an initialisation segment.
#[derive(Clone, Copy, Debug)]
pub struct InitTrack<'a> {
    /// What is in it.
    pub track: &'a Track,
    /// Its number in our files, from 1; the same as given to [`media_header`].
    pub track_id: u32,
    /// Unit of the times in its fragments; not always the source's.
    pub timescale: Timescale,
}

/// Initialisation segment (`ftyp`, `moov`): the same bytes whenever it is made.
///
/// # Errors
/// [`ContainerError::CannotCarry`] for a track that is neither video nor audio, whose codec has no CMAF binding, or
/// whose configuration is not complete.
pub fn init_segment(tracks: &[InitTrack<'_>]) -> Result<Bytes, ContainerError> {
    let entries = tracks.iter().map(|t| SampleEntry::new(t.track)).collect::<Result<Vec<_>, _>>()?;
    let mut w = BoxWriter::with_capacity(1024);
    w.boxed(*b"ftyp", |w| {
        w.bytes(b"iso6");
        w.u32(0);
        w.bytes(b"iso6mp41");
        if tracks.len() == 1 {
            // A CMAF track file holds exactly one track (23000-19 §7.3).
            w.bytes(b"cmfc");
        }
    });
    let next_track_id = tracks.iter().map(|t| t.track_id).max().unwrap_or(0).saturating_add(1);
    w.boxed(*b"moov", |w| {
        mvhd(w, next_track_id);
        for (track, entry) in tracks.iter().zip(&entries) {
            w.boxed(*b"trak", |w| trak(w, track, entry));
        }
        w.boxed(*b"mvex", |w| {
            for track in tracks {
                w.full(*b"trex", 0, 0, |w| {
                    w.u32(track.track_id);
                    w.u32(1);
                    w.zeros(12);
                });
            }
        });
    });
    Ok(w.finish().into())
}

const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

fn mvhd(w: &mut BoxWriter, next_track_id: u32) {
    w.full(*b"mvhd", 0, 0, |w| {
        w.zeros(8);
        w.u32(1000);
        w.u32(0);
        w.u32(0x1_0000);
        w.u16(0x0100);
        w.zeros(10);
        matrix(w, UNITY);
        w.zeros(24);
        w.u32(next_track_id);
    });
}

fn matrix(w: &mut BoxWriter, matrix: [u32; 9]) {
    for value in matrix {
        w.u32(value);
    }
}

fn trak(w: &mut BoxWriter, init: &InitTrack<'_>, entry: &SampleEntry<'_>) {
    const ENABLED_IN_MOVIE: u32 = 3;
    let track = init.track;
    let is_video = track.kind == TrackKind::Video;
    w.full(*b"tkhd", 0, ENABLED_IN_MOVIE, |w| {
        w.zeros(8);
        w.u32(init.track_id);
        w.zeros(4 + 4 + 8 + 2 + 2);
        w.u16(if is_video { 0 } else { 0x0100 });
        w.zeros(2);
        let display = track.video.as_ref().filter(|_| is_video).map(Display::of).unwrap_or_default();
        matrix(w, display.matrix);
        w.u32(display.width);
        w.u32(display.height);
    });
    w.boxed(*b"mdia", |w| {
        w.full(*b"mdhd", 0, 0, |w| {
            w.zeros(8);
            w.u32(init.timescale.get());
            w.u32(0);
            w.u16(packed(track.language.as_deref()));
            w.zeros(2);
        });
        if let Some(tag) = track.language.as_deref().filter(|tag| wants_extended(tag)) {
            w.full(*b"elng", 0, 0, |w| {
                w.bytes(tag.as_bytes());
                w.u8(0);
            });
        }
        w.full(*b"hdlr", 0, 0, |w| {
            w.zeros(4);
            w.bytes(if is_video { b"vide" } else { b"soun" });
            w.zeros(12 + 1);
        });
        w.boxed(*b"minf", |w| minf(w, is_video, entry));
    });
}

fn minf(w: &mut BoxWriter, is_video: bool, entry: &SampleEntry<'_>) {
    if is_video {
        w.full(*b"vmhd", 0, 1, |w| w.zeros(8));
    } else {
        w.full(*b"smhd", 0, 0, |w| w.zeros(4));
    }
    w.boxed(*b"dinf", |w| {
        w.full(*b"dref", 0, 0, |w| {
            w.u32(1);
            w.full(*b"url ", 0, 1, |_| {});
        });
    });
    w.boxed(*b"stbl", |w| {
        w.full(*b"stsd", 0, 0, |w| {
            w.u32(1);
            entry.write(w);
        });
        w.full(*b"stts", 0, 0, |w| w.u32(0));
        w.full(*b"stsc", 0, 0, |w| w.u32(0));
        w.full(*b"stsz", 0, 0, |w| w.zeros(8));
        w.full(*b"stco", 0, 0, |w| w.u32(0));
    });
}

/// Track header geometry: 16.16 size before rotation, and the matrix.
struct Display {
    width: u32,
    height: u32,
    matrix: [u32; 9],
}

impl Default for Display {
    fn default() -> Self {
        Self { width: 0, height: 0, matrix: UNITY }
    }
}

impl Display {
    fn of(video: &VideoInfo) -> Self {
        // Pixels that are not square widen or narrow the picture (§8.3.2.1), its height stays.
        let aspect = video.pixel_aspect.filter(|r| r.num > 0 && r.den > 0);
        let (num, den) = aspect.map_or((1, 1), |r| (u64::from(r.num), u64::from(r.den)));
        let fixed = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let width = fixed(u64::from(video.width.min(0xffff)) * 0x1_0000 * num / den);
        let height = video.height.min(0xffff) << 16;
        let minus = 0x1_0000_u32.wrapping_neg();
        // Rows (a b u) (c d v) (x y w): x' = ax + cy + x, y' = bx + dy + y. The last moves it back to the origin.
        let matrix = match video.rotation {
            90 => [0, 0x1_0000, 0, minus, 0, 0, height, 0, 0x4000_0000],
            180 => [minus, 0, 0, 0, minus, 0, width, height, 0x4000_0000],
            270 => [0, minus, 0, 0x1_0000, 0, 0, 0, width, 0x4000_0000],
            _ => UNITY,
        };
        Self { width, height, matrix }
    }
}

/// One sample of a media segment, as its header needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentSample {
    /// Bytes of payload.
    pub size: u32,
    /// Duration in ticks of the [`InitTrack::timescale`]; decode times advance by it.
    pub duration: u32,
    /// Presentation time minus decode time, in ticks; may be negative.
    pub composition_offset: i32,
    /// Whether decoding can start here. Audio: always.
    pub sync: bool,
}

/// `sample_depends_on` 2: an I picture. (§8.8.3.1)
const FLAGS_SYNC: u32 = 0x0200_0000;
/// `sample_depends_on` 1, `sample_is_non_sync_sample`.
const FLAGS_OTHER: u32 = 0x0101_0000;

/// `styp`: size, type, major, minor, four brands.
const STYP_LEN: usize = 8 + 8 + 4 * 4;
/// `moof` header, `mfhd`, `traf` header, `tfdt` version 1.
const MOOF_FIXED_LEN: usize = 8 + 16 + 8 + 20;
/// `tfhd` with flags and track, `trun` with flags, count and data offset.
const RUN_FIXED_LEN: usize = 16 + 20;

/// Which fields stand once in `tfhd` and which at each sample: a function of the samples alone.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// The duration of all samples, where it is one.
    duration: Option<u32>,
    size: Option<u32>,
    flags: FlagsShape,
    has_offsets: bool,
    payload: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlagsShape {
    /// All alike.
    Uniform(u32),
    /// The first is a sync sample, the others are not: one GOP.
    FirstSync,
    Each,
}

impl Shape {
    fn of(samples: &[FragmentSample]) -> Self {
        let first = samples.first();
        let all = |same: &dyn Fn(&FragmentSample, &FragmentSample) -> bool| {
            first.filter(|first| samples.iter().all(|s| same(s, first)))
        };
        let rest_sync = samples.iter().skip(1).filter(|s| s.sync).count();
        let rest = samples.len().saturating_sub(1);
        let flags = match first.is_none_or(|s| s.sync) {
            true if rest_sync == rest => FlagsShape::Uniform(FLAGS_SYNC),
            true if rest_sync == 0 => FlagsShape::FirstSync,
            false if rest_sync == 0 => FlagsShape::Uniform(FLAGS_OTHER),
            _ => FlagsShape::Each,
        };
        Self {
            duration: all(&|a, b| a.duration == b.duration).map(|s| s.duration),
            size: all(&|a, b| a.size == b.size).map(|s| s.size),
            flags,
            has_offsets: samples.iter().any(|s| s.composition_offset != 0),
            payload: samples.iter().map(|s| u64::from(s.size)).sum(),
        }
    }

    fn tfhd_flags(self) -> u32 {
        const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
        let mut flags = DEFAULT_BASE_IS_MOOF;
        flags |= if self.duration.is_some() { 0x08 } else { 0 };
        flags |= if self.size.is_some() { 0x10 } else { 0 };
        flags | if self.flags == FlagsShape::Each { 0 } else { 0x20 }
    }

    fn trun_flags(self) -> u32 {
        const DATA_OFFSET: u32 = 0x01;
        let mut flags = DATA_OFFSET;
        flags |= if self.flags == FlagsShape::FirstSync { 0x04 } else { 0 };
        flags |= if self.duration.is_none() { 0x100 } else { 0 };
        flags |= if self.size.is_none() { 0x200 } else { 0 };
        flags |= if self.flags == FlagsShape::Each { 0x400 } else { 0 };
        flags | if self.has_offsets { 0x800 } else { 0 }
    }

    fn mdat_header_len(self) -> usize {
        if self.payload + 8 > u64::from(u32::MAX) { 16 } else { 8 }
    }

    fn header_len(self, count: usize) -> usize {
        let defaults = (self.tfhd_flags() & 0x38).count_ones() as usize;
        let trun = self.trun_flags();
        let first = (trun & 0x04).count_ones() as usize;
        let each = (trun & 0xf00).count_ones() as usize;
        STYP_LEN
            + MOOF_FIXED_LEN
            + RUN_FIXED_LEN
            + 4 * (defaults + first + each * count)
            + self.mdat_header_len()
    }
}

/// Bytes that [`media_header`] gives for these samples: `styp`, `moof` and the header of `mdat`.
#[must_use]
pub fn media_header_len(samples: &[FragmentSample]) -> usize {
    Shape::of(samples).header_len(samples.len())
}

/// Everything of a media segment of one track that stands before its payload: `styp`, `moof`, and the header of `mdat`
/// (of 64 bits where the payload needs it). The samples' bytes have to follow, in this order, without a gap.
///
/// `sequence` is the fragment's number, from 1; `base_time` the first sample's decode time in ticks (`tfdt`).
#[must_use]
pub fn media_header(sequence: u32, track_id: u32, base_time: u64, samples: &[FragmentSample]) -> Bytes {
    let shape = Shape::of(samples);
    let mut w = BoxWriter::with_capacity(shape.header_len(samples.len()));
    w.boxed(*b"styp", |w| {
        w.bytes(b"msdh");
        w.u32(0);
        w.bytes(b"msdhiso6cmfscmff");
    });
    let moof = w.len();
    let mut data_offset_at = 0;
    w.boxed(*b"moof", |w| {
        w.full(*b"mfhd", 0, 0, |w| w.u32(sequence));
        w.boxed(*b"traf", |w| {
            w.full(*b"tfhd", 0, shape.tfhd_flags(), |w| {
                w.u32(track_id);
                shape.duration.into_iter().chain(shape.size).for_each(|value| w.u32(value));
                match shape.flags {
                    FlagsShape::Uniform(flags) => w.u32(flags),
                    FlagsShape::FirstSync => w.u32(FLAGS_OTHER),
                    FlagsShape::Each => {}
                }
            });
            w.full(*b"tfdt", 1, 0, |w| w.u64(base_time));
            w.full(*b"trun", 1, shape.trun_flags(), |w| {
                w.u32(u32::try_from(samples.len()).unwrap_or(u32::MAX));
                data_offset_at = w.len();
                w.u32(0);
                run(w, shape, samples);
            });
        });
    });
    let data_offset = w.len() - moof + shape.mdat_header_len();
    w.patch_u32(data_offset_at, u32::try_from(data_offset).unwrap_or(u32::MAX));
    if let (8, Ok(size)) = (shape.mdat_header_len(), u32::try_from(shape.payload + 8)) {
        w.u32(size);
        w.bytes(b"mdat");
    } else {
        w.u32(1);
        w.bytes(b"mdat");
        w.u64(shape.payload + 16);
    }
    w.finish().into()
}

fn run(w: &mut BoxWriter, shape: Shape, samples: &[FragmentSample]) {
    if shape.flags == FlagsShape::FirstSync {
        w.u32(FLAGS_SYNC);
    }
    for sample in samples {
        if shape.duration.is_none() {
            w.u32(sample.duration);
        }
        if shape.size.is_none() {
            w.u32(sample.size);
        }
        if shape.flags == FlagsShape::Each {
            w.u32(if sample.sync { FLAGS_SYNC } else { FLAGS_OTHER });
        }
        if shape.has_offsets {
            w.bytes(&sample.composition_offset.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
