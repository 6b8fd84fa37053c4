//! What goes wrong: power cuts, peers that lie, discs that are full, files that change, commands that are interrupted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, process::Command};

use e2e::swarm::{
    PATIENCE, Recipe, Share,
    clients::{Libtorrent, Noise},
    ours::Ours,
};

/// Blocks of a piece of 256 KiB: more noise than one piece is never taken from a peer.
const BLOCKS_PER_PIECE: u64 = 16;

#[test]
fn a_power_cut_in_mid_download_costs_the_last_seconds_only() {
    let share = Share::new(&Recipe::mib(48)).unwrap();
    let slow = Libtorrent::seed(&share, &["--upload-limit", "6000000"]).unwrap();
    let mut ours = Ours::download(&share, &["--peer", &slow.address.to_string()]).unwrap();
    // It is remembered every three seconds what is here.
    ours.progress("most", |line| line["progress"].as_f64() > Some(0.8) && line["state"] == "downloading")
        .unwrap();
    ours.process().signal("-KILL").unwrap();
    ours.process().wait(PATIENCE).unwrap();
    drop(slow);
    let mut seeder = Libtorrent::seed(&share, &[]).unwrap();
    let mut ours = Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap();
    let line = ours.finished().unwrap();
    share.check().unwrap();
    let again = seeder.stats().unwrap()["uploaded"].as_u64().unwrap();
    assert!(again < 40 << 20, "after the cut {again} of {} bytes were fetched: {line}", share.bytes);
}

#[test]
fn blocks_of_a_piece_that_was_not_whole_at_a_power_cut_are_not_fetched_again() {
    let share = Share::new(&Recipe { piece_length: 16 << 20, ..Recipe::mib(32) }).unwrap();
    let slow = Libtorrent::seed(&share, &["--upload-limit", "1500000"]).unwrap();
    let mut ours = Ours::download(&share, &["--peer", &slow.address.to_string()]).unwrap();
    let line = ours.progress("ten MiB", |line| line["downloaded"].as_u64() > Some(10 << 20)).unwrap();
    assert_eq!(line["have"].as_u64(), Some(0), "a piece is whole already: {line}");
    ours.process().signal("-KILL").unwrap();
    ours.process().wait(PATIENCE).unwrap();
    drop(slow);
    let mut seeder = Libtorrent::seed(&share, &[]).unwrap();
    Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap().finished().unwrap();
    share.check().unwrap();
    // What came within the three seconds before is lost at most, and it takes another to notice the cut.
    let again = seeder.stats().unwrap()["uploaded"].as_u64().unwrap();
    assert!(again < share.bytes - (4 << 20), "after the cut {again} of {} bytes were fetched", share.bytes);
}

#[test]
fn ctrl_c_keeps_what_is_here_and_the_same_command_goes_on() {
    let share = Share::new(&Recipe::mib(32)).unwrap();
    let mut seeder = Libtorrent::seed(&share, &["--upload-limit", "8000000"]).unwrap();
    let peer = seeder.address.to_string();
    let mut ours = Ours::download(&share, &["--peer", &peer]).unwrap();
    let line = ours.progress("a third", |line| line["progress"].as_f64() > Some(0.33)).unwrap();
    let had = line["have"].as_u64().unwrap();
    ours.process().signal("-INT").unwrap();
    assert_eq!(ours.process().wait(PATIENCE).unwrap().code(), Some(130));
    assert!(ours.process().complaints().contains("the same command resumes"));
    let before = seeder.stats().unwrap()["uploaded"].as_u64().unwrap();
    Ours::download(&share, &["--peer", &peer]).unwrap().finished().unwrap();
    share.check().unwrap();
    let again = seeder.stats().unwrap()["uploaded"].as_u64().unwrap() - before;
    assert!(again <= share.bytes - had, "{again} bytes were fetched when {had} were here already");
}

