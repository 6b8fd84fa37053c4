//! Cut segments over HTTP: one client after another, 64 at once, and an `ffmpeg` process per segment beside them.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use e2e::client::Client;

use crate::stats::Times;

/// What one pass over a list of segments gave.
pub(crate) struct Pass {
    pub(crate) times: Times,
    pub(crate) mib: f64,
    /// Milliseconds per MB (10^6 bytes), all segments together.
    pub(crate) ms_per_mb: f64,
    pub(crate) first_byte: Times,
}

/// Gets every path once, in a seeded order, over one connection.
pub(crate) fn one_by_one(server: SocketAddr, paths: &[String]) -> Result<Pass> {
    let mut client = Client::connect(server)?;
    let (mut times, mut first) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for path in shuffled(paths) {
        let answer = client.get(path, None, false)?;
        ensure!(answer.status == 200, "{path}: status {}", answer.status);
        bytes += answer.bytes;
        times.push(answer.took);
        first.push(answer.first_byte);
    }
    let total: Duration = times.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let mb = bytes as f64 / 1e6;
    Ok(Pass {
        times: Times::new(times),
        mib: mb * 1e6 / 1048576.0,
        ms_per_mb: total.as_secs_f64() * 1e3 / mb,
        first_byte: Times::new(first),
    })
}

/// `clients` connections at once for `span`: segments per second and MB per second.
pub(crate) fn many(
    server: SocketAddr,
    paths: &[String],
    clients: usize,
    span: Duration,
) -> Result<(f64, f64)> {
    let (stop, segments, bytes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..clients)
            .map(|n| {
                let (stop, segments, bytes) = (&stop, &segments, &bytes);
                scope.spawn(move || -> Result<()> {
                    let mut client = Client::connect(server)?;
                    let order = shuffled(paths);
                    for path in order.iter().cycle().skip(n * 7) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let answer = client.get(path, None, false)?;
                        ensure!(answer.status == 200, "{path}: status {}", answer.status);
                        segments.fetch_add(1, Ordering::Relaxed);
                        bytes.fetch_add(answer.bytes, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        std::thread::sleep(span);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")))
    })?;
    let took = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let figures = (segments.into_inner() as f64 / took, bytes.into_inner() as f64 / 1e6 / took);
    Ok(figures)
}

/// One `ffmpeg -c copy` process per segment of these (start, duration) seconds.
pub(crate) fn ffmpeg(film: &Path, spans: &[(f64, f64)], format: &[&str]) -> Result<Times> {
    let mut times = Vec::new();
    for (start, duration) in spans {
        let begin = Instant::now();
        let status = Command::new("ffmpeg")
            .args(["-v", "quiet", "-nostdin", "-ss", &start.to_string()])
            .arg("-i")
            .arg(film)
            .args(["-t", &duration.to_string(), "-map", "0:v:0", "-map", "0:a:0", "-c", "copy"])
            .args(format)
            .arg("pipe:1")
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "ffmpeg failed on {}", film.display());
        times.push(begin.elapsed());
    }
    Ok(Times::new(times))
}

/// The segments of a media playlist (their URIs, resolved beside it) with start and duration in seconds.
pub(crate) fn playlist(server: SocketAddr, path: &str) -> Result<Vec<(String, f64, f64)>> {
    let answer = Client::connect(server)?.get(path, None, true)?;
    ensure!(answer.status == 200, "{path}: status {}", answer.status);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let base = path.split('?').next().unwrap_or_default().rsplit_once('/').map_or("", |(dir, _)| dir);
    let (mut out, mut at, mut duration) = (Vec::new(), 0.0, 0.0);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#EXTINF:") {
            duration = rest.split(',').next().unwrap_or_default().parse()?;
        } else if !line.is_empty() && !line.starts_with('#') {
            let uri = if line.starts_with('/') { line.to_owned() } else { format!("{base}/{line}") };
            out.push((uri, at, duration));
            at += duration;
        }
    }
    ensure!(!out.is_empty(), "{path} lists no segment");
    Ok(out)
}

fn shuffled(paths: &[String]) -> Vec<&String> {
    let mut order: Vec<&String> = paths.iter().collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..order.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let j = usize::try_from(seed % (i as u64 + 1)).unwrap_or(0);
        order.swap(i, j);
    }
    order
}
