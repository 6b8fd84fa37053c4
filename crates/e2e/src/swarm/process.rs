//! A child process whose lines are awaited: each line of stdout is JSON where it can be, and text elsewhere.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// After SIGTERM a partner has this long before SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// A running program. Ended when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts it; its stderr goes into `log`.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log)?)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let stdout = child.stdout.take().context("stdout")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        Ok(Self { name, child, stdin, lines, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line from now on that `find` makes something of.
    ///
    /// # Errors
    /// There is none within `wait`; says what was said instead.
    pub fn expect<T>(
        &self,
        what: &str,
        wait: Duration,
        mut find: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let (deadline, mut said) = (Instant::now() + wait, Vec::new());
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let value = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line.clone()));
                    if let Some(found) = find(&value) {
                        return Ok(found);
                    }
                    said.push(line);
                }
                Err(end) => {
                    let why = if end == RecvTimeoutError::Timeout { "in time" } else { "before it ended" };
                    let tail: Vec<String> = said
                        .iter()
                        .rev()
                        .take(2)
                        .rev()
                        .map(|line| line.chars().take(300).collect())
                        .collect();
                    bail!("{}: no {what} {why}; it said {tail:?}, and: {}", self.name, self.complaints());
                }
            }
        }
    }

    /// Whatever it has said until now and nobody asked for.
    pub fn said(&self) -> Vec<Value> {
        self.lines.try_iter().map(|line| serde_json::from_str(&line).unwrap_or(Value::String(line))).collect()
    }

    /// The end of its stderr.
    #[must_use]
    pub fn complaints(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(2_000);
        text.get(text.ceil_char_boundary(from)..).unwrap_or_default().to_owned()
    }

    /// Writes a line to it.
    ///
    /// # Errors
    /// It has ended.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("stdin")?;
        writeln!(stdin, "{line}").with_context(|| {
            format!("{}: {}", self.name, fs::read_to_string(&self.log).unwrap_or_default())
        })?;
        Ok(stdin.flush()?)
    }

    /// Sends a signal, such as `-INT` or `-KILL`.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.id().to_string()]).status()?;
        anyhow::ensure!(status.success(), "{}: kill {signal}: it is gone", self.name);
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait(&mut self, wait: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let said: Vec<Value> = self.said().into_iter().rev().take(4).rev().collect();
                bail!("{}: does not end; it said {said:?}, and: {}", self.name, self.complaints());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.stdin = None;
        let _ = self.signal("-TERM");
        if self.wait(GRACE).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
