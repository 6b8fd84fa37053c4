//! Hostile and broken files: an error that names the offset, or what can be read; never a panic, never a huge
//! allocation, never a question without end.

use bytes::Bytes;
use container::{ContainerError, Format, mp4::fuzz_open};
use proptest::prelude::*;

use crate::writer::{
    TestSample, TestTrack, boxed, film, film_with, ftyp, index, joined, moov, mvhd, open, words,
};

fn ten() -> TestTrack {
    let mut samples = vec![TestSample::default(); 10];
    samples[3].sync = false;
    samples[4].composition = 50;
    samples[5].duration = 40;
    samples[6].size = 9;
    samples[7].random_access = true;
    TestTrack { edits: vec![(900, 50, 0x1_0000)], ..TestTrack::video(samples) }
}

/// The film with the 32-bit number at `skip` bytes after the name of box `kind` replaced.
fn patched(kind: &[u8; 4], skip: usize, number: u32) -> Bytes {
    let mut file = film(&[ten()]).to_vec();
    let at = file.windows(4).position(|w| w == kind).unwrap() + 4 + skip;
    file[at..at + 4].copy_from_slice(&words(&[number]));
    file.into()
}

#[test]
fn a_file_cut_at_any_byte_is_refused_or_read_without_a_panic() {
    let file = film(&[ten(), TestTrack::audio(vec![TestSample::default(); 4])]);
    for len in 0..file.len() {
        match open(&file.slice(..len)) {
            Err(ContainerError::Truncated { format: Format::Mp4, offset, .. }) => {
                assert!(offset <= len as u64)
            }
            other => panic!("cut at {len}: {other:?}"),
        }
    }
}

#[test]
fn a_film_with_its_index_first_cut_at_any_byte_keeps_the_samples_that_are_there() {
    let head = joined(&[ftyp(), boxed(b"moov", &moov(&[ten()], &[2_000], &[]))]);
    let mut file = head.clone();
    file.resize(2_200, 0);
    let file = Bytes::from(file);
    let mut before = 0;
    for len in head.len()..file.len() {
        let movie = open(&file.slice(..len)).unwrap();
        let rows = index(&movie).tables[0].len();
        assert!(
            rows >= before
                && index(&movie).tables[0].iter().all(|s| s.offset + u64::from(s.size) <= len as u64)
        );
        assert_eq!(index(&movie).truncated, rows < 10);
        before = rows;
    }
    assert_eq!(before, 10);
}

