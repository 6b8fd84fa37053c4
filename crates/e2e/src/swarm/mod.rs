//! Swarms on loopback: other clients, trackers and web seeds as child processes, and ours between them.
//!
//! Every partner is another project's program that shares no code with ours. Each is isolated (its own folder, its own
//! ports), bounded in time, and ended by its process id when dropped.

pub mod clients;
pub mod http;
pub mod namespace;
pub mod ours;
pub mod process;
pub mod trackers;

use std::{
    fs,
    io::{BufWriter, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::fixtures::workspace;

/// How long a partner may take over anything: slow machines and transmission's ticks included.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port that nobody has, for TCP and UDP, at 127.0.0.1 and (where there is one) `::1`.
///
/// # Errors
/// The system has none.
pub fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if udp && (TcpListener::bind(("::1", port)).is_ok() || !has_ipv6()) {
            return Ok(port);
        }
    }
    bail!("no port is free for TCP and UDP")
}

/// Whether this machine has `::1`; containers often do not.
#[must_use]
pub fn has_ipv6() -> bool {
    TcpListener::bind(("::1", 0)).is_ok()
}

/// `127.0.0.1:port`.
#[must_use]
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A script of `tests/swarm`.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    workspace().join("tests/swarm").join(name)
}

/// Writes `bytes` bytes of noise that `seed` decides.
///
/// # Errors
/// The disk's.
pub fn noise(path: &Path, bytes: u64, seed: u64) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    let mut noise = seeded::Rng::new(seed);
    let mut left = bytes;
    while left > 0 {
        let take = left.min(8);
        file.write_all(&noise.bytes::<8>()[..usize::try_from(take)?])?;
        left -= take;
    }
    file.flush()?;
    Ok(())
}

/// Something to share: a file of noise in `seed/`, an empty `leech/`, and its `.torrent`, made by ours.
#[derive(Debug)]
pub struct Share {
    dir: tempfile::TempDir,
    /// The file's name, and the torrent's.
    pub name: String,
    /// In hexadecimal digits.
    pub info_hash: String,
    pub magnet: String,
    pub pieces: u64,
    pub bytes: u64,
}

/// What a new torrent is like.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub bytes: u64,
    pub piece_length: u64,
    pub trackers: Vec<String>,
    pub web_seeds: Vec<String>,
    pub private: bool,
}

impl Recipe {
    /// A public torrent of so many MiB without trackers.
    #[must_use]
    pub fn mib(mib: u64) -> Self {
        Self { bytes: mib << 20, piece_length: 256 << 10, ..Self::default() }
    }
}

impl Share {
    /// Makes it.
    ///
    /// # Errors
    /// Ours does not make the torrent.
    pub fn new(recipe: &Recipe) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("swarm-").tempdir()?;
        let name = "film.bin".to_owned();
        // Of the folder's name, which is random: no two tests share a torrent.
        let seed =
            dir.path().as_os_str().as_encoded_bytes().iter().fold(0, |seed: u64, byte| {
                seed.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(*byte))
            });
        noise(&dir.path().join("seed").join(&name), recipe.bytes, seed)?;
        fs::create_dir_all(dir.path().join("leech"))?;
        Self::over(dir, name, recipe)
    }

    /// A copy of a file that is there already; of the recipe's bytes nothing is taken.
    ///
    /// # Errors
    /// As [`new`](Self::new), or the file cannot be read.
    pub fn of(file: &Path, recipe: &Recipe) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("swarm-").tempdir()?;
        let name = crate::fixtures::name(file);
        for inside in ["seed", "leech"] {
            fs::create_dir_all(dir.path().join(inside))?;
        }
        let bytes = fs::copy(file, dir.path().join("seed").join(&name))
            .with_context(|| format!("{}", file.display()))?;
        Self::over(dir, name, &Recipe { bytes, ..recipe.clone() })
    }

    /// Another torrent of the same content.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn again(self, recipe: &Recipe) -> Result<Self> {
        Self::over(self.dir, self.name, recipe)
    }

    fn over(dir: tempfile::TempDir, name: String, recipe: &Recipe) -> Result<Self> {
        let mut command = Command::new(crate::fixtures::binary()?);
        command.arg("create").arg(dir.path().join("seed").join(&name)).args(["--json", "--force", "-o"]);
        command.arg(dir.path().join("share.torrent"));
        command.args(["--piece-length", &recipe.piece_length.to_string()]);
        for tracker in &recipe.trackers {
            command.args(["--tracker", tracker]);
        }
        for seed in &recipe.web_seeds {
            command.args(["--web-seed", seed]);
        }
        if recipe.private {
            command.arg("--private");
        }
        let output = command.env("HOME", dir.path()).output().context("headwater create")?;
        ensure!(output.status.success(), "create: {}", String::from_utf8_lossy(&output.stderr));
        let made: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let text = |key: &str| {
            made[key].as_str().map(str::to_owned).with_context(|| format!("create says no {key}"))
        };
        Ok(Self {
            name,
            info_hash: text("info_hash")?,
            magnet: text("magnet")?,
            pieces: made["pieces"].as_u64().context("pieces")?,
            bytes: recipe.bytes,
            dir,
        })
    }

    /// The `.torrent`.
    #[must_use]
    pub fn torrent(&self) -> PathBuf {
        self.dir.path().join("share.torrent")
    }

    /// Where the content is.
    #[must_use]
    pub fn seed_dir(&self) -> PathBuf {
        self.dir.path().join("seed")
    }

    /// Where it is to go.
    #[must_use]
    pub fn leech_dir(&self) -> PathBuf {
        self.dir.path().join("leech")
    }

    /// A folder for whatever a partner writes.
    ///
    /// # Errors
    /// The disk's.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Takes away what arrived, and what ours remembers of it.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget(&self) -> Result<()> {
        for dir in [self.leech_dir(), self.dir.path().join("home")] {
            fs::remove_dir_all(&dir)?;
            fs::create_dir_all(&dir)?;
        }
        Ok(())
    }

    /// Whether what arrived is what was sent.
    ///
    /// # Errors
    /// It is not, or not there.
    pub fn check(&self) -> Result<()> {
        let (sent, came) = (self.seed_dir().join(&self.name), self.leech_dir().join(&self.name));
        let came = fs::read(&came).with_context(|| format!("{}", came.display()))?;
        ensure!(came == fs::read(&sent)?, "{}: what arrived is not what was sent", self.name);
        Ok(())
    }
}
