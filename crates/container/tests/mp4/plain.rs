//! Plain files: sample tables in every form.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    ContainerError, Pull, PullParser,
    mp4::{self, TableSample},
};
use proptest::prelude::*;

use crate::writer::{
    TestSample, TestTrack, boxed, boxed_64, film, film_with, ftyp, full, index, moov, open, times, words,
};

/// The rows that a track's samples should come out as.
fn rows(track: &TestTrack, data: u64) -> Vec<TableSample> {
    let mut decode_time = 0i64;
    let offsets = track.offsets(data);
    let rows = track.samples.iter().zip(offsets).map(|(sample, offset)| {
        let pts = decode_time + i64::from(sample.composition);
        decode_time += i64::from(sample.duration);
        TableSample {
            offset,
            size: sample.size,
            pts,
            duration: sample.duration,
            sync: sample.sync,
            random_access: sample.random_access,
            hidden: false,
            description: u16::try_from(sample.description).unwrap(),
        }
    });
    rows.collect()
}

fn sample() -> impl Strategy<Value = TestSample> {
    (0u32..16, 0u32..500, prop_oneof![Just(0i32), -300i32..900], any::<bool>(), any::<bool>(), 0u32..3)
        .prop_map(|(size, duration, composition, sync, random_access, description)| TestSample {
            size,
            duration,
            composition,
            sync,
            random_access,
            description,
        })
}

fn track() -> impl Strategy<Value = TestTrack> {
    (
        prop::collection::vec(sample(), 1..80),
        prop::collection::vec(1usize..6, 1..4),
        any::<bool>(),
        prop_oneof![Just(0u32), Just(4), Just(8), Just(16)],
        0u8..2,
        any::<bool>(),
    )
        .prop_map(|(samples, per_chunk, co64, size_bits, ctts_version, runs)| TestTrack {
            per_chunk,
            co64,
            size_bits,
            ctts_version,
            runs,
            ..TestTrack::video(samples)
        })
}

proptest! {
    #[test]
    fn tables_come_back_as_they_were_written(first in track(), second in track()) {
        let tracks = [first, TestTrack { number: 2, ..second }];
        let (file, places) = film_with(&tracks, &[]);
        let movie = open(&file).unwrap();
        for (number, track) in tracks.iter().enumerate() {
            let table = &index(&movie).tables[number];
            prop_assert_eq!(&table[..], &rows(track, places[number])[..]);
            let total: u64 = track.samples.iter().map(|s| u64::from(s.duration)).sum();
            prop_assert_eq!(index(&movie).durations[number], total);
        }
        prop_assert!(!index(&movie).truncated);
    }
}

fn ten() -> Vec<TestSample> {
    vec![TestSample::default(); 10]
}

/// Opens, and gives what was asked for.
fn reads(file: &Bytes) -> Vec<ByteRange> {
    let mut opener = mp4::Opener::new(file.len() as u64);
    let mut reads = Vec::new();
    while let Pull::Need(range) = opener.poll().unwrap() {
        reads.push(range);
        assert!(reads.len() < 1_000, "asks without end");
        let place = usize::try_from(range.start()).unwrap()..usize::try_from(range.end()).unwrap();
        opener.feed(range, file.slice(place));
    }
    reads
}

#[test]
fn media_between_the_head_and_an_index_at_the_end_is_not_read() {
    let samples = vec![TestSample { size: 50_000, ..TestSample::default() }; 10];
    let file = film(&[TestTrack::video(samples)]);
    let reads = reads(&file);
    assert_eq!(reads[0], ByteRange::new(0, 4096));
    assert!(reads.iter().map(|r| r.len()).sum::<u64>() < 6_000, "{reads:?}");
    assert!(reads.iter().all(|r| r.start() == 0 || r.start() >= 500_000), "{reads:?}");
}

#[test]
fn a_small_index_at_the_front_takes_one_read() {
    let mut file = ftyp();
    file.extend(boxed(b"moov", &moov(&[TestTrack::video(ten())], &[2_000], &[])));
    file.extend(boxed(b"mdat", &vec![0; 10_000]));
    assert_eq!(reads(&file.into()).len(), 1);
}

#[test]
fn boxes_of_sixty_four_bit_sizes_are_hopped_over() {
    let track = TestTrack { co64: true, ..TestTrack::video(ten()) };
    let mut file = ftyp();
    let data = file.len() as u64 + 16;
    file.extend(boxed_64(b"mdat", &[0; 5_000]));
    file.extend(boxed_64(b"moov", &moov(std::slice::from_ref(&track), &[data], &[])));
    let movie = open(&file.into()).unwrap();
    assert_eq!(index(&movie).tables[0][..], rows(&track, data)[..]);
}

#[test]
fn a_moov_of_size_zero_runs_to_the_end_of_the_file() {
    let file = film(&[TestTrack::video(ten())]);
    let moov = file.windows(4).position(|w| w == b"moov").unwrap();
    let mut file = file.to_vec();
    file[moov - 4..moov].fill(0);
    assert_eq!(times(&open(&file.into()).unwrap(), 0).len(), 10);
}

