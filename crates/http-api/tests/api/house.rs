//! A server over a folder of its own.

use std::{fs, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use bytes::Bytes;
use container::{
    AudioInfo, Timescale, Track, TrackFlags, TrackKind,
    codec::{AacConfig, CodecConfig},
    write::cmaf::{FragmentSample, InitTrack, init_segment, media_header},
};
use http_api::{AppState, HostPolicy, Shutdown, Torrents, router};
use library::Library;
use media::{Media, MediaConfig};
use tempfile::TempDir;
use tower::ServiceExt;

/// Bytes of `film.bin.mkv`: not a film, but a file with ranges.
pub(crate) const LEN: usize = 3_000_000;

pub(crate) struct House {
    pub(crate) router: Router,
    pub(crate) library: Arc<Library>,
    pub(crate) shutdown: Shutdown,
    pub(crate) torrents: Option<Torrents>,
    pub(crate) dir: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }
}

/// The content of the file with ranges.
pub(crate) fn content() -> Vec<u8> {
    (0..LEN as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

impl House {
    /// Serves these files.
    pub(crate) fn of(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self::over(dir)
    }

    pub(crate) fn over(dir: TempDir) -> Self {
        Self::new(dir, None)
    }

    /// As [`usual`](Self::usual), with torrents.
    pub(crate) fn with_torrents(config: engine::Config) -> Self {
        let Self { dir, .. } = Self::usual();
        Self::new(dir, Some(Torrents::new(config, false)))
    }

    fn new(dir: TempDir, torrents: Option<Torrents>) -> Self {
        let library = Arc::new(Library::new(vec![dir.path().to_owned()]));
        library.scan_blocking();
        let media = Media::new(MediaConfig::default()).unwrap();
        let shutdown = Shutdown::default();
        let hosts = HostPolicy::new(["films.lan".to_owned()]);
        let router =
            router(AppState::new(media, Arc::clone(&library), torrents.clone(), hosts, shutdown.clone()));
        Self { router, library, shutdown, torrents, dir }
    }

    /// A file of noise and one second film of sound.
    pub(crate) fn usual() -> Self {
        Self::of(&[("noise.mkv", &content()), ("Some Film (2020).mp4", &sound_film(12))])
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The id of the video with this file.
    pub(crate) fn id(&self, file: &str) -> String {
        let catalog = self.library.catalog();
        let ids = catalog.shows().iter().flat_map(|show| match show {
            library::Show::Movie(movie) => vec![movie.video.clone()],
            library::Show::Series(series) => series.episodes.iter().map(|e| e.video.clone()).collect(),
        });
        let mut ids = ids.filter(|id| catalog.video(id).unwrap().shown_path() == file);
        ids.next().unwrap_or_else(|| panic!("no video {file}")).to_string()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body =
            tokio::time::timeout(Duration::from_secs(30), to_bytes(body, usize::MAX)).await.unwrap().unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, path, headers)).await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.send(request(Method::HEAD, path, &[])).await
    }
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:8080");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

/// A fragmented MP4 of AAC frames (their content is noise: nothing here decodes them).
pub(crate) fn sound_film(seconds: u64) -> Vec<u8> {
    const FRAMES_PER_FRAGMENT: u64 = 94;
    let codec = CodecConfig::Aac(AacConfig::parse(&Bytes::from_static(&[0x11, 0x90])).unwrap());
    let track = Track {
        number: 1,
        kind: TrackKind::Audio,
        codec,
        timescale: Timescale::new(48_000).unwrap(),
        language: Some("en".to_owned()),
        name: None,
        flags: TrackFlags { default: true, ..TrackFlags::default() },
        video: None,
        audio: Some(AudioInfo { sample_rate: 48_000, channels: 2, bit_depth: 0 }),
        default_duration_ns: None,
        codec_delay_ns: 0,
        strip_prefix: Bytes::new(),
        deflated: false,
    };
    let init = InitTrack { track: &track, track_id: 1, timescale: track.timescale };
    let mut film = init_segment(&[init]).unwrap().to_vec();
    let frames = seconds * 48_000 / 1024;
    let mut first = 0;
    while first < frames {
        let count = FRAMES_PER_FRAGMENT.min(frames - first);
        let sizes: Vec<u32> = (first..first + count).map(|n| 100 + u32::try_from(n % 7).unwrap()).collect();
        let samples: Vec<FragmentSample> = sizes
            .iter()
            .map(|size| FragmentSample { size: *size, duration: 1024, composition_offset: 0, sync: true })
            .collect();
        let sequence = u32::try_from(first / FRAMES_PER_FRAGMENT + 1).unwrap();
        film.extend_from_slice(&media_header(sequence, 1, first * 1024, &samples));
        for (n, size) in (first..).zip(&sizes) {
            film.extend((0..*size).map(|i| (u64::from(i) * 31 + n * 7) as u8));
        }
        first += count;
    }
    film
}
