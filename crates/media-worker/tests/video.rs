//! Video through locked-in workers: stretches that join, damage that stays where it is.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

#[path = "../../libav/tests/oracle/mod.rs"]
mod oracle;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use container::{Sample, Timescale};
use futures_util::stream;
use libav::EncodedSample;
use media::transcode::{
    Fault, H264Profile, InputTrack, Level, OutputTrack, Patience, Preset, SandboxPolicy, TitleTranscoder,
    TranscodeConfig, TranscodeError, Transcoder, VideoSpec,
};
use oracle::{Stream, make};
use seeded::Rng;
use tokio::time::timeout;

const ENOUGH: Duration = Duration::from_secs(60);
const PICTURE: &str = "testsrc2=size=640x360:rate=25:duration=4";

fn pool() -> Transcoder {
    Transcoder::new(TranscodeConfig {
        program: env!("CARGO_BIN_EXE_media-worker").into(),
        args: Vec::new(),
        sandbox: SandboxPolicy::Require,
        titles_max: 2,
        patience: Patience::default(),
    })
}

struct Film {
    _folder: tempfile::TempDir,
    path: PathBuf,
    stream: Stream,
}

fn film(name: &str, options: &[&str]) -> Film {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), name, &[&["-f", "lavfi", "-i", PICTURE], options].concat());
    let stream = oracle::stream(&path, "v:0");
    Film { _folder: folder, path, stream }
}

const H264: &[&str] =
    &["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "30", "-pix_fmt", "yuv420p"];
const HEVC10: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=error:keyint=40",
    "-pix_fmt",
    "yuv420p10le",
    "-tag:v",
    "hvc1",
];

impl Film {
    fn times(&self) -> Vec<i64> {
        let mut times: Vec<_> = self.stream.packets.iter().map(|p| p.pts.unwrap()).collect();
        times.sort_unstable();
        times
    }

    fn samples(&self, from: i64) -> Vec<Sample> {
        let start =
            self.stream.packets.iter().rposition(|p| p.keyframe && p.pts.unwrap() <= from).unwrap_or(0);
        let of = |p: &oracle::Found| Sample {
            pts: p.pts.unwrap(),
            dts: p.dts.unwrap(),
            duration: u32::try_from(p.duration).unwrap(),
            sync: p.keyframe,
            data: p.data.clone().into(),
        };
        self.stream.packets[start..].iter().map(of).collect()
    }

    fn spec(&self, codec: &str, from: i64, to: i64) -> VideoSpec {
        let timescale = Timescale::new(self.stream.time_base.den).unwrap();
        VideoSpec {
            input: InputTrack {
                codec: codec.to_owned(),
                record: self.stream.configuration.clone(),
                timescale,
            },
            from,
            to,
            keyframes: Vec::new(),
            width: 320,
            height: 180,
            profile: H264Profile::High,
            level: 30,
            bitrate: 1_500_000,
            bitrate_max: 2_000_000,
            preset: Preset::VeryFast,
            timescale,
            rotation: 0,
        }
    }
}

async fn encode(
    title: &TitleTranscoder,
    spec: VideoSpec,
    samples: Vec<Sample>,
) -> Result<(OutputTrack, Vec<Sample>), TranscodeError> {
    let samples = Box::pin(stream::iter(samples.into_iter().map(Ok)));
    let mut answer = timeout(ENOUGH, title.video(spec, samples)).await.expect("an answer in time")?;
    let mut out = Vec::new();
    while let Some(sample) = timeout(ENOUGH, answer.next()).await.expect("a sample in time") {
        out.push(sample?);
    }
    Ok((answer.track, out))
}

fn encoded(sample: &Sample) -> EncodedSample {
    let Sample { pts, dts, duration, sync, data } = sample;
    EncodedSample {
        data: data.to_vec(),
        pts: *pts,
        dts: *dts,
        duration: i64::from(*duration),
        keyframe: *sync,
    }
}

