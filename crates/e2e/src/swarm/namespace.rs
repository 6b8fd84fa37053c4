//! Network namespaces: a network of a test's own, where every packet is the test's and can be counted. Needs root, `ip` and `nft`.

use std::{ffi::OsStr, process::Command};

use anyhow::{Context, Result, ensure};

/// A namespace with its loopback up. Removed when dropped, with what leads there.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// `None`, said loudly, where there are no rights to make one.
    ///
    /// # Errors
    /// No rights where it is not a person's machine (`CI` is set).
    #[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
    pub fn new(tag: &str) -> Result<Option<Self>> {
        let name = format!("hwe2e{}-{tag}", std::process::id());
        if let Err(error) = run(Command::new("ip").args(["netns", "add", &name])) {
            ensure!(std::env::var_os("CI").is_none(), "network namespaces need root: {error:#}");
            eprintln!("SKIPPED: network namespaces need root");
            return Ok(None);
        }
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(Some(namespace))
    }

    /// Two of them, and a link: the first has `10.77.0.2` and a default route to the second, which has `10.77.0.1`. Both ends are
    /// called `out0`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn pair(tag: &str) -> Result<Option<(Self, Self)>> {
        let (Some(near), Some(far)) = (Self::new(&format!("{tag}-near"))?, Self::new(&format!("{tag}-far"))?)
        else {
            return Ok(None);
        };
        near.ip(&["link", "add", "out0", "type", "veth", "peer", "name", "out0", "netns", &far.name])?;
        for (end, address) in [(&near, "10.77.0.2/24"), (&far, "10.77.0.1/24")] {
            end.ip(&["addr", "add", address, "dev", "out0"])?;
            end.ip(&["link", "set", "out0", "up"])?;
        }
        near.ip(&["route", "add", "default", "via", FAR])?;
        Ok(Some((near, far)))
    }

    /// A program that is to run in it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        // It becomes the program: signals and the end are the program's own.
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    fn ip(&self, args: &[&str]) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(args)).map(|_| ())
    }

    /// Counts TCP and UDP packets that leave by `out0`: those that fit `expected` (of nft's language), and the others.
    ///
    /// # Errors
    /// nft does not take the rule.
    pub fn count(&self, expected: &str) -> Result<()> {
        let rules = format!(
            "table inet watch {{
                counter expected {{ }}
                counter other {{ }}
                chain out {{
                    type filter hook output priority 0;
                    oifname != out0 return
                    {expected} counter name expected return
                    meta l4proto {{ tcp, udp }} counter name other
                }}
            }}"
        );
        run(self.command("nft").arg(rules)).map(|_| ())
    }

    /// What was counted until now: expected packets, and others.
    ///
    /// # Errors
    /// Nothing is being counted.
    pub fn counted(&self) -> Result<(u64, u64)> {
        let read = |name: &str| {
            let said = run(self.command("nft").args(["list", "counter", "inet", "watch", name]))?;
            let packets = said.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
            packets.and_then(|packets| packets.parse().ok()).with_context(|| format!("nft says {said}"))
        };
        Ok((read("expected")?, read("other")?))
    }
}

/// The address of the first of a [pair](Namespace::pair).
pub const NEAR: &str = "10.77.0.2";

/// The address of the second of a [pair](Namespace::pair).
pub const FAR: &str = "10.77.0.1";

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
