//! Titles are opened once, segments are made once, and what is kept comes back.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod films;

use std::{path::Path, sync::Arc, time::Duration};

use byte_source::{ByteRange, ByteSource, LateSource, MemorySource};
use bytes::Bytes;
use films::Film;
use futures_util::{FutureExt, StreamExt, future::join_all};
use media::{
    CacheConfig, ContentKey, Media, MediaConfig, MediaError, RenditionId, SegmentBody, SegmentFormat,
    SegmentIndex, Title,
};

const SOURCE: RenditionId = RenditionId::Source;
const TS: SegmentFormat = SegmentFormat::Ts;
const FMP4: SegmentFormat = SegmentFormat::Fmp4;

fn index(n: u32) -> SegmentIndex {
    SegmentIndex::new(n)
}

fn key() -> ContentKey {
    ContentKey::new("film").unwrap()
}

/// The small film's bytes in both containers.
fn bytes_of(build: impl Fn(Film, &Path)) -> Bytes {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film");
    build(Film::SMALL, &path);
    std::fs::read(&path).unwrap().into()
}

fn mp4() -> Bytes {
    bytes_of(|film, path| film.mp4(path))
}

fn matroska() -> Bytes {
    bytes_of(|film, path| film.matroska(path))
}

type Late = LateSource<MemorySource>;

fn arrived(bytes: &Bytes) -> Arc<Late> {
    Arc::new(LateSource::arrived(MemorySource::new(bytes.clone())))
}

fn config(cache: Option<&Path>) -> MediaConfig {
    let cache = cache.map(|dir| CacheConfig { dir: dir.to_owned(), limit_bytes: 64 << 20 });
    MediaConfig { cache, ..MediaConfig::default() }
}

async fn whole(body: SegmentBody) -> Result<Bytes, MediaError> {
    let mut stream = body.body;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend(chunk?);
    }
    assert!(body.len.is_none_or(|len| len == bytes.len() as u64));
    Ok(bytes.into())
}

