//! Damaged films, planned and cut: an error or a film, never a panic, never without end.
//!
//! Films come from `tests/fixtures/make.sh`; without them these tests say so and pass. `HEADWATER_MUTANTS` sets how many
//! of each film are made.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and says what it skips"
)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use container::{MovieOpener, Pull, PullParser, TrackKind};
use packager::{
    Cutter, PlanOptions, Planner, RenditionId, SegmentFormat, SegmentIndex, cmaf_layout, init_segment,
    playlist::{self, MasterOptions},
    subtitles::{SubtitleForm, SubtitleMaker},
    ts_segment,
};

/// Reads that a film of this size may cost at most: each is some bytes on, or the parser goes round in circles.
const STEPS_MAX: usize = 200_000;

fn drive<P: PullParser>(parser: &mut P, file: &Bytes) -> Option<P::Item> {
    for _ in 0..STEPS_MAX {
        match parser.poll().ok()? {
            Pull::Item(item) => return Some(item),
            Pull::Need(range) => {
                let (start, end) = (range.start() as usize, range.end() as usize);
                assert!(end <= file.len() && start < end, "asked for {range} of {}", file.len());
                parser.feed(range, file.slice(start..end));
            }
        }
    }
    panic!("{STEPS_MAX} reads and no end");
}

fn play(file: &Bytes) -> Option<()> {
    let movie = drive(&mut MovieOpener::new(file.len() as u64), file)?;
    let planned = drive(&mut Planner::new(movie, PlanOptions::default()), file)?;
    for format in [SegmentFormat::Fmp4, SegmentFormat::Ts] {
        let _ = playlist::multivariant(&planned, &MasterOptions { format, codecs: None });
    }
    let _ = packager::dash::manifest(&planned, &MasterOptions::default());
    let audio = planned.of_kind(TrackKind::Audio).count();
    let renditions =
        [RenditionId::Source, RenditionId::IFrames].into_iter().chain((0..audio).map(RenditionId::Audio));
    for rendition in renditions {
        let Ok(segments) = planned.segments(rendition) else { continue };
        let _ =
            (init_segment(&planned, rendition), playlist::media(&planned, rendition, SegmentFormat::Fmp4));
        let last = segments.len() as u32 - 1;
        for index in [0, last / 2, last].map(SegmentIndex::new) {
            let _ = drive(&mut Cutter::new(&planned, rendition, index).unwrap(), file)
                .map(|cut| cmaf_layout(&cut));
            if let Some(mut cut) = drive(&mut Cutter::for_ts(&planned, rendition, index).unwrap(), file) {
                for range in cut.missing() {
                    cut.fill(range, &file.slice(range.start() as usize..range.end() as usize));
                }
                let _ = ts_segment(&planned, &cut);
            }
        }
    }
    for n in 0..planned.of_kind(TrackKind::Subtitle).count() {
        for form in [SubtitleForm::WholeVtt, SubtitleForm::Segment(SegmentIndex::new(0), SegmentFormat::Ts)] {
            if let Ok(mut maker) = SubtitleMaker::new(&planned, n, form) {
                let _ = drive(&mut maker, file);
            }
        }
    }
    Some(())
}

/// A small generator with a seed, so that what fails can be made again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

fn damage(film: &[u8], seed: u64) -> Bytes {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut film = film.to_vec();
    // Half of the damage falls where the structure is: the ends.
    for _ in 0..=chance.below(12) {
        let near = film.len().min(4_096);
        let at = match chance.below(4) {
            0 => chance.below(near),
            1 => film.len() - 1 - chance.below(near),
            _ => chance.below(film.len()),
        };
        match chance.below(4) {
            0 => film[at] = 0xff,
            1 => film[at] ^= 1 << chance.below(8),
            2 => film[at] = 0,
            _ => film[at] = chance.below(256) as u8,
        }
    }
    match chance.below(8) {
        0 => film.truncate(chance.below(film.len()).max(1)),
        1 => {
            let (from, len) = (chance.below(film.len()), chance.below(64));
            film.drain(from..(from + len).min(film.len()));
        }
        _ => {}
    }
    film.into()
}

fn folder() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures");
    std::env::var_os("HEADWATER_FIXTURES").map_or(default, PathBuf::from)
}

#[test]
fn damaged_films_are_played_or_refused() {
    let films = [
        "many-tracks.mkv",
        "live.mkv",
        "xiph-lacing.mkv",
        "many-tracks.mp4",
        "fragmented.mp4",
        "editlist.mp4",
    ];
    let count: u64 = std::env::var("HEADWATER_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    for name in films {
        let Ok(film) = std::fs::read(folder().join(name)) else {
            eprintln!("no {name} in {}: run tests/fixtures/make.sh", folder().display());
            continue;
        };
        for seed in 0..count {
            let damaged = damage(&film, seed);
            let done = std::panic::catch_unwind(|| play(&damaged));
            assert!(done.is_ok(), "{name} damaged with seed {seed}");
        }
    }
}
