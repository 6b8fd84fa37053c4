//! Edit lists: what they move, what they hide, and what is too much for us.

use container::Movie;

use crate::writer::{TestSample, TestTrack, film, film_with, index, open, times};

const ONE: u32 = 0x1_0000;

/// Ten frames of 100 ticks in a movie of as many ticks a second.
fn edited(edits: &[(u64, i64, u32)]) -> Movie {
    let samples = vec![TestSample::default(); 10];
    let track = TestTrack { edits: edits.to_vec(), ..TestTrack::video(samples) };
    open(&film(&[track])).unwrap()
}

fn hidden(movie: &Movie) -> Vec<bool> {
    index(movie).tables[0].iter().map(|sample| sample.hidden).collect()
}

#[test]
fn an_empty_edit_delays_and_a_media_time_advances() {
    let movie = edited(&[(250, -1, ONE), (1_000, 100, ONE)]);
    assert_eq!(times(&movie, 0)[..3], [150, 250, 350]);
    assert_eq!(hidden(&movie)[..3], [true, false, false]);
    assert!(!index(&movie).edits_simplified);
}

#[test]
fn version_1_is_read_alike() {
    let track = TestTrack {
        edits: vec![(1 << 40, -1, ONE), (1_000, 100, ONE)],
        edits_version: 1,
        ..TestTrack::video(vec![TestSample::default(); 4])
    };
    let movie = open(&film(&[track])).unwrap();
    assert_eq!(times(&movie, 0)[0], (1 << 40) - 100);
}

#[test]
fn the_list_is_in_ticks_of_the_movie_and_of_the_track() {
    let track = TestTrack {
        timescale: 48_000,
        edits: vec![(10, -1, ONE), (0, 1_024, ONE)],
        ..TestTrack::audio(vec![TestSample { duration: 1_024, ..TestSample::default() }; 4])
    };
    let movie = open(&film(&[track])).unwrap();
    assert_eq!(times(&movie, 0)[..2], [480 - 1_024, 480]);
    assert!(hidden(&movie).iter().all(|hidden| !hidden), "priming is kept");
}

#[test]
fn a_picture_that_the_list_cuts_in_two_is_hidden() {
    let movie = edited(&[(1_000, 130, ONE)]);
    assert_eq!(times(&movie, 0)[..3], [-130, -30, 70]);
    assert_eq!(hidden(&movie)[..3], [true, true, false]);
}

#[test]
fn a_media_time_off_by_one_movie_tick_hides_nothing() {
    assert!(hidden(&edited(&[(1_000, 1, ONE)])).iter().all(|hidden| !hidden));
}

#[test]
fn samples_after_the_edit_are_not_in_the_table() {
    let movie = edited(&[(500, 100, ONE)]);
    assert_eq!(times(&movie, 0), [-100, 0, 100, 200, 300, 400]);
    assert_eq!(index(&movie).durations[0], 1_000);
}

#[test]
fn a_reference_frame_after_the_edit_stays_for_what_needs_it() {
    let compositions = [0, 200, -100, -100];
    let samples = compositions.map(|composition| TestSample { composition, ..TestSample::default() });
    let track = TestTrack { edits: vec![(300, 0, ONE)], ..TestTrack::video(samples.to_vec()) };
    let movie = open(&film(&[track])).unwrap();
    assert_eq!(times(&movie, 0), [0, 300, 100, 200]);
}

#[test]
fn two_edits_that_join_are_one() {
    let movie = edited(&[(300, 200, ONE), (200, 500, ONE)]);
    assert_eq!(times(&movie, 0), [-200, -100, 0, 100, 200, 300, 400]);
    assert!(!index(&movie).edits_simplified);
}

#[test]
fn a_list_that_cuts_the_middle_out_is_marked_and_shows_everything_from_its_start() {
    let movie = edited(&[(200, 100, ONE), (200, 700, ONE)]);
    assert_eq!(times(&movie, 0).len(), 10);
    assert_eq!(times(&movie, 0)[0], -100);
    assert!(index(&movie).edits_simplified);
}

#[test]
fn another_speed_is_marked() {
    assert!(index(&edited(&[(1_000, 0, ONE / 2)])).edits_simplified);
}

#[test]
fn a_list_of_nothing_but_silence_shows_the_film_after_it() {
    assert_eq!(times(&edited(&[(40, -1, ONE)]), 0)[..2], [40, 140]);
}

#[test]
fn edits_of_monstrous_times_do_not_overflow() {
    for edit in [(u64::MAX, 0, ONE), (1, i64::MAX, ONE), (1 << 61, 1 << 61, ONE), (u64::MAX >> 3, -1, ONE)] {
        let track = TestTrack {
            edits: vec![edit, edit, edit],
            edits_version: 1,
            timescale: u32::MAX,
            ..TestTrack::video(vec![TestSample { composition: i32::MIN, ..TestSample::default() }; 4])
        };
        // Refused or read: either will do, without a panic.
        let _opened = open(&film_with(&[track], &[]).0);
    }
}