/// Encodes the film in stretches that begin at `places` (frames), last one first, and holds the whole against the film.
async fn stretches(name: &str, options: &[&str], codec: &str, places: &[usize]) {
    let film = film(name, options);
    let times = film.times();
    let pool = pool();
    let title = pool.title("film");
    let mut bounds: Vec<i64> = places.iter().map(|at| times[*at]).collect();
    bounds.push(times.last().unwrap() + 1_000);
    let (mut record, mut all) = (None, Vec::new());
    for bound in bounds.windows(2).rev() {
        let mut spec = film.spec(codec, bound[0], bound[1]);
        let within: Vec<_> = times.iter().copied().filter(|pts| (bound[0]..bound[1]).contains(pts)).collect();
        let forced = within.get(7).copied();
        spec.keyframes.extend(forced);
        let (track, samples) = encode(&title, spec, film.samples(bound[0])).await.unwrap();
        assert_eq!(*record.get_or_insert(track.record.clone()), track.record, "one init segment for all");
        let mut got: Vec<_> = samples.iter().map(|s| s.pts).collect();
        got.sort_unstable();
        assert_eq!(got, within, "every picture of the stretch once, at its own time");
        assert!(samples[0].sync && samples[0].pts == bound[0]);
        let keys: BTreeSet<_> = samples.iter().filter(|s| s.sync).map(|s| s.pts).collect();
        assert!(forced.is_none_or(|pts| keys.contains(&pts)));
        all.splice(0..0, samples);
    }
    let whole = film.path.with_extension("h264");
    let all: Vec<_> = all.iter().map(encoded).collect();
    oracle::write_annex_b(&whole, &record.unwrap(), &all);
    let (mean, worst) = oracle::ssim(&whole, &film.path, "scale=320:180:flags=bicubic");
    assert!(worst > 0.85, "SSIM {worst} of the worst frame, {mean} on average");
    let status = pool.status();
    assert_eq!((status.lost, status.report.unwrap().sandbox.level()), (0, Level::Full));
}

#[tokio::test(flavor = "multi_thread")]
async fn stretches_of_h264_join_to_the_whole_film_in_any_order() {
    stretches("film.mp4", H264, "h264", &[0, 13, 30, 61, 90]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_bit_hevc_with_open_groups_becomes_h264() {
    stretches("film.mp4", HEVC10, "hevc", &[0, 40, 77]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_stretch_is_the_same_bytes_from_another_worker() {
    let film = film("film.mp4", H264);
    let times = film.times();
    let spec = film.spec("h264", times[20], times[70]);
    let pool = pool();
    let (a, b) = (pool.title("a"), pool.title("b"));
    let one = encode(&a, spec.clone(), film.samples(times[20])).await.unwrap();
    let other = encode(&b, spec, film.samples(times[20])).await.unwrap();
    assert!(one == other);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_decoded_here_is_said_and_the_worker_stays() {
    let film = film("film.mp4", H264);
    let pool = pool();
    let title = pool.title("film");
    match encode(&title, film.spec("V_UNKNOWN", 0, 10_000), film.samples(0)).await {
        Err(TranscodeError::Failed { fault: Fault::Unsupported, text, .. }) => {
            assert!(text.contains("V_UNKNOWN"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let end = film.times().last().unwrap() + 1;
    match encode(&title, film.spec("h264", end, end + 10), film.samples(end)).await {
        Err(TranscodeError::Failed { fault: Fault::Input, text, .. }) => {
            assert!(text.contains("no picture"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.status().lost, 0);
    assert!(encode(&title, film.spec("h264", 0, 10_000), film.samples(0)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_films_cost_pictures_or_an_error_and_never_the_server() {
    let (good, hevc) = (film("film.mp4", H264), film("hevc.mp4", HEVC10));
    let pool = pool();
    let mut random = Rng::new(5);
    let rounds = std::env::var("HEADWATER_DAMAGED").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let mut ends = [0, 0];
    for round in 0..rounds {
        let (film, codec) = if round % 2 == 0 { (&good, "h264") } else { (&hevc, "hevc") };
        let mut samples = film.samples(0);
        samples.truncate(30);
        for sample in &mut samples {
            if random.below(3) == 0 {
                let mut data = sample.data.to_vec();
                for _ in 0..=random.below(20) {
                    let at = random.below(data.len());
                    data[at] = random.below(256) as u8;
                }
                sample.data = data.into();
            }
        }
        let mut spec = film.spec(codec, 0, i64::from(film.stream.time_base.den));
        if random.below(4) == 0 {
            let at = random.below(spec.input.record.len());
            spec.input.record[at] ^= 1 << random.below(8);
        }
        // Each a title of its own, so that none is refused for another's deaths.
        let title = pool.title(&format!("film {round}"));
        match encode(&title, spec, samples).await {
            Ok((_, samples)) => assert!(!samples.is_empty()),
            Err(TranscodeError::Failed { fault, text, .. }) => {
                assert_eq!(fault, Fault::Input, "{text}");
                ends[1] += 1;
                continue;
            }
            Err(error) => panic!("round {round}: {error}"),
        }
        ends[0] += 1;
    }
    let healthy = pool.title("healthy");
    assert!(encode(&healthy, good.spec("h264", 0, 10_000), good.samples(0)).await.is_ok());
    assert!(ends[0] > 0, "{ends:?}");
}
