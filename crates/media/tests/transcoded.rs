//! Transcoded renditions with an encoder that is none: it hands the source's own samples back, so that what comes out
//! can be held against what went in.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test may panic")]

mod films;

use std::{
    fmt,
    future::poll_fn,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use byte_source::{ByteRange, ByteSource, LateSource};
use bytes::Bytes;
use container::{MovieOpener, Sample, pull::drive_memory};
use films::Film;
use futures_util::StreamExt;
use media::{
    CodecList, ContentKey, DecisionMode, FileSource, Media, MediaConfig, MediaError, RenditionId,
    SegmentFormat, SegmentIndex, Title,
    transcode::{
        AudioSpec, Encoders, Encoding, OutputTrack, SampleStream, TitleEncoder, TranscodeError, Transcoded,
        VideoSpec,
    },
};
use tokio::sync::mpsc;

const RUNG: RenditionId = RenditionId::H264(240);

/// Hands back what it is given.
#[derive(Debug, Default)]
struct Mirror {
    specs: Mutex<Vec<VideoSpec>>,
    fed: AtomicU32,
    titles: AtomicU32,
    /// Titles that may be transcoded at once are transcoded.
    full: bool,
}

struct Handle(Arc<Mirror>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

#[derive(Debug)]
struct Pool(Arc<Mirror>);

impl Encoders for Pool {
    fn off(&self) -> Option<String> {
        None
    }

    fn title(&self, _: &str) -> Arc<dyn TitleEncoder> {
        self.0.titles.fetch_add(1, Ordering::Relaxed);
        Arc::new(Handle(Arc::clone(&self.0)))
    }
}

impl TitleEncoder for Handle {
    fn video(&self, spec: VideoSpec, mut samples: SampleStream) -> Encoding<'_> {
        let mirror = Arc::clone(&self.0);
        Box::pin(async move {
            if mirror.full {
                return Err(TranscodeError::Busy { title: "film".to_owned(), max: 1 });
            }
            let track = OutputTrack { record: spec.input.record.clone(), timescale: spec.timescale };
            let (sender, receiver) = mpsc::channel(4);
            mirror.specs.lock().unwrap().push(spec.clone());
            tokio::spawn(async move {
                let mut first = true;
                while let Some(sample) = poll_fn(|cx| samples.poll_next_unpin(cx)).await {
                    mirror.fed.fetch_add(1, Ordering::Relaxed);
                    let mut sample: Sample = sample.unwrap();
                    if !(spec.from..spec.to).contains(&sample.pts) {
                        continue;
                    }
                    sample.sync = std::mem::take(&mut first);
                    if sender.send(Ok(sample)).await.is_err() {
                        return;
                    }
                }
            });
            Ok(Transcoded::from_parts(track, receiver))
        })
    }

    fn audio(&self, _: AudioSpec, _: SampleStream) -> Encoding<'_> {
        Box::pin(async { Err(TranscodeError::Off { title: "film".to_owned() }) })
    }
}

struct House {
    _dir: tempfile::TempDir,
    mirror: Arc<Mirror>,
    title: Arc<Title>,
    path: std::path::PathBuf,
}

async fn house(film: Film, write: impl Fn(Film, &Path), mirror: Mirror) -> House {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film");
    write(film, &path);
    let mirror = Arc::new(mirror);
    let encoders: Arc<dyn Encoders> = Arc::new(Pool(Arc::clone(&mirror)));
    let config = MediaConfig { encoders: Some(encoders), ..MediaConfig::default() };
    let media = Media::new(config).unwrap();
    let title = media.open_file("film", &path).await.unwrap();
    House { _dir: dir, mirror, title, path }
}

async fn segment(title: &Arc<Title>, rendition: RenditionId, n: u32) -> Result<Bytes, MediaError> {
    let mut body = title.segment(rendition, SegmentIndex::new(n), SegmentFormat::Fmp4).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes.into())
}

