//! Counters, and the Prometheus text of them (exposition format 0.0.4).

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{extract, http::header, response::IntoResponse};
use engine::State;
use media::transcode::{Level, TranscodeStatus};

use crate::{problem::Problem, state::AppState, torrents::Torrents};

/// Upper bounds of the duration histogram, seconds.
const BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// What the surface counts itself.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By route and status; both are ours, so their number is bounded.
    routes: Mutex<BTreeMap<&'static str, Route>>,
    pub(crate) in_flight: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) file_bytes: AtomicU64,
    pub(crate) segment_bytes: AtomicU64,
    pub(crate) hosts_refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

impl Metrics {
    /// Counts an answer whose head was ready after `took`.
    pub(crate) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route).or_default();
        *route.by_status.entry(status).or_default() += 1;
        let seconds = took.as_secs_f64();
        for (bucket, bound) in route.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
        route.count += 1;
        route.seconds += seconds;
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        family(out, "headwater_http_requests_total", "counter", "Answers by route and status.")?;
        for (route, counts) in &*routes {
            for (status, count) in &counts.by_status {
                writeln!(
                    out,
                    "headwater_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}"
                )?;
            }
        }
        let name = "headwater_http_request_duration_seconds";
        family(out, name, "histogram", "Time until the head of the answer was ready.")?;
        for (route, counts) in &*routes {
            for (bound, count) in BUCKETS.iter().zip(counts.buckets) {
                writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {count}")?;
            }
            writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {}", counts.count)?;
            writeln!(out, "{name}_sum{{route=\"{route}\"}} {}", counts.seconds)?;
            writeln!(out, "{name}_count{{route=\"{route}\"}} {}", counts.count)?;
        }
        Ok(())
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn single(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    value: impl std::fmt::Display,
) -> std::fmt::Result {
    family(out, name, kind, help)?;
    writeln!(out, "{name} {value}")
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "server", responses(
    (status = 200, description = "Counters in the Prometheus text format", content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(
    extract::State(state): extract::State<AppState>,
) -> Result<impl IntoResponse, Problem> {
    let text = render(&state).map_err(|_| Problem::internal("the metrics could not be written"))?;
    Ok((
        [
            (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        text,
    ))
}

fn render(state: &AppState) -> Result<String, std::fmt::Error> {
    let (mut out, inner) = (String::with_capacity(8_192), &state.0);
    let (metrics, catalog, stats) = (&inner.metrics, inner.library.catalog(), inner.media.stats());
    let (counter, gauge) = ("counter", "gauge");
    family(&mut out, "headwater_build_info", gauge, "The version that runs.")?;
    writeln!(out, "headwater_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))?;
    single(
        &mut out,
        "headwater_uptime_seconds",
        gauge,
        "Since the start.",
        inner.started.elapsed().as_secs(),
    )?;
    if let Some(bytes) = resident_bytes() {
        single(&mut out, "process_resident_memory_bytes", gauge, "Memory in use.", bytes)?;
    }
    metrics.write(&mut out)?;
    let ours = [
        ("headwater_http_in_flight", gauge, "Requests being answered (heads).", &metrics.in_flight),
        ("headwater_http_connections", gauge, "Open connections.", &metrics.connections),
        ("headwater_file_bytes_total", counter, "Bytes of files sent as they are.", &metrics.file_bytes),
        ("headwater_segment_bytes_total", counter, "Bytes of segments sent.", &metrics.segment_bytes),
        (
            "headwater_http_hosts_refused_total",
            counter,
            "Requests for a host that is not ours.",
            &metrics.hosts_refused,
        ),
    ];
    for (name, kind, help, value) in ours {
        single(&mut out, name, kind, help, value.load(Ordering::Relaxed))?;
    }
    single(&mut out, "headwater_library_shows", gauge, "Films and series.", catalog.shows().len())?;
    single(&mut out, "headwater_library_videos", gauge, "Playable files.", catalog.video_count())?;
    let problems = catalog.problems.len() + catalog.problems_left_off;
    single(&mut out, "headwater_library_problems", gauge, "Places that could not be read.", problems)?;
    let medias = [
        ("headwater_titles_open", gauge, "Titles open now.", stats.titles_open),
        ("headwater_titles_opened_total", counter, "Titles opened.", stats.titles_opened),
        (
            "headwater_titles_closed_idle_total",
            counter,
            "Titles closed because nobody asked.",
            stats.titles_closed_idle,
        ),
        ("headwater_plans_made_total", counter, "Plans made from files.", stats.plans_made),
        ("headwater_plans_loaded_total", counter, "Plans found on disk.", stats.plans_loaded),
        ("headwater_segments_made_total", counter, "Segments made.", stats.segments_made),
        (
            "headwater_segments_shared_total",
            counter,
            "Requests that joined a segment being made.",
            stats.segments_shared,
        ),
        (
            "headwater_segments_from_memory_total",
            counter,
            "Requests answered from memory.",
            stats.segments_from_memory,
        ),
        (
            "headwater_segments_from_cache_total",
            counter,
            "Requests answered from the disk cache.",
            stats.segments_from_cache,
        ),
        (
            "headwater_segments_cancelled_total",
            counter,
            "Segments given up because everyone had gone.",
            stats.segments_cancelled,
        ),
        ("headwater_segment_in_flight_bytes", gauge, "Bytes of segments being made.", stats.in_flight_bytes),
        (
            "headwater_segment_recent_bytes",
            gauge,
            "Bytes of finished segments in memory.",
            stats.recent_bytes,
        ),
        ("headwater_cache_bytes", gauge, "Bytes of the disk cache.", stats.cache_bytes),
        ("headwater_cache_limit_bytes", gauge, "Bytes the disk cache may take.", stats.cache_limit_bytes),
        ("headwater_cache_files", gauge, "Files in the disk cache.", stats.cache_files),
        ("headwater_cache_evicted_total", counter, "Files put out of the disk cache.", stats.cache_evicted),
        ("headwater_cache_skipped_total", counter, "Segments not written to the cache.", stats.cache_skipped),
        ("headwater_cache_corrupt_total", counter, "Cache files found damaged.", stats.cache_corrupt),
    ];
    for (name, kind, help, value) in medias {
        single(&mut out, name, kind, help, value)?;
    }
    if let Some(transcoding) = inner.media.transcoding() {
        workers(&mut out, &transcoding)?;
    }
    if let Some(torrents) = state.torrents().ok().filter(|torrents| torrents.running().is_some()) {
        swarm(&mut out, torrents)?;
    }
    Ok(out)
}

/// The worker processes that encode.
fn workers(out: &mut String, status: &TranscodeStatus) -> std::fmt::Result {
    let (counter, gauge) = ("counter", "gauge");
    family(
        out,
        "headwater_worker_sandbox",
        gauge,
        "How much of the sandbox workers have: 1 at their level.",
    )?;
    let reached = status.report.as_ref().map(|report| report.sandbox.level());
    for level in [Level::Full, Level::Partial, Level::None] {
        let is = u8::from(reached == Some(level));
        writeln!(out, "headwater_worker_sandbox{{level=\"{level}\"}} {is}")?;
    }
    let off = u64::from(status.off.is_some());
    for (name, kind, help, value) in [
        ("headwater_transcode_off", gauge, "Whether nothing can be transcoded.", off),
        ("headwater_transcode_titles", gauge, "Titles that have a worker.", status.titles as u64),
        ("headwater_transcode_titles_limit", gauge, "Titles that may have one.", status.titles_max as u64),
        ("headwater_workers_started_total", counter, "Workers started.", status.started),
        (
            "headwater_workers_lost_total",
            counter,
            "Workers that died or hung while they worked.",
            status.lost,
        ),
        ("headwater_transcodes_done_total", counter, "Stretches encoded.", status.done),
        (
            "headwater_transcodes_retried_total",
            counter,
            "Stretches asked of a second worker.",
            status.retried,
        ),
        (
            "headwater_transcodes_refused_total",
            counter,
            "Stretches refused because their title's workers died too often.",
            status.refused,
        ),
    ] {
        single(out, name, kind, help, value)?;
    }
    Ok(())
}

/// The torrent engine, once it runs. No label names a torrent: their number is not ours to bound.
fn swarm(out: &mut String, torrents: &Torrents) -> std::fmt::Result {
    let (counter, gauge) = ("counter", "gauge");
    let (mut states, mut wasted, mut corrupt, mut readers) = (BTreeMap::new(), 0_u64, 0_u64, 0);
    for snapshot in torrents.all().iter().map(engine::Torrent::snapshot) {
        *states.entry(state_name(snapshot.state)).or_insert(0_u64) += 1;
        wasted = wasted.saturating_add(snapshot.wasted);
        corrupt = corrupt.saturating_add(snapshot.corrupt);
        readers += snapshot.readers;
    }
    family(out, "headwater_torrents", gauge, "Torrents by state.")?;
    for state in STATES.map(state_name) {
        let count = states.get(state).copied().unwrap_or_default();
        writeln!(out, "headwater_torrents{{state=\"{state}\"}} {count}")?;
    }
    let Some(stats) = torrents.running().map(engine::Session::stats) else { return Ok(()) };
    for (name, kind, help, value) in [
        ("headwater_swarm_peers", gauge, "Peers connected.", stats.peers as u64),
        ("headwater_swarm_dht_nodes", gauge, "Nodes in the DHT's table.", stats.dht_nodes as u64),
        ("headwater_swarm_readers", gauge, "Readers of torrents' files.", readers as u64),
        (
            "headwater_swarm_blocked",
            gauge,
            "Whether no packet may leave.",
            u64::from(stats.blocked.is_some()),
        ),
        ("headwater_swarm_download_bytes_per_second", gauge, "Payload that comes in.", stats.download_rate),
        ("headwater_swarm_upload_bytes_per_second", gauge, "Payload that goes out.", stats.upload_rate),
        ("headwater_swarm_downloaded_bytes_total", counter, "Payload taken.", stats.downloaded),
        ("headwater_swarm_uploaded_bytes_total", counter, "Payload given.", stats.uploaded),
        (
            "headwater_swarm_wasted_bytes",
            gauge,
            "Payload taken to no use, of the torrents there are.",
            wasted,
        ),
        (
            "headwater_swarm_corrupt_bytes",
            gauge,
            "Payload that was false, of the torrents there are.",
            corrupt,
        ),
    ] {
        single(out, name, kind, help, value)?;
    }
    Ok(())
}

const STATES: [State; 8] = [
    State::Metadata,
    State::Checking,
    State::Downloading,
    State::Seeding,
    State::Finished,
    State::Idle,
    State::Paused,
    State::Failed,
];

fn state_name(state: State) -> &'static str {
    match state {
        State::Metadata => "metadata",
        State::Checking => "checking",
        State::Downloading => "downloading",
        State::Seeding => "seeding",
        State::Finished => "finished",
        State::Idle => "idle",
        State::Paused => "paused",
        State::Failed => "failed",
    }
}

/// Resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
