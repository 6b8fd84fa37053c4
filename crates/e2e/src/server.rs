//! Servers under measurement: each a child process of ours on a free loopback port, ended when dropped.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::client::{Client, get};

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to the first answer.
    pub up: Duration,
}

impl Server {
    /// Ours, which only cuts, over `films`; `cache` is the segment cache's folder, or none.
    ///
    /// # Errors
    /// It does not answer within 15 seconds.
    pub fn headwater(binary: &Path, films: &Path, scratch: &Path, cache: bool) -> Result<Self> {
        Self::with(binary, films, scratch, cache, &[("HEADWATER_TRANSCODE", "false")])
    }

    /// The same, with workers that encode.
    ///
    /// # Errors
    /// As [`headwater`](Self::headwater).
    pub fn transcoding(binary: &Path, films: &Path, scratch: &Path, cache: bool) -> Result<Self> {
        Self::with(binary, films, scratch, cache, &[])
    }

    fn with(binary: &Path, films: &Path, scratch: &Path, cache: bool, env: &[(&str, &str)]) -> Result<Self> {
        let address = free_port()?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "--host", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--cache", if cache { "true" } else { "false" }])
            .arg("--cache-path")
            .arg(scratch.join("cache"))
            .arg("--data-dir")
            .arg(scratch.join("data"))
            .arg("--target-path")
            .arg(films)
            .envs(env.iter().copied());
        Self::start(command, address, "/healthz")
    }

    /// nginx with this configuration body inside `server {}`.
    ///
    /// # Errors
    /// It does not answer within 15 seconds.
    pub fn nginx(binary: &Path, scratch: &Path, http: &str, server: &str, probe: &str) -> Result<Self> {
        let address = free_port()?;
        let dir = scratch.join(format!("nginx-{}", address.port()));
        fs::create_dir_all(&dir)?;
        let conf = dir.join("nginx.conf");
        fs::write(
            &conf,
            format!(
                "daemon off; master_process on; worker_processes 2; user root; pid {d}/pid; error_log {d}/err.log;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000;\n\
                 client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u;\n\
                 scgi_temp_path {d}/s; {http}\n server {{ listen {address} reuseport; {server} }} }}\n",
                d = dir.display()
            ),
        )?;
        let mut command = Command::new(binary);
        command.arg("-p").arg(&dir).arg("-c").arg(&conf);
        Self::start(command, address, probe)
    }

    fn start(mut command: Command, address: SocketAddr, probe: &str) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        while start.elapsed() < Duration::from_secs(15) {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended at once: {status}");
            }
            if Client::connect(address).and_then(|mut c| c.get(probe, None, false)).is_ok() {
                return Ok(Self { child, address, up: start.elapsed() });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        bail!("{name} does not answer {probe} on {address}")
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// It is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its films: file name to `video_id`, once at least `count` are listed.
    ///
    /// # Errors
    /// They are not within ten seconds.
    pub fn videos(&self, count: usize) -> Result<BTreeMap<String, String>> {
        let mut videos = BTreeMap::new();
        for _ in 0..500 {
            let shows: serde_json::Value =
                serde_json::from_slice(&get(self.address, "/api/v1/shows?limit=1000")?.body)?;
            for id in ids(&shows) {
                if videos.values().any(|known| *known == id) {
                    continue;
                }
                let video = get(self.address, &format!("/api/v1/video/{id}"))?;
                let video: serde_json::Value = serde_json::from_slice(&video.body)?;
                if let Some(file) = video.get("file").and_then(|f| f.as_str()) {
                    videos.insert(file.to_owned(), id);
                }
            }
            if videos.len() >= count {
                return Ok(videos);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server lists {} films, {count} were expected", videos.len())
    }

    /// Resident memory in MiB, now and at its highest: this process and its children, summed.
    pub fn memory_mib(&self) -> (f64, f64) {
        let mut pids = vec![self.child.id()];
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        pids.extend(
            fs::read_to_string(children)
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|p| p.parse::<u32>().ok()),
        );
        pids.iter().map(|pid| status(*pid)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's master ends its workers on SIGTERM only.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every `video_id` in a list of shows, movies and episodes alike.
fn ids(shows: &serde_json::Value) -> Vec<String> {
    let of = |value: &serde_json::Value| value.get("video_id")?.as_str().map(str::to_owned);
    let mut found = Vec::new();
    for show in shows.as_array().into_iter().flatten() {
        found.extend(of(show));
        found.extend(show.get("episodes").and_then(|e| e.as_array()).into_iter().flatten().filter_map(of));
    }
    found
}

fn status(pid: u32) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(name))
            .and_then(|v| v.trim().trim_end_matches(" kB").parse::<f64>().ok())
            .unwrap_or(0.0)
            / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The first of these programs that is there.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).chain(sbin).collect();
    names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name))).find(|p| p.is_file())
}