#[test]
fn counts_that_the_box_does_not_hold_are_refused_with_the_offset() {
    for kind in [b"stts", b"ctts", b"stsc", b"stco", b"stss"] {
        let file = patched(kind, 4, u32::MAX);
        let at = file.windows(4).position(|w| w == kind).unwrap() as u64;
        match open(&file) {
            Err(ContainerError::Malformed { offset, what, .. }) => {
                assert_eq!(offset, at + 12, "{what}");
                assert!(what.contains("4294967295"), "{what}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(open(&patched(b"stsz", 8, u32::MAX)), Err(ContainerError::Malformed { .. })));
    assert!(matches!(open(&patched(b"elst", 4, u32::MAX)), Err(ContainerError::Limit { .. })));
}

#[test]
fn a_constant_size_with_a_count_of_two_to_the_32_is_held_to_the_file() {
    let mut samples = vec![TestSample { size: 1, ..TestSample::default() }; 10];
    samples[0].duration = 7;
    let file = film(&[TestTrack { per_chunk: vec![10], ..TestTrack::video(samples) }]);
    let mut file = file.to_vec();
    for (kind, skip) in [(b"stsz", 8), (b"stsc", 12)] {
        let at = file.windows(4).position(|w| w == kind).unwrap() + 4 + skip;
        file[at..at + 4].copy_from_slice(&words(&[u32::MAX]));
    }
    let len = file.len();
    let movie = open(&file.into()).unwrap();
    assert!(index(&movie).tables[0].len() <= len);
    assert!(index(&movie).truncated);
}

#[test]
fn a_sample_size_past_the_limit_is_refused() {
    let file = patched(b"stsz", 12, u32::MAX);
    assert!(matches!(open(&file), Err(ContainerError::Limit { value: 0xffff_ffff, .. })));
}

#[test]
fn chunks_out_of_order_in_stsc_are_refused() {
    for first in [0, 7] {
        let file = patched(b"stsc", 8, first);
        assert!(matches!(open(&file), Err(ContainerError::Malformed { .. })), "first chunk {first}");
    }
}

#[test]
fn chunks_that_hold_no_sample_or_too_many_are_survived() {
    assert!(index(&open(&patched(b"stsc", 12, 0)).unwrap()).truncated);
    assert!(open(&patched(b"stsc", 12, u32::MAX)).is_ok());
}

#[test]
fn a_timescale_of_zero_is_refused() {
    assert!(matches!(open(&patched(b"mdhd", 12, 0)), Err(ContainerError::Malformed { .. })));
    assert!(matches!(open(&patched(b"mvhd", 12, 0)), Err(ContainerError::Malformed { .. })));
}

#[test]
fn a_box_larger_than_its_parent_is_refused_by_name() {
    let mut file = film(&[ten()]).to_vec();
    let at = file.windows(4).position(|w| w == b"stbl").unwrap();
    file[at - 4..at].copy_from_slice(&words(&[0x00ff_ffff]));
    let error = open(&file.into()).unwrap_err().to_string();
    assert!(error.contains("mp4 at byte"), "{error}");
}

#[test]
fn boxes_nested_a_million_deep_are_not_followed() {
    let mut inner = Vec::new();
    for _ in 0..2_000 {
        inner = boxed(b"udta", &boxed(b"meta", &boxed(b"wave", &inner)));
    }
    let (file, _) = film_with(&[ten()], &inner);
    assert!(open(&file).is_ok());
}

#[test]
fn more_tracks_than_the_limit_are_refused() {
    let tracks = vec![TestTrack::video(Vec::new()); 300];
    assert!(matches!(open(&film(&tracks)), Err(ContainerError::Limit { limit: 256, .. })));
}

#[test]
fn an_endless_list_of_empty_boxes_is_refused() {
    let mut file = ftyp();
    file.extend(boxed(b"free", &[]).repeat(1_000_010));
    assert!(matches!(open(&file.into()), Err(ContainerError::Limit { .. })));
}

#[test]
fn a_moov_larger_than_the_limit_is_refused_before_it_is_read() {
    let mut file = ftyp();
    file.extend([0, 0, 0, 1]);
    file.extend(b"moov");
    file.extend((300u64 << 20).to_be_bytes());
    let mut opener = container::mp4::Opener::new(1 << 40);
    let container::Pull::Need(range) = container::PullParser::poll(&mut opener).unwrap() else {
        panic!("an item")
    };
    file.resize(4_096, 0);
    container::PullParser::feed(&mut opener, range, file.into());
    assert!(matches!(container::PullParser::poll(&mut opener), Err(ContainerError::Limit { .. })));
}

#[test]
fn sizes_that_wrap_the_file_offset_are_refused() {
    let mut file = ftyp();
    file.extend([0, 0, 0, 1]);
    file.extend(b"mdat");
    file.extend(u64::MAX.to_be_bytes());
    file.extend([0; 64]);
    assert!(matches!(open(&file.into()), Err(ContainerError::Malformed { .. })));
}

#[test]
fn a_moov_without_tracks_has_none() {
    let file = joined(&[ftyp(), boxed(b"moov", &mvhd(1_000))]);
    assert!(open(&file.into()).unwrap().tracks.is_empty());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        fuzz_open(&bytes.into());
    }

    #[test]
    fn random_bytes_in_a_moov_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_open(&joined(&[ftyp(), boxed(b"moov", &joined(&[mvhd(1_000), boxed(b"trak", &bytes)]))]).into());
    }

    #[test]
    fn a_film_with_some_bytes_changed_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut file = film(&[ten(), TestTrack::audio(vec![TestSample::default(); 4])]).to_vec();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        fuzz_open(&file.into());
    }
}
