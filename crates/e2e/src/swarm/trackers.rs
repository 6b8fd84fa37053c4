//! Trackers: opentracker and npm's bittorrent-tracker, HTTP and UDP on one port each.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{
    PATIENCE, Share, free_port, http, local,
    namespace::{FAR, Namespace},
    process::Process,
    script,
};
use crate::server::find;

/// A tracker that runs.
#[derive(Debug)]
pub struct Tracker {
    process: Process,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Tracker {
    /// opentracker, which knows the torrents of [`allow`](Self::allow).
    ///
    /// # Errors
    /// It is not installed or does not answer.
    pub fn opentracker() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("opentracker-").tempdir()?;
        // As root it becomes nobody, in this folder.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777))?;
        fs::write(dir.path().join("torrents"), "")?;
        let address = local(free_port()?);
        let port = address.port().to_string();
        let mut command = Command::new(find(&["opentracker"]).context("opentracker is not installed")?);
        command.current_dir(dir.path());
        command.args(["-i", "127.0.0.1", "-p", &port, "-P", &port, "-w", "torrents", "-d"]).arg(dir.path());
        let log = dir.path().join("log");
        let tracker = Self { process: Process::start(command, &log)?, address, dir };
        tracker.wait()?;
        Ok(tracker)
    }

    /// Lets opentracker track a torrent; Debian builds it for listed ones only.
    ///
    /// # Errors
    /// It has ended.
    pub fn allow(&self, share: &Share) -> Result<()> {
        fs::write(self.dir.path().join("torrents"), format!("{}\n", share.info_hash))?;
        // It reads its list anew.
        self.process.signal("-HUP")?;
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    /// npm's bittorrent-tracker; [`announces`](Self::announce) are told one by one.
    ///
    /// # Errors
    /// Its packages are not installed (`npm ci` in `tests/swarm`).
    pub fn bittorrent_tracker() -> Result<Self> {
        Self::npm(Command::new("node"), local(free_port()?))
    }

    /// The same in a namespace, for those who reach its second end ([`Namespace::pair`]).
    ///
    /// # Errors
    /// As [`bittorrent_tracker`](Self::bittorrent_tracker).
    pub fn bittorrent_tracker_at(namespace: &Namespace) -> Result<Self> {
        Self::npm(namespace.command("node"), SocketAddr::new(FAR.parse()?, free_port()?))
    }

    fn npm(mut command: Command, address: SocketAddr) -> Result<Self> {
        ensure!(
            script("node_modules").is_dir(),
            "{}: run npm ci --ignore-scripts there",
            script("").display()
        );
        let dir = tempfile::Builder::new().prefix("tracker-").tempdir()?;
        command.arg(script("tracker.mjs")).arg(address.port().to_string()).arg(address.ip().to_string());
        let process = Process::start(command, &dir.path().join("log"))?;
        process.expect("port", PATIENCE, |line| line["listening"].as_u64())?;
        Ok(Self { process, address, dir })
    }

    fn wait(&self) -> Result<()> {
        for _ in 0..200 {
            let answer = http::send(self.address, "GET", "/stats", &[], b"", Duration::from_secs(2));
            if answer.is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{}: no answer; {}", self.address, self.process.complaints())
    }

    /// `http://…/announce`.
    #[must_use]
    pub fn http(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// Its port, for HTTP and UDP.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `udp://…/announce`.
    #[must_use]
    pub fn udp(&self) -> String {
        format!("udp://{}/announce", self.address)
    }

    /// The next announce of this event (`start`, `update`, `complete`, `stop`), by bittorrent-tracker.
    ///
    /// # Errors
    /// There is none in time.
    pub fn announce(&self, event: &str) -> Result<Value> {
        self.process.expect(event, PATIENCE, |line| (line["event"] == event).then(|| line.clone()))
    }

    /// Every announce that nobody waited for.
    #[must_use]
    pub fn announces(&self) -> Vec<Value> {
        self.process.said()
    }

    /// Where it writes.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