/// Lengths of the segments in milliseconds, as listed.
fn lengths(title: &Title, rendition: RenditionId) -> Vec<u64> {
    let list = title.playlist(rendition, SegmentFormat::Fmp4).unwrap();
    let text = String::from_utf8(list.to_vec()).unwrap();
    let seconds = text.lines().filter_map(|l| l.strip_prefix("#EXTINF:")?.strip_suffix(','));
    seconds.map(|s| (s.parse::<f64>().unwrap() * 1_000.0).round() as u64).collect()
}

/// Every picture of the source: time and bytes, as the cut rendition has them.
async fn pictures(title: &Arc<Title>, rendition: RenditionId) -> Vec<(i64, Bytes)> {
    let mut file = title.init(rendition).await.unwrap().to_vec();
    for n in 0..lengths(title, rendition).len() as u32 {
        file.extend_from_slice(&segment(title, rendition, n).await.unwrap());
    }
    let file = Bytes::from(file);
    let movie = drive_memory(&mut MovieOpener::new(file.len() as u64), &file).unwrap();
    let container::Index::Mp4(index) = &movie.index else { panic!("CMAF is MP4") };
    let at = |s: &container::mp4::TableSample| {
        let from = s.offset as usize;
        (s.pts, file.slice(from..from + s.size as usize))
    };
    index.tables[0].iter().map(at).collect()
}

const LONG_GOP: Film = Film { gop: 1_500, ..Film::SMALL };

#[tokio::test]
async fn a_transcoded_rendition_has_every_picture_of_the_source_at_its_time() {
    for write in [Film::mp4, Film::matroska] {
        for film in [Film::SMALL, LONG_GOP] {
            if film.gop > 600
                && std::ptr::fn_addr_eq(write as fn(Film, &Path), Film::matroska as fn(Film, &Path))
            {
                // A cluster of a minute has no room for its blocks' times.
                continue;
            }
            let house = house(film, write, Mirror::default()).await;
            let cut = pictures(&house.title, RenditionId::Source).await;
            assert_eq!(cut.len(), film.pictures as usize);
            assert_eq!(pictures(&house.title, RUNG).await, cut);
        }
    }
}

#[tokio::test]
async fn a_gop_of_a_minute_is_split_and_each_part_fed_no_further_than_it_needs() {
    let house = house(LONG_GOP, Film::mp4, Mirror::default()).await;
    assert_eq!(lengths(&house.title, RenditionId::Source), [60_000]);
    let parts = lengths(&house.title, RUNG);
    assert_eq!(parts[..2], [1_000, 2_000]);
    assert!(parts.iter().all(|ms| (1_000..=6_000).contains(ms)), "{parts:?}");
    assert_eq!(parts.iter().sum::<u64>(), 60_000);
    segment(&house.title, RUNG, 1).await.unwrap();
    // Three seconds of 25 pictures.
    assert_eq!(house.mirror.fed.load(Ordering::Relaxed), 75);
    let spec = house.mirror.specs.lock().unwrap()[0].clone();
    assert_eq!((spec.from, spec.to), (i64::from(spec.timescale.get()), 3 * i64::from(spec.timescale.get())));
}

#[tokio::test]
async fn boundaries_of_the_cut_rendition_are_boundaries_of_the_transcoded_one() {
    let house = house(Film::SMALL, Film::matroska, Mirror::default()).await;
    let edges = |rendition| {
        let lengths = lengths(&house.title, rendition);
        lengths
            .iter()
            .scan(0, |t, l| {
                *t += l;
                Some(*t)
            })
            .collect::<Vec<u64>>()
    };
    let (cut, made) = (edges(RenditionId::Source), edges(RUNG));
    assert!(cut.iter().all(|edge| made.contains(edge)), "{cut:?} {made:?}");
}