#[test]
fn a_peer_that_sends_noise_is_dropped_beside_an_honest_one() {
    let share = Share::new(&Recipe::mib(16)).unwrap();
    let noise = Noise::start(&share).unwrap();
    let honest = Libtorrent::seed(&share, &["--upload-limit", "12000000"]).unwrap();
    let peers = ["--peer", &noise.address.to_string(), "--peer", &honest.address.to_string()];
    let mut ours = Ours::download(&share, &peers).unwrap();
    let line = ours.finished().unwrap();
    share.check().unwrap();
    let sent = noise.dropped_after().unwrap();
    let corrupt = line["corrupt"].as_u64().unwrap();
    assert!(corrupt > 0, "{line}");
    // It had as many blocks on the way as a fast peer is trusted with at first; what counts is what we took.
    assert!(
        corrupt <= 2 * BLOCKS_PER_PIECE * 16_384,
        "{corrupt} corrupt bytes were taken, {sent} blocks were sent"
    );
}

#[test]
fn noise_alone_is_dropped_and_not_asked_again() {
    let share = Share::new(&Recipe::mib(4)).unwrap();
    let noise = Noise::start(&share).unwrap();
    let ours = Ours::download(&share, &["--peer", &noise.address.to_string()]).unwrap();
    noise.dropped_after().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    // Whoever asks again would be cut off again.
    assert!(noise.dropped_again().is_none());
    drop(ours);
}

#[test]
fn what_is_on_disk_already_is_not_fetched() {
    let share = Share::new(&Recipe::mib(16)).unwrap();
    let mut content = fs::read(share.seed_dir().join(&share.name)).unwrap();
    // Two pieces of it are spoilt.
    content[5 << 20] ^= 1;
    content[9 << 20] ^= 1;
    fs::write(share.leech_dir().join(&share.name), content).unwrap();
    let mut seeder = Libtorrent::seed(&share, &[]).unwrap();
    Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap().finished().unwrap();
    share.check().unwrap();
    assert_eq!(seeder.stats().unwrap()["uploaded"].as_u64(), Some(512 << 10));
}

#[test]
fn a_file_that_was_deleted_is_fetched_anew_by_the_same_command() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let mut seeder = Libtorrent::seed(&share, &[]).unwrap();
    let peer = seeder.address.to_string();
    for round in 1..=2 {
        Ours::download(&share, &["--peer", &peer]).unwrap().finished().unwrap();
        share.check().unwrap();
        fs::remove_file(share.leech_dir().join(&share.name)).unwrap();
        assert_eq!(seeder.stats().unwrap()["uploaded"].as_u64(), Some(round * share.bytes));
    }
}

#[test]
fn half_a_file_is_not_seeded_and_the_rest_is_told() {
    let share = Share::new(&Recipe::mib(4)).unwrap();
    let content = fs::read(share.seed_dir().join(&share.name)).unwrap();
    fs::write(share.leech_dir().join(&share.name), &content[..2 << 20]).unwrap();
    let home = share.scratch("home").unwrap();
    let (torrent, data) = (share.torrent().display().to_string(), share.leech_dir().display().to_string());
    let args = ["seed", &torrent, "--data", &data, "--no-dht", "--no-lsd", "--no-upnp", "--listen-port", "0"];
    let output = e2e::swarm::ours::command(&home, &args).unwrap().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("holds 8 of 16 pieces"), "{said}");
}

#[test]
fn a_disk_that_is_full_stops_the_torrent_with_the_reason() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let small = share.scratch("small").unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&small).status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("no right to mount: a full disk was not tested");
        return;
    }
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    let (torrent, peer, dir) =
        (share.torrent().display().to_string(), seeder.address.to_string(), small.display().to_string());
    let mut ours = Ours::start(
        &share,
        &["download", &torrent, "-o", &dir, "--json", "--peer", &peer, "--no-dht", "--no-lsd", "--no-upnp"],
    )
    .unwrap();
    let failed = ours.progress("the failure", |line| line["type"] == "failed");
    let status = ours.process().wait(PATIENCE);
    let said = ours.process().complaints();
    drop(ours);
    let _ = Command::new("umount").arg(&small).status();
    assert_eq!(failed.unwrap()["state"], "failed");
    assert_eq!(status.unwrap().code(), Some(1));
    assert!(said.to_lowercase().contains("space"), "{said}");
}
