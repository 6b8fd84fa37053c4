//! A film of ten gigabytes is opened by its index, and a segment touches its own bytes only.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod films;

use std::{collections::BTreeSet, sync::Arc};

use byte_source::{ByteRange, ByteSource, LateSource};
use films::Film;
use futures_util::StreamExt;
use media::{ContentKey, FileSource, Media, MediaConfig, RenditionId, SegmentFormat, SegmentIndex};

async fn opens_and_cuts_within_its_ranges(build: impl Fn(&std::path::Path)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge");
    build(&path);
    let source = Arc::new(LateSource::arrived(FileSource::open(&path).await.unwrap()));
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size > 10 << 30);

    let media = Media::new(MediaConfig::default()).unwrap();
    let title = media.open("huge", source.clone(), ContentKey::new("huge").unwrap()).await.unwrap();
    let read = source.bytes_read();
    assert!(read * 100 < size, "opening read {read} of {size} bytes");
    assert!(read < 4 << 20, "opening read {read} bytes");
    assert!((title.plan().duration_seconds() - 7_200.0).abs() < 0.001);

    let segments = title.plan().track(title.plan().reference).unwrap().segments.clone();
    for n in [0, 1, 2, 100, 777, segments.len() - 2, segments.len() - 1] {
        let index = SegmentIndex::new(u32::try_from(n).unwrap());
        for format in [SegmentFormat::Fmp4, SegmentFormat::Ts] {
            source.forget_reads();
            let mut body = title.segment(RenditionId::Source, index, format).await.unwrap();
            let mut sent = 0;
            while let Some(chunk) = body.body.next().await {
                sent += chunk.unwrap().len() as u64;
            }
            assert!(body.len.is_none_or(|len| len == sent));
            let pictures = segments[n].duration / u64::from(title.plan().clock.get());
            let payload = pictures * u64::from(Film::HUGE.picture_bytes);
            let read = source.bytes_read();
            assert!(read >= payload && read * 10 <= payload * 11, "segment {n}: {read} read for {payload}");
        }
    }
}

/// Of a film of which most is not here, the places that opening reads: the head, the index, the second keyframe.
async fn opens_by_few_places(build: impl Fn(&std::path::Path)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge");
    build(&path);
    let source = LateSource::new(FileSource::open(&path).await.unwrap());
    let (size, hole) = (source.len(), 5 << 30);
    source.arrive(ByteRange::new(0, hole));
    source.arrive(ByteRange::new(hole + 1, size));
    let source = Arc::new(source);
    assert!(!source.is_here());

    let media = Media::new(MediaConfig::default()).unwrap();
    let far = media.open("far", source.clone(), ContentKey::new("far").unwrap()).await.unwrap();
    let places: BTreeSet<u64> =
        source.reads().iter().flat_map(|read| read.start() >> 20..=(read.end() - 1) >> 20).collect();
    assert!(places.len() <= 5, "{places:?}");
    assert!((far.plan().duration_seconds() - 7_200.0).abs() < 0.001);

    source.arrive(ByteRange::new(hole, hole + 1));
    let near = media.open("near", source.clone(), ContentKey::new("near").unwrap()).await.unwrap();
    for (far, near) in far.plan().tracks.iter().zip(&near.plan().tracks) {
        assert_eq!(far.segments, near.segments);
    }
}

#[tokio::test]
async fn of_an_mp4_that_is_still_downloading() {
    opens_by_few_places(|path| Film::HUGE.mp4(path)).await;
}

#[tokio::test]
async fn of_a_matroska_that_is_still_downloading() {
    opens_by_few_places(|path| Film::HUGE.matroska(path)).await;
}

#[tokio::test]
async fn of_an_mp4_with_moov_at_the_end() {
    opens_and_cuts_within_its_ranges(|path| Film::HUGE.mp4(path)).await;
}

#[tokio::test]
async fn of_a_matroska_with_cues_at_the_end() {
    opens_and_cuts_within_its_ranges(|path| Film::HUGE.matroska(path)).await;
}
