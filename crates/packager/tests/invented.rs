//! Films that were never shot: sample tables with every pattern of pictures that chance finds, planned and cut.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test may panic, and its numbers are small"
)]

use bytes::Bytes;
use container::{
    AudioInfo, Format, Index, Movie, Timescale, Track, TrackFlags, TrackKind, VideoInfo,
    codec::CodecConfig,
    mp4::{Mp4Index, TableSample},
    pull::drive_memory,
};
use packager::{CutTrack, Cutter, PlanOptions, Planned, Planner, RenditionId, SegmentIndex};
use proptest::prelude::*;

const AUDIO_FRAME: i64 = 1_024;

fn track(kind: TrackKind, timescale: u32) -> Track {
    Track {
        number: 1,
        kind,
        codec: CodecConfig::Other { id: "made".to_owned(), private: Bytes::new() },
        timescale: Timescale::new(timescale).unwrap(),
        language: None,
        name: None,
        flags: TrackFlags::default(),
        video: (kind == TrackKind::Video).then(VideoInfo::default),
        audio: (kind == TrackKind::Audio)
            .then(|| AudioInfo { sample_rate: timescale, ..AudioInfo::default() }),
        default_duration_ns: None,
        codec_delay_ns: 0,
        strip_prefix: Bytes::new(),
        deflated: false,
    }
}

fn sample(n: usize, pts: i64, duration: u32, sync: bool) -> TableSample {
    TableSample {
        offset: n as u64,
        size: 1,
        pts,
        duration,
        sync,
        random_access: false,
        hidden: false,
        description: 0,
    }
}

/// Pictures in 24,000ths, drawn: `I` a keyframe, `P` a picture shown 41.7 ms after the last, `B` one shown before the
/// keyframe or picture that came before it.
fn pictures(drawing: &str, from: i64) -> Vec<TableSample> {
    let frame = 1_000i64;
    let drawn: Vec<char> = drawing.chars().collect();
    let mut samples = Vec::new();
    let (mut next, mut at) = (from, 0);
    while at < drawn.len() {
        // Those behind an anchor come before it on the screen.
        let behind = drawn[at + 1..].iter().take_while(|c| **c == 'B').count();
        samples.push(sample(samples.len(), next + behind as i64 * frame, 1_000, drawn[at] == 'I'));
        for n in 0..behind {
            samples.push(sample(samples.len(), next + n as i64 * frame, 1_000, false));
        }
        next += (behind as i64 + 1) * frame;
        at += behind + 1;
    }
    samples
}

fn sound(from: i64, count: usize) -> Vec<TableSample> {
    (0..count).map(|n| sample(n, from + n as i64 * AUDIO_FRAME, AUDIO_FRAME as u32, true)).collect()
}

fn film(video: Vec<TableSample>, audio: Vec<TableSample>) -> (Planned, Bytes) {
    let mut tracks = Vec::new();
    let mut tables = Vec::new();
    for (table, kind, timescale) in [(video, TrackKind::Video, 24_000), (audio, TrackKind::Audio, 48_000)] {
        if !table.is_empty() {
            tracks.push(track(kind, timescale));
            tables.push(table.into());
        }
    }
    let file = Bytes::from(vec![0; 100_000]);
    let movie = Movie {
        format: Format::Mp4,
        len: file.len() as u64,
        title: None,
        stated_duration_ns: None,
        tracks,
        chapters: Vec::new(),
        attachments: Vec::new(),
        index: Index::Mp4(Mp4Index { tables, ..Mp4Index::default() }),
    };
    let planned = drive_memory(&mut Planner::new(movie, PlanOptions::default()), &file).unwrap();
    (planned, file)
}

fn cut(planned: &Planned, file: &Bytes, rendition: RenditionId) -> Vec<CutTrack> {
    let count = planned.segments(rendition).unwrap().len() as u32;
    // From the end: a segment knows nothing of those before it.
    let mut all: Vec<CutTrack> = (0..count)
        .rev()
        .map(|n| {
            let mut cutter = Cutter::new(planned, rendition, SegmentIndex::new(n)).unwrap();
            drive_memory(&mut cutter, file).unwrap().tracks.remove(0)
        })
        .collect();
    all.reverse();
    all
}

/// Lengths of the segments, seconds.
fn lengths(planned: &Planned, rendition: RenditionId) -> Vec<f64> {
    let track = planned.rendition_track(rendition).unwrap();
    let scale = planned.plan.track(track).unwrap().timescale;
    planned.segments(rendition).unwrap().iter().map(|s| scale.seconds(s.duration as i64)).collect()
}

#[test]
fn pictures_shown_before_their_keyframe_belong_to_its_segment() {
    let gop = format!("I{}", "PBB".repeat(15) + "PP");
    let open = format!("IBB{}", "PBB".repeat(15));
    let (planned, file) = film(pictures(&(gop + &open.repeat(5)), 0), Vec::new());
    for track in cut(&planned, &file, RenditionId::Source) {
        assert_eq!(track.base_time as i64, track.samples.iter().map(|s| s.pts).min().unwrap());
        assert!(track.samples[0].sync);
    }
}