#[tokio::test]
async fn a_segment_is_encoded_once_and_the_same_in_any_order() {
    let house = house(Film::SMALL, Film::mp4, Mirror::default()).await;
    let (late, early) =
        (segment(&house.title, RUNG, 5).await.unwrap(), segment(&house.title, RUNG, 0).await.unwrap());
    assert_eq!(segment(&house.title, RUNG, 5).await.unwrap(), late);
    assert_eq!(segment(&house.title, RUNG, 0).await.unwrap(), early);
    assert_eq!(house.mirror.specs.lock().unwrap().len(), 2);
    assert_eq!(house.mirror.titles.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_room_for_one_more_the_answer_says_so() {
    let full = Mirror { full: true, ..Mirror::default() };
    let house = house(Film::SMALL, Film::mp4, full).await;
    let error = segment(&house.title, RUNG, 0).await.unwrap_err();
    assert!(
        matches!(&error, MediaError::Unavailable { detail, .. } if detail.contains("max_transcodes")),
        "{error}"
    );
    // What is cut goes on.
    segment(&house.title, RenditionId::Source, 0).await.unwrap();
}

#[tokio::test]
async fn the_decision_says_what_is_transcoded_and_why() {
    let house = house(Film::SMALL, Film::mp4, Mirror::default()).await;
    let cut = house.title.decide(Some(&CodecList::parse("avc1")));
    assert_eq!(cut.mode, DecisionMode::Cut);
    // H.264 of the same size beside it would be encoded for nothing.
    assert_eq!(cut.delivery.ladder, []);
    // Baseline of level 1 is not among what such a player takes, High of its level is.
    let made = house.title.decide(Some(&CodecList::parse("avc1.640028,mp4a.40.2")));
    assert_eq!(made.mode, DecisionMode::Transcode);
    assert_eq!(made.delivery.tracks[0].rendition.as_deref(), Some("240p-h264"));
    assert!(made.reason.contains("the player does not decode avc1.42"), "{}", made.reason);
    let none = house.title.decide(Some(&CodecList::parse("av01")));
    assert_eq!(none.mode, DecisionMode::Refused);
}

#[tokio::test]
async fn without_encoders_nothing_is_transcoded() {
    let house = house(Film::SMALL, Film::mp4, Mirror::default()).await;
    let plain = Media::new(MediaConfig::default()).unwrap().open_file("film", &house.path).await.unwrap();
    assert!(matches!(segment(&plain, RUNG, 0).await, Err(MediaError::NotFound { .. })));
    assert!(matches!(plain.init(RUNG).await, Err(MediaError::NotFound { .. })));
    let list = plain.master(&media::MasterOptions::default()).unwrap();
    assert!(!list.contains("h264/"), "{list}");
    let list = house.title.master(&media::MasterOptions::default()).unwrap();
    assert!(!list.contains("h264/") && list.contains("\nsource/stream.m3u8\n"), "{list}");
    let codecs = Some(CodecList::parse("avc1.640028,mp4a.40.2"));
    let list = house.title.master(&media::MasterOptions { codecs, ..Default::default() }).unwrap();
    assert!(list.contains("\n240p-h264/stream.m3u8\n") && !list.contains("\nsource/"), "{list}");
}

/// Twenty megabits a second of 1080 lines.
const LARGE: Film = Film { pictures: 250, picture_bytes: 100_000, side: 1_080, ..Film::SMALL };

#[tokio::test]
async fn smaller_sizes_are_offered_of_what_is_here_and_not_of_what_still_comes() {
    let house = house(LARGE, Film::mp4, Mirror::default()).await;
    let takes = CodecList::parse("avc1,avc1.640028,mp4a.40.2");
    assert_eq!(house.title.decide(Some(&takes)).delivery.ladder, [720, 480, 360, 240]);

    let late = LateSource::new(FileSource::open(&house.path).await.unwrap());
    let hole = late.len() / 2;
    late.arrive(ByteRange::new(0, hole));
    late.arrive(ByteRange::new(hole + 1, late.len()));
    let encoders: Arc<dyn Encoders> = Arc::new(Pool(Arc::clone(&house.mirror)));
    let media = Media::new(MediaConfig { encoders: Some(encoders), ..MediaConfig::default() }).unwrap();
    let title = media.open("late", Arc::new(late), ContentKey::new("late").unwrap()).await.unwrap();
    assert_eq!(title.decide(Some(&takes)).delivery.ladder, []);
    // Who does not take it as it is has it encoded all the same.
    let lacks = CodecList::parse("avc1.640028,mp4a.40.2");
    assert_eq!(title.decide(Some(&lacks)).delivery.ladder.first(), Some(&1_080));
}
