//! `bench-media`: opens, plans, cuts and serves a film, beside nginx, nginx-vod-module and `ffmpeg` in one run.
//!
//! Judges nothing: prints tables with ratios. The films come from `bench/make_film.sh`. nginx-vod-module is measured
//! where the environment's `NGINX_VOD` names an nginx that has it.

mod plan;
mod segments;
mod stats;
mod table;

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use e2e::{
    client::Client,
    server::{Server, find},
};

use crate::{
    segments::Pass,
    stats::{Times, f2},
    table::Table,
};

const CLIENTS: usize = 64;
const SPAN: Duration = Duration::from_secs(4);

fn main() -> Result<()> {
    let films = PathBuf::from(env::args().nth(1).context("usage: bench-media FILM_DIR HEADWATER_BINARY")?);
    let binary = PathBuf::from(env::args().nth(2).context("usage: bench-media FILM_DIR HEADWATER_BINARY")?);
    let films = films.canonicalize().context("film folder")?;
    let scratch = env::temp_dir().join(format!("headwater-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let report = run(&films, &binary, &scratch);
    let _ = fs::remove_dir_all(&scratch);
    let report = report?;
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    {
        println!("{report}");
    }
    Ok(())
}

fn run(films: &Path, binary: &Path, scratch: &Path) -> Result<String> {
    let (mkv, mp4) = (films.join("main.mkv"), films.join("main.mp4"));
    let mut report = format!("## Media, side by side\n\n{}\n", machine());
    note("opening and planning");
    report += &plan::measure(&[&mkv, &mp4])?.markdown();
    note("one segment after another");
    report += &cut(films, binary, scratch)?.markdown();
    note("64 clients");
    report += &crowd(films, binary, scratch)?.markdown();
    note("whole files");
    report += &files(films, binary, scratch)?.markdown();
    note("start and memory");
    report += &idle(films, binary, scratch)?.markdown();
    Ok(report)
}

fn id_of(ids: &BTreeMap<String, String>, file: &str) -> Result<String> {
    ids.get(file).cloned().with_context(|| format!("no {file} in the library"))
}

const FORMS: [(&str, &str); 2] = [("m4s", "fmp4"), ("ts", "ts")];

fn cut(films: &Path, binary: &Path, scratch: &Path) -> Result<Table> {
    let mut table = Table::new(
        "A cut segment, one client, title open",
        &["server", "film", "form", "MiB", "p50 / p95 / p99 ms", "first byte p50 ms", "ms per MB"],
    );
    for cache in [false, true] {
        let name = if cache { "headwater, cache" } else { "headwater" };
        let server = Server::headwater(binary, films, scratch, cache)?;
        let ids = server.videos(2)?;
        for film in ["main.mkv", "main.mp4"] {
            let id = id_of(&ids, film)?;
            for (form, container) in FORMS {
                let list = format!("/api/v1/video/{id}/source/stream.m3u8?container={container}");
                let paths = uris(server.address, &list)?;
                if !cache {
                    drop_page_cache(&films.join(film));
                    let cold = segments::one_by_one(server.address, &paths)?;
                    add(&mut table, &format!("{name}, cold file"), film, form, &cold);
                }
                segments::one_by_one(server.address, &paths)?;
                add(&mut table, name, film, form, &segments::one_by_one(server.address, &paths)?);
            }
        }
    }
    for (form, pass) in nginx_vod(films, scratch, segments::one_by_one)? {
        add(&mut table, "nginx-vod-module", "main.mp4", form, &pass);
    }
    let spans: Vec<(f64, f64)> = (0..20_u32).map(|n| (f64::from(n) * 29.0, 5.0)).collect();
    for film in ["main.mkv", "main.mp4"] {
        for (form, format) in [
            ("m4s", &["-f", "mp4", "-movflags", "frag_keyframe+empty_moov"][..]),
            ("ts", &["-f", "mpegts"][..]),
        ] {
            let times: Times = segments::ffmpeg(&films.join(film), &spans, format)?;
            table.row(vec![
                "ffmpeg process".into(),
                film.into(),
                form.into(),
                String::new(),
                times.row(),
                String::new(),
                String::new(),
            ]);
        }
    }
    Ok(table)
}

fn add(table: &mut Table, server: &str, film: &str, form: &str, pass: &Pass) {
    table.row(vec![
        server.into(),
        film.into(),
        form.into(),
        f2(pass.mib),
        pass.times.row(),
        f2(pass.first_byte.ms(50)),
        f2(pass.ms_per_mb),
    ]);
}

fn uris(server: SocketAddr, playlist: &str) -> Result<Vec<String>> {
    Ok(segments::playlist(server, playlist)?.into_iter().map(|(uri, _, _)| uri).collect())
}

fn nginx_vod<T>(
    films: &Path,
    scratch: &Path,
    mut measure: impl FnMut(SocketAddr, &[String]) -> Result<T>,
) -> Result<Vec<(&'static str, T)>> {
    let Some(nginx) = env::var_os("NGINX_VOD").map(PathBuf::from) else {
        note("nginx-vod-module: not measured; NGINX_VOD names no nginx");
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    for (form, container) in [("m4s", "fmp4"), ("ts", "mpegts")] {
        let http = "vod_metadata_cache metadata 256m; vod_mode local; vod_segment_duration 5000; \
                    vod_align_segments_to_key_frames on; vod_max_mapping_response_size 64k;";
        let server = format!(
            "location /hls/ {{ vod hls; vod_hls_container_format {container}; alias {}/; }}",
            films.display()
        );
        let server = Server::nginx(&nginx, scratch, http, &server, "/hls/main.mp4/master.m3u8")?;
        let paths: Vec<String> = segments::playlist(server.address, "/hls/main.mp4/index-v1-a1.m3u8")
            .or_else(|_| segments::playlist(server.address, "/hls/main.mp4/index-v1.m3u8"))?
            .into_iter()
            // It lists whole addresses.
            .map(|(uri, _, _)| uri.rfind("/hls/").map_or(uri.clone(), |at| uri[at..].to_owned()))
            .collect();
        segments::one_by_one(server.address, &paths)?;
        out.push((form, measure(server.address, &paths)?));
    }
    Ok(out)
}

fn crowd(films: &Path, binary: &Path, scratch: &Path) -> Result<Table> {
    let mut table = Table::new(
        format!("{CLIENTS} clients for {} s, random segments", SPAN.as_secs()),
        &["server", "film", "form", "segments/s", "MB/s", "resident MiB now / most"],
    );
    let server = Server::headwater(binary, films, scratch, false)?;
    let ids = server.videos(2)?;
    for film in ["main.mkv", "main.mp4"] {
        let id = id_of(&ids, film)?;
        for (form, container) in FORMS {
            let list = format!("/api/v1/video/{id}/source/stream.m3u8?container={container}");
            let paths = uris(server.address, &list)?;
            let (rate, mb) = segments::many(server.address, &paths, CLIENTS, SPAN)?;
            let (now, most) = server.memory_mib();
            table.row(vec![
                "headwater".into(),
                film.into(),
                form.into(),
                f2(rate),
                f2(mb),
                format!("{now:.0} / {most:.0}"),
            ]);
        }
    }
    drop(server);
    for (form, (rate, mb)) in
        nginx_vod(films, scratch, |server, paths| segments::many(server, paths, CLIENTS, SPAN))?
    {
        table.row(vec![
            "nginx-vod-module".into(),
            "main.mp4".into(),
            form.into(),
            f2(rate),
            f2(mb),
            String::new(),
        ]);
    }
    Ok(table)
}

fn files(films: &Path, binary: &Path, scratch: &Path) -> Result<Table> {
    let mut table = Table::new(
        "The file itself",
        &["server", "whole file MB/s (median of 9)", "64 clients, 1 MiB ranges MB/s"],
    );
    let ours = Server::headwater(binary, films, scratch, false)?;
    let id = id_of(&ours.videos(2)?, "main.mp4")?;
    let mut rows = vec![("headwater", ours.address, format!("/api/v1/video/{id}/file"))];
    let nginx = match find(&["nginx"]) {
        Some(nginx) => {
            Some(Server::nginx(&nginx, scratch, "", &format!("root {};", films.display()), "/main.mp4")?)
        }
        None => None,
    };
    if let Some(nginx) = &nginx {
        rows.push(("nginx (sendfile)", nginx.address, "/main.mp4".to_owned()));
    }
    for (name, address, path) in rows {
        let mut rates: Vec<f64> = (0..9).map(|_| whole(address, &path)).collect::<Result<_>>()?;
        rates.sort_by(f64::total_cmp);
        let len = fs::metadata(films.join("main.mp4"))?.len();
        table.row(vec![name.into(), f2(rates[4]), f2(ranges(address, &path, len)?)]);
    }
    Ok(table)
}

fn whole(server: SocketAddr, path: &str) -> Result<f64> {
    let answer = Client::connect(server)?.get(path, None, false)?;
    ensure!(answer.status == 200, "{path}: status {}", answer.status);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let mb = answer.bytes as f64 / 1e6;
    Ok(mb / answer.took.as_secs_f64())
}

fn ranges(server: SocketAddr, path: &str, len: u64) -> Result<f64> {
    const RANGE: u64 = 1 << 20;
    const EACH: u64 = 60;
    let start = std::time::Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..CLIENTS as u64)
            .map(|n| {
                scope.spawn(move || -> Result<()> {
                    let mut client = Client::connect(server)?;
                    for k in 0..EACH {
                        let at = (n * 7919 + k * 104_729) % (len / RANGE) * RANGE;
                        let answer = client.get(path, Some((at, at + RANGE - 1)), false)?;
                        ensure!(answer.status == 206 && answer.bytes == RANGE, "range: {}", answer.status);
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")))
    })?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let mb = (CLIENTS as u64 * EACH * RANGE) as f64 / 1e6;
    Ok(mb / start.elapsed().as_secs_f64())
}

fn idle(films: &Path, binary: &Path, scratch: &Path) -> Result<Table> {
    let mut table =
        Table::new("Idle", &["server", "start to first answer ms (median of 5)", "resident MiB after 2 s"]);
    let mut ups = Vec::new();
    let mut resident = 0.0;
    for _ in 0..5 {
        let server = Server::headwater(binary, films, scratch, true)?;
        ups.push(server.up);
        if ups.len() == 5 {
            std::thread::sleep(Duration::from_secs(2));
            resident = server.memory_mib().0;
        }
    }
    table.row(vec!["headwater".into(), f2(Times::new(ups).ms(50)), f2(resident)]);
    Ok(table)
}

/// Asks the kernel to forget a file's pages; it needs no right for that, and may decline.
fn drop_page_cache(film: &Path) {
    let _ = Command::new("dd")
        .arg(format!("of={}", film.display()))
        .args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"])
        .status();
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores{model}; ratios hold, absolute times do not.")
}

#[expect(clippy::print_stderr, reason = "progress of a long command")]
fn note(what: &str) {
    eprintln!("bench: {what}");
}