#[test]
fn an_mdat_of_size_zero_with_no_index_before_it_is_a_truncated_file() {
    let mut file = ftyp();
    let at = file.len() as u64;
    file.extend([0, 0, 0, 0]);
    file.extend(b"mdat");
    file.extend([7; 100]);
    match open(&file.into()) {
        Err(ContainerError::Truncated { offset, .. }) => assert_eq!(offset, at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn several_mdats_wide_free_and_skip_are_passed_over() {
    let mut file = ftyp();
    for kind in [b"wide", b"mdat", b"free", b"mdat", b"skip", b"uuid"] {
        file.extend(boxed(kind, &[0; 30]));
    }
    file.extend(boxed(b"moov", &moov(&[TestTrack::video(ten())], &[30], &[])));
    assert_eq!(times(&open(&file.into()).unwrap(), 0).len(), 10);
}

#[test]
fn composition_offsets_are_signed_in_version_0_too() {
    let samples = [0, -100, 200, -2].map(|composition| TestSample { composition, ..TestSample::default() });
    for ctts_version in [0, 1] {
        let track = TestTrack { ctts_version, ..TestTrack::video(samples.to_vec()) };
        assert_eq!(times(&open(&film(&[track])).unwrap(), 0), [0, 0, 400, 298]);
    }
}

#[test]
fn without_a_sync_table_every_sample_is_a_keyframe() {
    let movie = open(&film(&[TestTrack::video(ten())])).unwrap();
    assert!(index(&movie).tables[0].iter().all(|sample| sample.sync));
}

#[test]
fn partial_sync_samples_are_random_access_points() {
    let mut samples = ten();
    for (number, sample) in samples.iter_mut().enumerate() {
        sample.sync = number == 0;
    }
    let file = film(&[TestTrack::video(samples)]).to_vec();
    // Turns the table of sync samples into one of partial sync samples.
    let at = file.windows(4).position(|w| w == b"stss").unwrap();
    let mut file = file;
    file[at..at + 4].copy_from_slice(b"stps");
    let movie = open(&file.into()).unwrap();
    let marks: Vec<_> = index(&movie).tables[0].iter().map(|s| s.random_access).collect();
    assert_eq!(marks.iter().filter(|mark| **mark).count(), 1);
    assert!(marks[0]);
}

#[test]
fn a_constant_duration_gives_the_frame_rate() {
    let samples = vec![TestSample { duration: 1_001, ..TestSample::default() }; 5];
    let track = TestTrack { timescale: 24_000, ..TestTrack::video(samples) };
    let movie = open(&film(&[track])).unwrap();
    let track = &movie.tracks[0];
    let rate = track.video.as_ref().unwrap().frame_rate.unwrap();
    assert_eq!((rate.num, rate.den), (24_000, 1_001));
    assert_eq!(track.default_duration_ns, Some(41_708_333));
}

#[test]
fn samples_past_the_end_of_a_truncated_file_are_not_in_the_table() {
    let mut file = ftyp();
    let data = 2_000;
    file.extend(boxed(b"moov", &moov(&[TestTrack::video(ten())], &[data], &[])));
    file.resize(2_035, 0);
    let movie = open(&file.into()).unwrap();
    // 30 bytes in the first chunk, one between, 10 in the second.
    assert_eq!(index(&movie).tables[0].len(), 3);
    assert_eq!(index(&movie).durations[0], 300);
    assert!(index(&movie).truncated);
}

#[test]
fn uncompressed_sound_comes_in_runs() {
    let samples = vec![TestSample { size: 4, duration: 1, ..TestSample::default() }; 5_000];
    let entry = crate::writer::audio_entry(b"sowt", 2, 16, 44_100, &[]);
    let track = TestTrack {
        entries: vec![entry],
        per_chunk: vec![3_000],
        timescale: 44_100,
        ..TestTrack::audio(samples)
    };
    let (file, places) = film_with(&[track], &[]);
    let movie = open(&file).unwrap();
    let found: Vec<_> =
        index(&movie).tables[0].iter().map(|s| (s.offset - places[0], s.size, s.pts, s.duration)).collect();
    assert_eq!(
        found,
        [
            (0, 4_096, 0, 1_024),
            (4_096, 4_096, 1_024, 1_024),
            (8_192, 3_808, 2_048, 952),
            (12_001, 4_096, 3_000, 1_024),
            (16_097, 3_904, 4_024, 976)
        ]
    );
}

#[test]
fn a_compressed_index_is_not_supported() {
    let mut file = ftyp();
    file.extend(boxed(b"moov", &boxed(b"cmov", &[0; 40])));
    assert!(matches!(open(&file.into()), Err(ContainerError::Unsupported { .. })));
}

#[test]
fn what_is_wrong_with_a_timecode_track_is_nobodys_loss() {
    let broken = TestTrack { number: 2, handler: *b"tmcd", ..TestTrack::video(ten()) };
    let mut trak = broken.trak(40);
    let stts = trak.windows(4).position(|w| w == b"stsc").unwrap();
    trak[stts + 12..stts + 16].copy_from_slice(&words(&[0]));
    let (file, _) = film_with(&[TestTrack::video(ten())], &trak);
    let movie = open(&file).unwrap();
    assert_eq!(index(&movie).tables.iter().map(|t| t.len()).collect::<Vec<_>>(), [10, 0]);
}

#[test]
fn a_foreign_full_box_in_the_sample_table_is_passed_over() {
    let extra = full(b"cslg", 0, 0, &words(&[0; 5]));
    let (file, _) = film_with(&[TestTrack::video(ten())], &extra);
    assert_eq!(times(&open(&file).unwrap(), 0).len(), 10);
}

#[test]
fn the_first_bytes_that_tell_the_container_are_not_asked_for_again() {
    let file = film(&[TestTrack::video(vec![TestSample { size: 50_000, ..TestSample::default() }; 50])]);
    let mut opener = container::MovieOpener::new(file.len() as u64);
    let mut reads = Vec::new();
    while let Pull::Need(range) = opener.poll().unwrap() {
        reads.push(range);
        let place = usize::try_from(range.start()).unwrap()..usize::try_from(range.end()).unwrap();
        opener.feed(range, file.slice(place));
    }
    assert_eq!(reads.len(), 2, "head and index: {reads:?}");
}
