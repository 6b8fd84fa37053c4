//! Fragmented files.

use bytes::Bytes;
use container::{ContainerError, mp4::TableSample};

use crate::writer::{
    TestSample, TestTrack, boxed, film_with, ftyp, full, index, joined, moov, open, times, words,
};

/// Default duration 100, size 10, not sync.
fn mvex() -> Vec<u8> {
    boxed(b"mvex", &full(b"trex", 0, 0, &words(&[1, 1, 100, 10, 0x0101_0000])))
}

fn start() -> Vec<u8> {
    joined(&[ftyp(), boxed(b"moov", &moov(&[TestTrack::video(Vec::new())], &[0], &mvex()))])
}

const BASE_IS_MOOF: u32 = 0x2_0000;
const DATA_OFFSET: u32 = 1;
const FIRST_FLAGS: u32 = 4;
const KEY: u32 = 0x0200_0000;

/// A `moof` of one `traf` with one `trun` of `count` samples with default everything, then its `mdat`.
fn fragment(decode_time: u64, count: u32) -> Vec<u8> {
    let traf = |offset: u32| {
        boxed(
            b"traf",
            &joined(&[
                full(b"tfhd", 0, BASE_IS_MOOF, &words(&[1])),
                full(b"tfdt", 1, 0, &decode_time.to_be_bytes()),
                full(b"trun", 0, DATA_OFFSET | FIRST_FLAGS, &words(&[count, offset, KEY])),
            ]),
        )
    };
    let moof = |offset| boxed(b"moof", &joined(&[full(b"mfhd", 0, 0, &words(&[1])), traf(offset)]));
    let offset = u32::try_from(moof(0).len() + 8).unwrap();
    joined(&[moof(offset), boxed(b"mdat", &vec![0; count as usize * 10])])
}

fn rows(file: &Bytes) -> Vec<TableSample> {
    index(&open(file).unwrap()).tables[0].to_vec()
}

#[test]
fn fragments_make_one_table() {
    let file: Bytes =
        joined(&[start(), fragment(0, 3), boxed(b"free", &[0; 9_000]), fragment(300, 2)]).into();
    let movie = open(&file).unwrap();
    assert_eq!(times(&movie, 0), [0, 100, 200, 300, 400]);
    let table = &index(&movie).tables[0];
    assert_eq!(table.iter().map(|s| s.sync).collect::<Vec<_>>(), [true, false, false, true, false]);
    assert_eq!(table[1].offset, table[0].offset + 10);
    assert!(index(&movie).fragmented && !index(&movie).truncated);
    assert_eq!(index(&movie).durations[0], 500);
    let rate = movie.tracks[0].video.as_ref().unwrap().frame_rate.unwrap();
    assert_eq!((rate.num, rate.den), (10, 1));
}

#[test]
fn a_gap_between_fragments_is_filled_by_the_frame_before_it() {
    let rows = rows(&joined(&[start(), fragment(0, 2), fragment(1_000, 1)]).into());
    assert_eq!(
        rows.iter().map(|s| (s.pts, s.duration)).collect::<Vec<_>>(),
        [(0, 100), (100, 900), (1_000, 100)]
    );
}

#[test]
fn decode_times_that_step_back_are_kept_and_do_not_overflow() {
    let rows = rows(&joined(&[start(), fragment(5_000, 2), fragment(0, 2), fragment(1 << 60, 1)]).into());
    assert_eq!(rows.iter().map(|s| s.pts).collect::<Vec<_>>(), [5_000, 5_100, 0, 100, 1 << 60]);
}

#[test]
fn a_fragment_cut_short_ends_the_film_and_says_so() {
    let whole = joined(&[start(), fragment(0, 3), fragment(300, 3)]);
    let full = rows(&whole.clone().into()).len();
    assert_eq!(full, 6);
    let second = whole.len() - fragment(300, 3).len();
    for len in second + 1..whole.len() {
        let movie = open(&Bytes::copy_from_slice(&whole[..len])).unwrap();
        assert!(index(&movie).tables[0].len() < 6 && index(&movie).tables[0].len() >= 3, "at {len}");
        assert!(index(&movie).truncated || len < second + 8, "at {len}");
    }
}

#[test]
fn zeros_after_a_fragment_are_a_download_that_is_not_done() {
    let file = joined(&[start(), fragment(0, 3), vec![0; 100_000]]);
    let movie = open(&file.into()).unwrap();
    assert_eq!(times(&movie, 0).len(), 3);
    assert!(index(&movie).truncated);
}

#[test]
fn samples_of_the_index_go_before_those_of_fragments() {
    let first = TestTrack::video(vec![TestSample::default(); 3]);
    let (file, _) = film_with(&[first], &mvex());
    let file = joined(&[file.to_vec(), fragment(300, 2)]);
    assert_eq!(times(&open(&file.into()).unwrap(), 0), [0, 100, 200, 300, 400]);
}

#[test]
fn fragments_without_an_index_are_not_supported() {
    let file = joined(&[boxed(b"styp", b"msdh\0\0\0\0"), fragment(0, 3)]);
    assert!(matches!(open(&file.into()), Err(ContainerError::Unsupported { .. })));
}

#[test]
fn a_run_of_more_samples_than_the_file_holds_is_cut() {
    let movie = open(&joined(&[start(), fragment(0, 3)]).into()).unwrap();
    assert!(!index(&movie).truncated);
    let mut file = joined(&[start(), fragment(0, 3)]);
    let at = file.windows(4).position(|w| w == b"trun").unwrap();
    file[at + 8..at + 12].copy_from_slice(&words(&[10_000_000]));
    let movie = open(&file.into()).unwrap();
    assert_eq!(times(&movie, 0).len(), 3);
    assert!(index(&movie).truncated);
}

#[test]
fn a_run_that_states_more_rows_than_it_holds_is_refused() {
    let mut file = joined(&[start(), fragment(0, 3)]);
    let at = file.windows(4).position(|w| w == b"trun").unwrap();
    file[at + 6] = 1; // durations per sample
    assert!(matches!(open(&file.into()), Err(ContainerError::Malformed { .. })));
}

#[test]
fn runs_without_offsets_lie_one_after_the_other() {
    let trun = |flags: u32, body: &[u32]| full(b"trun", 1, flags, &words(body));
    let traf = |offset: u32| {
        boxed(
            b"traf",
            &joined(&[
                full(b"tfhd", 0, BASE_IS_MOOF | 0x10, &words(&[1, 7])),
                trun(DATA_OFFSET | 0x800, &[2, offset, 50, 0xffff_ffce]),
                trun(0x200 | 0x400, &[2, 11, KEY, 12, 0x1_0000]),
            ]),
        )
    };
    let offset = u32::try_from(boxed(b"moof", &traf(0)).len() + 8).unwrap();
    let head = start();
    let at = head.len() as u64 + u64::from(offset);
    let file = joined(&[head, boxed(b"moof", &traf(offset)), boxed(b"mdat", &[0; 37])]);
    let rows = rows(&file.into());
    let found: Vec<_> = rows.iter().map(|s| (s.offset - at, s.size, s.pts, s.sync)).collect();
    assert_eq!(found, [(0, 7, 50, false), (7, 7, 50, false), (14, 11, 200, true), (25, 12, 300, false)]);
}