#[test]
fn one_picture_is_a_film() {
    let (planned, file) = film(pictures("I", 0), Vec::new());
    assert_eq!(cut(&planned, &file, RenditionId::Source)[0].samples.len(), 1);
    assert_eq!(lengths(&planned, RenditionId::Source), [1.0 / 24.0]);
}

#[test]
fn a_minute_without_a_keyframe_is_said_honestly() {
    let gop = format!("I{}", "P".repeat(24 * 60 - 1));
    let (planned, _) = film(pictures(&gop.repeat(2), 0), Vec::new());
    assert_eq!(lengths(&planned, RenditionId::Source), [60.0, 60.0]);
    assert_eq!(planned.plan.keyframes.longest_gap_ms, 60_000);
}

#[test]
fn pictures_before_the_first_keyframe_are_left_out() {
    let (planned, file) = film(pictures("PPPIPPPP", 0), Vec::new());
    assert_eq!(cut(&planned, &file, RenditionId::Source)[0].samples.len(), 5);
    assert!(planned.plan.warnings[0].contains("3 pictures before the first keyframe"));
}

#[test]
fn a_film_that_starts_late_or_below_zero_starts_at_zero() {
    for from in [-500, 0, 177_777] {
        let (planned, file) = film(pictures(&"IPPP".repeat(40), from), sound(from * 2 + 480, 300));
        assert_eq!(cut(&planned, &file, RenditionId::Source)[0].base_time, 0);
        assert_eq!(cut(&planned, &file, RenditionId::Audio(0))[0].base_time, 480);
    }
}

#[test]
fn sound_alone_is_cut_on_its_own_grid() {
    let (planned, file) = film(Vec::new(), sound(0, 1_500));
    assert!(planned.video().is_none());
    let tracks = cut(&planned, &file, RenditionId::Source);
    assert!(tracks.iter().all(|t| t.base_time % AUDIO_FRAME as u64 == 0));
    assert_eq!(tracks.iter().map(|t| t.samples.len()).sum::<usize>(), 1_500);
    assert!(lengths(&planned, RenditionId::Source).iter().all(|s| *s < 7.6));
}

#[test]
fn sound_goes_on_in_short_segments_when_the_pictures_are_over() {
    let (planned, file) = film(pictures(&"IPPP".repeat(30), 0), sound(0, 2_000));
    assert!(
        lengths(&planned, RenditionId::Audio(0)).iter().all(|s| *s < 10.1),
        "{:?}",
        planned.plan.intervals
    );
    let frames: usize = cut(&planned, &file, RenditionId::Audio(0)).iter().map(|t| t.samples.len()).sum();
    assert_eq!(frames, 2_000);
}

prop_compose! {
    fn drawing()(gops in prop::collection::vec((0usize..4, 1usize..40, 0usize..4), 1..60)) -> String {
        let gop = |(n, (leading, anchors, behind)): (usize, &(usize, usize, usize))| {
            // Nothing can lead the very first keyframe.
            let leading = if n == 0 { 0 } else { *leading };
            format!("I{}{}", "B".repeat(leading), format!("P{}", "B".repeat(*behind)).repeat(*anchors))
        };
        gops.iter().enumerate().map(gop).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_sample_is_in_one_segment_at_its_time_and_segments_chain(
        drawing in drawing(),
        from in -48_000i64..200_000,
        late in -100_000i64..400_000,
        frames in 1usize..4_000,
    ) {
        let (video, audio) = (pictures(&drawing, from), sound(from * 2 + late, frames));
        let (planned, file) = film(video.clone(), audio.clone());
        for (rendition, table) in [(RenditionId::Source, &video), (RenditionId::Audio(0), &audio)] {
            let track = planned.rendition_track(rendition).unwrap();
            let plan = planned.plan.track(track).unwrap();
            let tracks = cut(&planned, &file, rendition);
            let samples: Vec<_> = tracks.iter().flat_map(|t| &t.samples).collect();
            // Sound that begins before 0 is moved there by an edit list, and left out but for two frames.
            let skipped = table.len() - samples.len();
            prop_assert!(skipped == 0 || rendition == RenditionId::Audio(0) && table[skipped + 1].pts < 0);
            for (ours, theirs) in samples.iter().zip(&table[skipped..]) {
                prop_assert_eq!(ours.bytes.start(), theirs.offset);
                prop_assert_eq!(ours.pts, theirs.pts + plan.shift);
                prop_assert!(ours.pts >= 0);
            }
            let mut at = tracks[0].base_time;
            for (track, segment) in tracks.iter().zip(&plan.segments) {
                prop_assert_eq!(track.base_time, at);
                prop_assert_eq!(track.base_time, segment.start);
                at += track.samples.iter().map(|s| u64::from(s.duration)).sum::<u64>();
            }
            let end = table[skipped..].iter().map(|s| s.pts + i64::from(s.duration)).max().unwrap();
            prop_assert_eq!(at as i64, end + plan.shift);
        }
        let first = planned.plan.tracks.iter().map(|t| t.segments[0].start).min();
        prop_assert_eq!(first, Some(0));
    }
}