async fn segment(title: &Arc<Title>, n: u32, format: SegmentFormat) -> Bytes {
    whole(title.segment(SOURCE, index(n), format).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn sixteen_who_ask_at_once_are_served_by_one_maker() {
    for bytes in [mp4(), matroska()] {
        let source = arrived(&bytes);
        let media = Media::new(config(None)).unwrap();
        let title = media.open("x", source.clone(), key()).await.unwrap();
        source.forget_reads();
        let one = segment(&title, 3, TS).await;
        let once = source.bytes_read();
        let made = media.stats().segments_made;

        source.forget_reads();
        let all = join_all((0..16).map(|_| segment(&title, 4, TS))).await;
        assert!(all.iter().all(|s| *s == all[0] && *s != one));
        assert_eq!(media.stats().segments_made, made + 1);
        assert!(source.bytes_read() < once * 3 / 2, "{} read, one takes {once}", source.bytes_read());
    }
}

#[tokio::test]
async fn askers_of_a_segment_that_is_not_here_yet_share_the_wait_and_get_it_when_it_comes() {
    let bytes = matroska();
    let source = arrived(&bytes);
    let media = Media::new(config(None)).unwrap();
    let title = media.open("x", source.clone(), key()).await.unwrap();
    let expected = segment(&title, 5, FMP4).await;
    drop((title, media));

    // Only what opening needs is here.
    let (late, media, title) = opened_early(&bytes).await;
    let askers: Vec<_> = (0..16)
        .map(|_| {
            let title = title.clone();
            tokio::spawn(async move { segment(&title, 5, FMP4).await })
        })
        .collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(askers.iter().all(|a| !a.is_finished()));
    let asked = late.reads().len();
    late.arrive(ByteRange::new(0, bytes.len() as u64));
    for asker in askers {
        assert_eq!(asker.await.unwrap(), expected);
    }
    assert_eq!(media.stats().segments_made, 1);
    assert_eq!(media.stats().segments_shared, 15);
    assert!(late.reads().len() >= asked);
    assert!(!late.hints().is_empty(), "the source is told what will be wanted");
}

#[tokio::test]
async fn who_leaves_a_segment_takes_back_what_was_to_come_next() {
    let bytes = matroska();
    let (late, _media, title) = opened_early(&bytes).await;
    let mut asker = Box::pin(segment(&title, 5, FMP4));
    assert!(asker.as_mut().now_or_never().is_none());
    assert_eq!(late.hints().len(), 4, "the segment itself and three more: {:?}", late.hints());
    drop(asker);
    assert_eq!(late.hints(), []);
    // One that is read to its end takes nothing back.
    late.arrive(ByteRange::new(0, bytes.len() as u64 * 3 / 4));
    segment(&title, 5, FMP4).await;
    assert_eq!(late.hints().len(), 4);
}

/// What opening a film reads.
async fn opening_reads(bytes: &Bytes) -> Vec<ByteRange> {
    let source = arrived(bytes);
    let media = Media::new(config(None)).unwrap();
    media.open("x", source.clone(), key()).await.unwrap();
    source.reads()
}

/// A film of which only that is here.
async fn opened_early(bytes: &Bytes) -> (Arc<LateSource<MemorySource>>, Media, Arc<Title>) {
    let late = Arc::new(LateSource::new(MemorySource::new(bytes.clone())));
    for range in opening_reads(bytes).await {
        late.arrive(range);
    }
    let media = Media::new(config(None)).unwrap();
    let title = media.open("x", late.clone(), key()).await.unwrap();
    (late, media, title)
}

#[tokio::test]
async fn in_a_crowd_matroska_streams_from_its_file_and_is_the_same() {
    let bytes = matroska();
    let media = Media::new(MediaConfig { in_flight_bytes: 4 << 20, ..config(None) }).unwrap();
    let title = media.open("x", arrived(&bytes), key()).await.unwrap();
    let calm = segment(&title, 7, FMP4).await;
    let mut slow = Vec::new();
    for n in 0..5 {
        slow.push(title.segment(SOURCE, index(n), TS).await.unwrap());
    }
    let held = media.stats().in_flight_bytes;
    assert!(held > 1 << 20);
    let crowd = media.open("y", arrived(&bytes), ContentKey::new("other").unwrap()).await.unwrap();
    let body = crowd.segment(SOURCE, index(7), FMP4).await.unwrap();
    assert_eq!(media.stats().in_flight_bytes, held, "it takes nothing of what is scarce");
    assert_eq!(whole(body).await.unwrap(), calm);
}

#[tokio::test]
async fn when_the_last_asker_goes_the_maker_stops() {
    let bytes = matroska();
    let (late, media, title) = opened_early(&bytes).await;
    let ask = |title: Arc<Title>| tokio::spawn(async move { title.segment(SOURCE, index(5), TS).await });
    let (first, second) = (ask(title.clone()), ask(title.clone()));
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(media.stats().in_flight_bytes > 0);
    first.abort();
    let _ = first.await;
    assert_eq!(media.stats().segments_cancelled, 0, "one still waits");
    second.abort();
    let _ = second.await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let stats = media.stats();
    assert_eq!((stats.segments_cancelled, stats.segments_made, stats.in_flight_bytes), (1, 0, 0));

    // Whoever comes later is served all the same.
    late.arrive(ByteRange::new(0, bytes.len() as u64));
    assert!(!segment(&title, 5, TS).await.is_empty());
}

#[tokio::test]
async fn an_mp4_segment_streams_as_its_bytes_arrive() {
    let bytes = mp4();
    let source = arrived(&bytes);
    let media = Media::new(config(None)).unwrap();
    let title = media.open("x", source, key()).await.unwrap();
    let expected = segment(&title, 5, FMP4).await;

    let late = Arc::new(LateSource::new(MemorySource::new(bytes.clone())));
    for range in opening_reads(&bytes).await {
        late.arrive(range);
    }
    let title = media.open("late", late.clone(), ContentKey::new("late").unwrap()).await.unwrap();
    let body = title.segment(SOURCE, index(5), FMP4).await.unwrap();
    assert_eq!(body.len, Some(expected.len() as u64), "the length is known before the bytes");
    let mut stream = body.body;
    let header = stream.next().await.unwrap().unwrap();
    assert!(header.windows(4).any(|w| w == b"moof"));
    assert!(stream.next().now_or_never().is_none(), "the payload is not here");
    late.arrive(ByteRange::new(0, bytes.len() as u64));
    let mut rest = header.to_vec();
    while let Some(chunk) = stream.next().await {
        rest.extend(chunk.unwrap());
    }
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn however_many_open_a_title_it_is_opened_once() {
    let source = arrived(&matroska());
    let media = Media::new(config(None)).unwrap();
    let titles = join_all((0..16).map(|_| media.open("x", source.clone(), key()))).await;
    let first = titles[0].as_ref().unwrap();
    assert!(titles.iter().all(|t| Arc::ptr_eq(t.as_ref().unwrap(), first)));
    assert_eq!(media.stats().titles_opened, 1);
    assert_eq!(media.stats().plans_made, 1);
}

#[tokio::test]
async fn an_opening_that_nobody_waits_for_stops() {
    let late = Arc::new(LateSource::new(MemorySource::new(matroska())));
    let media = Media::new(config(None)).unwrap();
    assert!(media.open("x", late.clone(), key()).now_or_never().is_none());
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    late.arrive(ByteRange::new(0, late.len()));
    assert_eq!(media.stats().titles_opened, 0);
    assert!(media.open("x", late.clone(), key()).await.is_ok());
}

#[tokio::test]
async fn everyone_who_waits_for_a_broken_file_is_told_why() {
    let source = Arc::new(MemorySource::new(Bytes::from_static(b"this is no film, not at all")));
    let media = Media::new(config(None)).unwrap();
    for result in join_all((0..4).map(|_| media.open("x", source.clone(), key()))).await {
        let error = result.unwrap_err();
        assert!(matches!(error, MediaError::NotPlayable { .. }), "{error}");
        assert!(error.to_string().contains('x'));
    }
    assert_eq!(media.stats().titles_open, 0);
}

#[tokio::test]
async fn a_kept_plan_saves_the_reads_of_planning() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = matroska();
    let source = arrived(&bytes);
    let media = Media::new(config(Some(dir.path()))).unwrap();
    let first = media.open("x", source.clone(), key()).await.unwrap();
    let reads = source.reads();
    let (plan, playlist) = (first.plan().clone(), first.playlist(SOURCE, FMP4).unwrap());
    media.flush().await;
    drop((first, media));

    source.forget_reads();
    let media = Media::new(config(Some(dir.path()))).unwrap();
    let again = media.open("x", source.clone(), key()).await.unwrap();
    assert_eq!(*again.plan(), plan);
    assert_eq!(again.playlist(SOURCE, FMP4).unwrap(), playlist);
    let stats = media.stats();
    assert_eq!((stats.plans_made, stats.plans_loaded), (0, 1));
    assert!(source.reads().len() < reads.len(), "{:?} then {:?}", reads, source.reads());
    drop((again, media));

    // Of another version, or damaged: made anew.
    let path = dir.path().join("plans/film.plan");
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[6] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let media = Media::new(config(Some(dir.path()))).unwrap();
    let again = media.open("x", source, key()).await.unwrap();
    assert_eq!(*again.plan(), plan);
    let stats = media.stats();
    assert_eq!((stats.plans_made, stats.plans_loaded, stats.cache_corrupt), (1, 0, 1));
}

#[tokio::test]
async fn cached_segments_survive_a_restart_and_damage() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = matroska();
    let media = Media::new(config(Some(dir.path()))).unwrap();
    let title = media.open("x", arrived(&bytes), key()).await.unwrap();
    let mut fresh = Vec::new();
    for n in 0..4 {
        fresh.push((segment(&title, n, TS).await, segment(&title, n, FMP4).await));
    }
    media.flush().await;
    assert!(media.stats().cache_files >= 8);
    drop((title, media));

    for name in ["1.ts", "2.m4s"] {
        let path = dir.path().join("segments/film/source").join(name);
        let mut file = std::fs::read(&path).unwrap();
        file[100] ^= 1;
        std::fs::write(&path, file).unwrap();
    }
    std::fs::write(dir.path().join("segments/film/source/3.ts"), b"cut off").unwrap();
    let media = Media::new(config(Some(dir.path()))).unwrap();
    let title = media.open("x", arrived(&bytes), key()).await.unwrap();
    for n in 0..4 {
        let again = (segment(&title, n, TS).await, segment(&title, n, FMP4).await);
        assert_eq!(again, fresh[n as usize], "segment {n}");
    }
    let stats = media.stats();
    assert_eq!((stats.segments_from_cache, stats.segments_made, stats.cache_corrupt), (5, 3, 3));
}

#[tokio::test]
async fn what_lies_in_a_local_mp4_as_it_is_sent_is_not_cached() {
    let dir = tempfile::tempdir().unwrap();
    let media = Media::new(config(Some(dir.path()))).unwrap();
    let title = media.open("x", arrived(&mp4()), key()).await.unwrap();
    segment(&title, 0, FMP4).await;
    media.flush().await;
    assert_eq!(media.stats().cache_files, 1, "the plan");
    segment(&title, 0, TS).await;
    media.flush().await;
    assert_eq!(media.stats().cache_files, 2);
}

#[tokio::test]
async fn without_a_cache_the_bytes_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = matroska();
    let with = Media::new(config(Some(dir.path()))).unwrap();
    let none = MediaConfig { recent_bytes: 0, ..config(None) };
    let without = Media::new(none).unwrap();
    let a = with.open("x", arrived(&bytes), key()).await.unwrap();
    let b = without.open("x", arrived(&bytes), key()).await.unwrap();
    for n in [3, 0, 3, 7] {
        for format in [TS, FMP4] {
            assert_eq!(segment(&a, n, format).await, segment(&b, n, format).await);
        }
    }
    assert_eq!(without.stats().cache_limit_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_title_nobody_asks_for_is_closed_and_one_being_sent_is_not() {
    let media = Media::new(config(None)).unwrap();
    let bytes = mp4();
    drop(media.open("idle", arrived(&bytes), key()).await.unwrap());
    let title = media.open("sent", arrived(&bytes), key()).await.unwrap();
    let body = title.segment(SOURCE, index(0), FMP4).await.unwrap();
    drop(title);
    tokio::time::sleep(Duration::from_secs(170)).await;
    assert_eq!(media.stats().titles_open, 2);
    assert!(media.get("asked").is_none());
    tokio::time::sleep(Duration::from_secs(41)).await;
    assert!(media.get("idle").is_none());
    assert!(media.get("sent").is_some(), "its body is still being read");
    drop(whole(body).await.unwrap());
    tokio::time::sleep(Duration::from_secs(220)).await;
    assert_eq!((media.stats().titles_open, media.stats().titles_closed_idle), (0, 2));
}

#[tokio::test]
async fn a_file_that_was_replaced_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film.mp4");
    Film::SMALL.mp4(&path);
    let media = Media::new(config(None)).unwrap();
    let first = media.open_file("x", &path).await.unwrap();
    assert!(Arc::ptr_eq(&first, &media.open_file("x", &path).await.unwrap()));
    let before = segment(&first, 1, FMP4).await;

    // Written over in place: noticed by the next read, and the one after that gets what is there now.
    Film { seed: 2, ..Film::SMALL }.mp4(&path);
    std::fs::File::open(&path)
        .unwrap()
        .set_modified(std::time::SystemTime::now() + Duration::from_secs(10))
        .unwrap();
    let answer = match first.segment(SOURCE, index(1), FMP4).await {
        Ok(body) => whole(body).await,
        Err(error) => Err(error),
    };
    assert!(matches!(answer, Err(MediaError::Changed { .. })));
    let second = media.open_file("x", &path).await.unwrap();
    assert_ne!(second.content(), first.content());
    assert_ne!(segment(&second, 1, FMP4).await, before);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(media.open_file("y", &path).await, Err(MediaError::NotFound { .. })));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let media = Media::new(config(None)).unwrap();
    let title = media.open("x", arrived(&mp4()), key()).await.unwrap();
    let error = title.segment(SOURCE, index(9_999), FMP4).await.unwrap_err();
    assert!(matches!(error, MediaError::NotFound { .. }), "{error}");
    let error = title.playlist(RenditionId::Audio(0), FMP4).unwrap_err();
    assert!(matches!(error, MediaError::NotFound { .. }), "{error}");
    assert!(matches!(title.attachment("../x").await, Err(MediaError::NotFound { .. })));
    assert_eq!(title.init(SOURCE).await.unwrap(), title.init(SOURCE).await.unwrap());
    let tags = [(0, FMP4), (1, FMP4), (0, TS)].map(|(n, f)| title.segment_etag(SOURCE, index(n), f).unwrap());
    assert!(tags.windows(2).all(|t| t[0] != t[1]), "{tags:?}");
}
