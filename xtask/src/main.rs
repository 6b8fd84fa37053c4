//! `cargo xtask check`: the rules of the house that the compiler does not keep.
//!
//! Floors and arrows, purity, `unsafe`, licences, tidiness. Each rule is a function from what `cargo metadata` and the
//! tracked files say to a list of complaints, so that each is tested to be able to fail.

mod floors;
mod house;
mod licences;
mod purity;
mod source;
mod tidy;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::house::House;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args != ["check"] {
        bail!("usage: cargo xtask check");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lives in the workspace")?;
    let house = House::read(root)?;
    let mut complaints = floors::check(&house);
    complaints.extend(purity::check(&house));
    complaints.extend(licences::check(&house));
    complaints.extend(tidy::check(&house));
    for complaint in &complaints {
        say(complaint);
    }
    if !complaints.is_empty() {
        bail!("{} complaints", complaints.len());
    }
    say(&format!(
        "xtask: {} crates, {} packages from outside, {} tracked files: in order",
        house.crates.len(),
        house.outside.len(),
        house.files.len()
    ));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "what a command for people says")]
fn say(line: &str) {
    eprintln!("{line}");
}
