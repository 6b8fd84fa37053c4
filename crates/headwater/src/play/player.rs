//! The program that shows the film: which one, how it is started, how it ends.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::{
    failure::Failure,
    torrent::{printable, progress::note},
};

/// Looked for in this order when none is named.
const KNOWN: [&str; 2] = ["mpv", "vlc"];

/// A player, or none.
pub(super) struct Player {
    program: Option<PathBuf>,
    args: Vec<String>,
}

impl Player {
    /// The named one, or the first of those known that is installed.
    pub(super) fn find(named: Option<&str>, args: &[String]) -> Result<Self, Failure> {
        let program = match named {
            Some("none") => None,
            Some(name) => Some(installed(name).ok_or_else(|| {
                Failure::Usage(format!(
                    "--player is \"{}\": it is not installed; expected mpv, vlc, another player's name or path, or none",
                    name.escape_debug()
                ))
            })?),
            None => {
                let found = KNOWN.iter().find_map(|name| installed(name));
                if found.is_none() {
                    note("neither mpv nor VLC is installed: open the address in a player of yours");
                }
                found
            }
        };
        Ok(Self { program, args: args.to_vec() })
    }

    /// Whether nothing is started.
    pub(super) fn is_none(&self) -> bool {
        self.program.is_none()
    }

    /// Starts it on `address`; `title` is what its window shows.
    pub(super) fn start(&self, address: &OsStr, title: &str) -> Result<Playing, Failure> {
        let program = self.program.as_deref().ok_or_else(|| anyhow!("there is no player"))?;
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let child = Command::new(program)
            .args(manners(&name, title))
            .args(&self.args)
            .arg(address)
            // The terminal is ours: progress is drawn on it.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("player {}", program.display()))?;
        Ok(Playing { name, child })
    }
}

/// What makes a player quiet, and end when the film does. Titles are others' words: each is part of one argument.
fn manners(name: &str, title: &str) -> Vec<OsString> {
    let title = printable(title);
    let args: Vec<String> = match name {
        "mpv" => vec![
            "--quiet".to_owned(),
            "--no-input-terminal".to_owned(),
            format!("--force-media-title={title}"),
        ],
        "vlc" | "cvlc" => {
            vec!["--quiet".to_owned(), "--play-and-exit".to_owned(), format!("--meta-title={title}")]
        }
        _ => Vec::new(),
    };
    args.into_iter().map(OsString::from).collect()
}

/// Where the program is: a path as it stands, a name in `PATH`.
fn installed(name: &str) -> Option<PathBuf> {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| runs(path));
    }
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| runs(path))
}

/// A player that runs; it is asked to end when this is dropped.
pub(super) struct Playing {
    name: String,
    child: Child,
}

impl Playing {
    /// Waits for its end.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn ended(&mut self) -> Result<(), Failure> {
        let status = self.child.wait().await.with_context(|| format!("player {}", self.name))?;
        if status.success() {
            return Ok(());
        }
        Err(anyhow!("player {} ended with {status}", self.name).into())
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // No id once it was waited for: nobody else's process is meant.
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
