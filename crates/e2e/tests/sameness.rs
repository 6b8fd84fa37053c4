//! A segment is the same bytes whatever was asked before: any order, 16 at once, cold or warm, after a kill, no cache.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use anyhow::{Result, ensure};
use common::House;
use e2e::{
    client::Client,
    film::{Rendition, every, master},
    fixtures,
    server::Server,
};

/// Every segment of every rendition of these films, by path.
fn fetch(house: &House, films: &[std::path::PathBuf], container: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for film in films {
        for path in playlists(house, film, container)? {
            let rendition = Rendition::fetch(house.server.address, &path)?;
            found.extend(rendition.playlist.segments.iter().map(|s| s.uri.clone()).zip(rendition.segments));
        }
    }
    Ok(found)
}

fn playlists(house: &House, film: &Path, container: &str) -> Result<Vec<String>> {
    let master = master(house.server.address, house.id(film)?, container)?;
    let mut paths: Vec<String> = master
        .variants
        .iter()
        .chain(&master.media)
        .chain(&master.iframes)
        .filter_map(|e| e.uri.clone())
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn chosen() -> Vec<std::path::PathBuf> {
    let good = fixtures::good().unwrap();
    let names = [
        "h264.mkv",
        "h264.mp4",
        "h264-opengop.mkv",
        "late-audio.mkv",
        "no-cues.mkv",
        "fragmented.mp4",
        "vfr.mkv",
        "many-tracks.mkv",
        "long-gop.mkv",
    ];
    let films: Vec<_> = good.into_iter().filter(|f| names.contains(&fixtures::name(f).as_str())).collect();
    assert_eq!(films.len(), names.len(), "fixtures are missing: {films:?}");
    films
}

fn compare(
    server: SocketAddr,
    known: &BTreeMap<String, Vec<u8>>,
    order: &[&String],
    how: &str,
) -> Result<()> {
    let mut client = Client::connect(server)?;
    for path in order {
        let answer = client.get(path, None, true)?;
        ensure!(answer.status == 200, "{how}: {path}: status {}", answer.status);
        ensure!(
            answer.body == known[*path],
            "{how}: {path}: other bytes ({} and {})",
            answer.bytes,
            known[*path].len()
        );
    }
    Ok(())
}

fn shuffled(known: &BTreeMap<String, Vec<u8>>, mut seed: u64) -> Vec<&String> {
    let mut order: Vec<&String> = known.keys().collect();
    for i in (1..order.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(i, usize::try_from(seed >> 33).unwrap() % (i + 1));
    }
    order
}

#[test]
fn segments_do_not_depend_on_what_was_asked_before() {
    for container in ["fmp4", "ts"] {
        let house = House::open(true);
        let known = fetch(&house, &chosen(), container).unwrap();
        assert!(known.len() > 40, "only {} segments", known.len());
        let backwards: Vec<&String> = known.keys().rev().collect();
        compare(house.server.address, &known, &backwards, "in reverse").unwrap();
        compare(house.server.address, &known, &shuffled(&known, 1), "at random").unwrap();
        std::thread::scope(|scope| {
            let askers: Vec<_> = (0..16)
                .map(|n| {
                    let (known, address) = (&known, house.server.address);
                    scope.spawn(move || compare(address, known, &shuffled(known, 3 + n % 2), "16 at once"))
                })
                .collect();
            askers.into_iter().for_each(|asker| asker.join().unwrap().unwrap());
        });

        // Killed with its cache half written, started again over the same cache; then without a cache at all.
        let House { server, scratch, .. } = house;
        server.kill().unwrap();
        let binary = fixtures::binary().unwrap();
        for cache in [true, false] {
            let server = Server::headwater(&binary, &fixtures::folder(), scratch.path(), cache).unwrap();
            server.videos(fixtures::good().unwrap().len()).unwrap();
            compare(
                server.address,
                &known,
                &shuffled(&known, 9),
                if cache { "after a kill" } else { "without a cache" },
            )
            .unwrap();
        }
        let fresh = House::open(true);
        compare(fresh.server.address, &known, &shuffled(&known, 5), "with a cold cache").unwrap();
    }
}

#[test]
fn the_file_itself_comes_back_whole_and_in_parts() {
    let house = House::open(false);
    every(&fixtures::films().unwrap(), |film| {
        let Ok(path) = house.path(film, "file") else { return Ok(()) };
        let disk = std::fs::read(film)?;
        let mut client = Client::connect(house.server.address)?;
        ensure!(client.get(&path, None, true)?.body == disk, "whole");
        let len = disk.len() as u64;
        for (start, end) in [(0, 0), (len / 3, len / 2), (len.saturating_sub(7), len - 1)] {
            let answer = client.get(&path, Some((start, end)), true)?;
            ensure!(answer.status == 206, "{start}-{end}: status {}", answer.status);
            ensure!(
                answer.body == disk[usize::try_from(start)?..=usize::try_from(end)?],
                "{start}-{end}: other bytes"
            );
        }
        Ok(())
    });
}
