//! Other clients: libtorrent, transmission, aria2; and a peer that sends noise.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    PATIENCE, Share, free_port, http, local,
    namespace::{FAR, Namespace},
    process::Process,
    script,
};

/// Debian's module is Debian's Python's.
fn python() -> String {
    std::env::var("HEADWATER_LIBTORRENT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned())
}

/// libtorrent, by way of its Python module.
#[derive(Debug)]
pub struct Libtorrent {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Libtorrent {
    /// Seeds what is in the share's `seed/`; `more` are flags of `tests/swarm/libtorrent_peer.py`.
    ///
    /// # Errors
    /// It does not start.
    pub fn seed(share: &Share, more: &[&str]) -> Result<Self> {
        let torrent = share.torrent().display().to_string();
        let save = share.seed_dir().display().to_string();
        Self::start(share, "127.0.0.1", &[&["--seed", "--torrent", &torrent, "--save", &save], more].concat())
    }

    /// The same at this address, where one was before.
    ///
    /// # Errors
    /// It does not start.
    pub fn seed_at(share: &Share, address: SocketAddr, more: &[&str]) -> Result<Self> {
        let torrent = share.torrent().display().to_string();
        let save = share.seed_dir().display().to_string();
        let args = [&["--seed", "--torrent", &torrent, "--save", &save], more].concat();
        Self::listen(share, Command::new(python()), address, &args)
    }

    /// Fetches into the share's `leech/`.
    ///
    /// # Errors
    /// It does not start.
    pub fn leech(share: &Share, more: &[&str]) -> Result<Self> {
        let torrent = share.torrent().display().to_string();
        let save = share.leech_dir().display().to_string();
        Self::start(share, "127.0.0.1", &[&["--torrent", &torrent, "--save", &save], more].concat())
    }

    /// With exactly these flags, listening on `ip`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(share: &Share, ip: &str, args: &[&str]) -> Result<Self> {
        Self::run(share, Command::new(python()), ip, args)
    }

    /// The same in a namespace, at the second end of a [pair](Namespace::pair).
    ///
    /// # Errors
    /// It does not start.
    pub fn start_in(namespace: &Namespace, share: &Share, args: &[&str]) -> Result<Self> {
        Self::run(share, namespace.command(python()), FAR, args)
    }

    fn run(share: &Share, command: Command, ip: &str, args: &[&str]) -> Result<Self> {
        let address = SocketAddr::new(ip.parse()?, free_port()?);
        Self::listen(share, command, address, args)
    }

    fn listen(share: &Share, mut command: Command, address: SocketAddr, args: &[&str]) -> Result<Self> {
        command.arg(script("libtorrent_peer.py")).args(["--listen", &address.to_string()]).args(args);
        let log = share.scratch("logs")?.join(format!("libtorrent-{}", address.port()));
        let process = Process::start(command, &log)?;
        process.expect("port", PATIENCE, |line| line["listening"].as_u64())?;
        Ok(Self { process, address })
    }

    /// Waits until it has everything.
    ///
    /// # Errors
    /// It does not get there in time.
    pub fn finished(&self) -> Result<()> {
        self.process.expect("finish", PATIENCE, |line| line["finished"].as_bool()).map(|_| ())
    }

    /// Its numbers: `progress`, `uploaded`, `downloaded`, `failed`, `peers`.
    ///
    /// # Errors
    /// It has ended.
    pub fn stats(&mut self) -> Result<Value> {
        self.process.tell("stats")?;
        self.process.expect("stats", PATIENCE, |line| line.get("stats").cloned())
    }
}

/// transmission-daemon, steered over its RPC.
#[derive(Debug)]
pub struct Transmission {
    process: Process,
    rpc: SocketAddr,
    session: String,
    /// Where it listens for peers.
    pub address: SocketAddr,
}

impl Transmission {
    /// Starts with a folder of its own and the share's torrent, over what is in `content`.
    ///
    /// # Errors
    /// It does not start, or refuses the torrent.
    pub fn start(share: &Share, content: &Path) -> Result<Self> {
        let (rpc, address) = (local(free_port()?), local(free_port()?));
        let dir = share.scratch(&format!("transmission-{}", rpc.port()))?;
        let mut command = Command::new("transmission-daemon");
        command
            .args(["--foreground", "--no-dht", "--no-lpd", "--no-portmap", "--no-auth", "--no-watch-dir"])
            .args(["--rpc-bind-address", "127.0.0.1", "--port", &rpc.port().to_string()])
            .args(["--bind-address-ipv4", "127.0.0.1", "--peerport", &address.port().to_string()])
            .arg("--config-dir")
            .arg(&dir)
            .arg("--download-dir")
            .arg(content);
        let process = Process::start(command, &dir.join("log"))?;
        let mut this = Self { process, rpc, session: String::new(), address };
        let begun = Instant::now();
        let add = json!({ "filename": share.torrent(), "download-dir": content, "paused": false });
        while let Err(error) = this.call("torrent-add", &add) {
            if begun.elapsed() > PATIENCE {
                bail!("transmission: {error:#}; {}", this.process.complaints());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(this)
    }

    /// A call of its RPC; `arguments` of the answer.
    ///
    /// # Errors
    /// It refuses.
    pub fn call(&mut self, method: &str, arguments: &Value) -> Result<Value> {
        let body = json!({ "method": method, "arguments": arguments }).to_string();
        for _ in 0..2 {
            let headers =
                [("X-Transmission-Session-Id", self.session.as_str()), ("Content-Type", "application/json")];
            let answer = http::send(
                self.rpc,
                "POST",
                "/transmission/rpc",
                &headers,
                body.as_bytes(),
                Duration::from_secs(10),
            )?;
            if answer.status == 409 {
                // Names the session that it wants to be asked in.
                self.session = answer.header("x-transmission-session-id").to_owned();
                continue;
            }
            let answer = answer.json()?;
            anyhow::ensure!(answer["result"] == "success", "transmission: {method}: {answer}");
            return Ok(answer["arguments"].clone());
        }
        bail!("transmission: {method}: it keeps asking for another session")
    }

    /// Waits until it has everything; `checks` has it look at the disk first.
    ///
    /// # Errors
    /// It does not get there in time.
    pub fn finished(&mut self, checks: bool) -> Result<()> {
        if checks {
            self.call("torrent-verify", &json!({}))?;
        }
        let (begun, mut last) = (Instant::now(), Value::Null);
        while begun.elapsed() < PATIENCE {
            let answer =
                self.call("torrent-get", &json!({ "fields": ["percentDone", "status", "errorString"] }))?;
            last = answer["torrents"][0].clone();
            // 2 is checking, 1 waits for it.
            if last["percentDone"].as_f64() == Some(1.0)
                && last["status"].as_u64().is_some_and(|status| status > 2)
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("transmission does not get there: {last}; {}", self.process.complaints())
    }
}

/// aria2c, which ends once it has everything unless it seeds.
#[derive(Debug)]
pub struct Aria2 {
    process: Process,
    /// Where it listens for peers.
    pub address: SocketAddr,
}

impl Aria2 {
    /// Starts over what is in `content`; `seeds` goes on when it has everything.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start(share: &Share, content: &Path, seeds: bool) -> Result<Self> {
        let address = local(free_port()?);
        let mut command = Command::new("aria2c");
        command
            .args(["--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"])
            .args(["--enable-peer-exchange=false", "--file-allocation=none", "--summary-interval=0"])
            .args(["--check-integrity=true", "--bt-tracker-connect-timeout=5", "--allow-overwrite=true"])
            .arg(if seeds { "--seed-ratio=0.0" } else { "--seed-time=0" })
            .arg(format!("--listen-port={}", address.port()))
            .arg("--dir")
            .arg(content)
            .arg(share.torrent());
        let log = share.scratch("logs")?.join(format!("aria2-{}", address.port()));
        Ok(Self { process: Process::start(command, &log)?, address })
    }

    /// Waits until it listens for peers.
    ///
    /// # Errors
    /// It does not.
    pub fn listens(&self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if std::net::TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("aria2 does not listen on {}; {}", self.address, self.process.complaints())
    }

    /// Waits for its good end.
    ///
    /// # Errors
    /// It fails or goes on.
    pub fn finished(&mut self) -> Result<()> {
        let status = self.process.wait(PATIENCE)?;
        anyhow::ensure!(status.success(), "aria2: {status}; {}", self.process.complaints());
        Ok(())
    }
}

/// A peer that claims to have everything and sends noise.
#[derive(Debug)]
pub struct Noise {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Noise {
    /// Starts.
    ///
    /// # Errors
    /// No Python.
    pub fn start(share: &Share) -> Result<Self> {
        let mut command = Command::new("python3");
        command.arg(script("garbage_peer.py")).args([
            "127.0.0.1:0",
            &share.info_hash,
            &share.pieces.to_string(),
        ]);
        let process = Process::start(command, &share.scratch("logs")?.join("noise"))?;
        let port = process.expect("port", PATIENCE, |line| line["listening"].as_u64())?;
        Ok(Self { process, address: local(u16::try_from(port).context("port")?) })
    }

    /// Waits until a connection on which it sent something was closed; how many blocks it had sent.
    ///
    /// # Errors
    /// Nobody drops it.
    pub fn dropped_after(&self) -> Result<u64> {
        self.process.expect("end of a connection", PATIENCE, |line| {
            line["blocks"].as_u64().filter(|blocks| *blocks > 0)
        })
    }

    /// Whether another connection on which it sent something was closed meanwhile.
    #[must_use]
    pub fn dropped_again(&self) -> Option<u64> {
        self.process.said().iter().find_map(|line| line["blocks"].as_u64().filter(|blocks| *blocks > 0))
    }
}
