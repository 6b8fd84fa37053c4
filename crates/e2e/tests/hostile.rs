//! Broken files: refused with a reason, or played as far as they go; never a crash, a hang or a 5xx.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::House;
use e2e::{
    client::get,
    film::{Rendition, every, master},
    fixtures,
};

#[test]
fn broken_files_are_refused_with_the_reason() {
    let house = House::open(true);
    let bad: Vec<_> = fixtures::films().unwrap().into_iter().filter(|f| fixtures::is_bad(f)).collect();
    assert!(bad.len() >= 3, "only {} broken fixtures", bad.len());
    every(&bad, |film| {
        // A file without a byte in it need not be listed.
        let Ok(path) = house.path(film, "master.m3u8") else { return Ok(()) };
        let begin = Instant::now();
        let answer = get(house.server.address, &path)?;
        ensure!(begin.elapsed() < Duration::from_secs(2), "took {:?}", begin.elapsed());
        ensure!((400..500).contains(&answer.status), "status {}", answer.status);
        let problem: serde_json::Value =
            serde_json::from_slice(&answer.body).context("not a problem document")?;
        for field in ["type", "title", "status", "detail", "reason"] {
            ensure!(problem.get(field).is_some(), "no {field} in {problem}");
        }
        Ok(())
    });
    assert_eq!(get(house.server.address, "/healthz").unwrap().status, 200);
}

#[test]
fn truncated_files_play_as_far_as_they_go_or_say_why_not() {
    let house = House::open(true);
    let cut: Vec<_> = fixtures::films().unwrap().into_iter().filter(|f| fixtures::is_truncated(f)).collect();
    assert!(!cut.is_empty());
    every(&cut, |film| {
        let answer = get(house.server.address, &house.path(film, "master.m3u8")?)?;
        ensure!(answer.status < 500, "status {}", answer.status);
        if answer.status == 200 {
            master(house.server.address, house.id(film)?, "fmp4")?;
            let rendition = Rendition::fetch(house.server.address, &house.path(film, "source/stream.m3u8")?)?;
            ensure!(!rendition.fragments()?.is_empty(), "no segment");
        }
        Ok(())
    });
}
