//! Ours as a client and as a server, alone on loopback: nobody is looked for unless a test says so.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{PATIENCE, Share, free_port, http, local, namespace::Namespace, process::Process};
use crate::fixtures::binary;

/// What keeps it from looking around.
pub const ALONE: &[&str] = &["--no-dht", "--no-lsd", "--no-upnp"];

/// Our binary with a home of its own.
///
/// # Errors
/// It is not built.
pub fn command(home: &Path, args: &[&str]) -> Result<Command> {
    Ok(dress(Command::new(binary()?), home, args))
}

fn dress(mut command: Command, home: &Path, args: &[&str]) -> Command {
    command
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("HEADWATER_TRANSCODE", "false")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    if let Some(log) = std::env::var_os("HEADWATER_TEST_LOG") {
        command.env("HEADWATER_LOG", log);
    }
    command
}

/// A `download` or `seed` that runs.
#[derive(Debug)]
pub struct Ours {
    process: Process,
    /// Where it listens for peers.
    pub address: SocketAddr,
}

impl Ours {
    /// Fetches the share's torrent into its `leech/`.
    ///
    /// # Errors
    /// It is not built.
    pub fn download(share: &Share, more: &[&str]) -> Result<Self> {
        let torrent = share.torrent().display().to_string();
        Self::fetch(share, &torrent, more)
    }

    /// Fetches `what` (a magnet, an address) into the share's `leech/`.
    ///
    /// # Errors
    /// It is not built.
    pub fn fetch(share: &Share, what: &str, more: &[&str]) -> Result<Self> {
        let leech = share.leech_dir().display().to_string();
        Self::start(share, &[&["download", what, "-o", &leech, "--json"], ALONE, more].concat())
    }

    /// Gives what is in the share's `seed/`.
    ///
    /// # Errors
    /// It is not built, or does not get to seeding.
    pub fn seed(share: &Share, more: &[&str]) -> Result<Self> {
        let (torrent, data) = (share.torrent().display().to_string(), share.seed_dir().display().to_string());
        let this =
            Self::start(share, &[&["seed", &torrent, "--data", &data, "--json"], ALONE, more].concat())?;
        this.process.expect("seeding", PATIENCE, |line| (line["type"] == "seeding").then_some(()))?;
        Ok(this)
    }

    /// Runs with exactly these arguments and a port for peers.
    ///
    /// # Errors
    /// It is not built.
    pub fn start(share: &Share, args: &[&str]) -> Result<Self> {
        Self::run(share, Command::new(binary()?), args)
    }

    /// The same in a namespace.
    ///
    /// # Errors
    /// It is not built.
    pub fn start_in(namespace: &Namespace, share: &Share, args: &[&str]) -> Result<Self> {
        Self::run(share, namespace.command(binary()?), args)
    }

    fn run(share: &Share, command: Command, args: &[&str]) -> Result<Self> {
        let address = local(free_port()?);
        let port = address.port().to_string();
        let command = dress(command, &share.scratch("home")?, &[args, &["--listen-port", &port]].concat());
        let log = share.scratch("logs")?.join(format!("ours-{port}"));
        Ok(Self { process: Process::start(command, &log)?, address })
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits for its good end; the line that says it finished.
    ///
    /// # Errors
    /// It fails or goes on.
    pub fn finished(&mut self) -> Result<Value> {
        let line = self.process.expect("finish", PATIENCE, |line| {
            (line["type"] == "finished" || line["type"] == "failed").then(|| line.clone())
        })?;
        ensure!(line["type"] == "finished", "ours: {line}; {}", self.process.complaints());
        let status = self.process.wait(PATIENCE)?;
        ensure!(status.success(), "ours: {status}; {}", self.process.complaints());
        Ok(line)
    }

    /// Waits for a line of progress that `enough` says yes to.
    ///
    /// # Errors
    /// None comes in time.
    pub fn progress(&self, what: &str, enough: impl Fn(&Value) -> bool) -> Result<Value> {
        self.process.expect(what, PATIENCE, |line| enough(line).then(|| line.clone()))
    }
}

/// A `serve` that runs.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// Where HTTP is answered.
    pub http: SocketAddr,
    /// Where peers are listened for.
    pub address: SocketAddr,
    home: PathBuf,
}

impl Server {
    /// Serves with a data folder below the share's `home/`, torrents into its `leech/`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn start(share: &Share, more: &[&str]) -> Result<Self> {
        let (http, address) = (local(free_port()?), local(free_port()?));
        let home = share.scratch("home")?;
        let (port, peers) = (http.port().to_string(), address.port().to_string());
        let leech = share.leech_dir().display().to_string();
        let args = [
            &[
                "serve",
                "--port",
                &port,
                "--listen-port",
                &peers,
                "--download-dir",
                &leech,
                "--cache",
                "false",
            ],
            ALONE,
            more,
        ]
        .concat();
        let log = share.scratch("logs")?.join(format!("serve-{port}"));
        let process = Process::start(command(&home, &args)?, &log)?;
        process.expect("address", PATIENCE, |line| line.as_str()?.contains("listens").then_some(()))?;
        Ok(Self { process, http, address, home })
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A request and its whole answer.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<http::Answer> {
        http::send(self.http, method, target, headers, body, PATIENCE)
    }

    /// JSON, of any status below 300.
    ///
    /// # Errors
    /// Another status.
    pub fn json(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value> {
        let text = body.map(ToString::to_string).unwrap_or_default();
        let headers: &[_] = if body.is_some() { &[("Content-Type", "application/json")] } else { &[] };
        let answer = self.send(method, target, headers, text.as_bytes())?;
        ensure!(
            answer.status < 300,
            "{method} {target}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// Waits until the torrent is as `is` wants it.
    ///
    /// # Errors
    /// It does not get there in time.
    pub fn wait(&self, info_hash: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let (begun, mut last) = (Instant::now(), Value::Null);
        while begun.elapsed() < PATIENCE {
            last = self.json("GET", &format!("/api/v1/torrents/{info_hash}"), None)?;
            if is(&last) {
                return Ok(last);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the torrent does not get to {what}: {last}; {}", self.process.complaints())
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// It is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.process.signal("-KILL")?;
        self.process.wait(PATIENCE).context("kill")?;
        Ok(())
    }
}
