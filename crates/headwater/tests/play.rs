//! `play` as people and scripts use it, with players that are scripts and a seeder on loopback.

#![expect(clippy::unwrap_used, reason = "tests: a panic is the complaint")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Longer than anything here takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);
const ALONE: [&str; 5] = ["--no-dht", "--no-lsd", "--no-upnp", "--listen-port", "0"];

fn headwater(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(args).env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap());
    command.stdin(Stdio::null());
    command
}

/// A child that is ended by its id.
struct Running(Child);

impl Running {
    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
    }

    fn wait(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A torrent of two films and a text, and somebody who has it.
struct Swarm {
    home: tempfile::TempDir,
    torrent: String,
    magnet: String,
    seeder: Option<Running>,
}

fn film(seed: u64, bytes: u64) -> Vec<u8> {
    (0..bytes).map(|i| ((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0]).collect()
}

impl Swarm {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("seed/The Pack");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Small Film (1999).mkv"), film(1, 300_000)).unwrap();
        fs::write(folder.join("Big Film (2001) #1.mkv"), film(2, 1_500_000)).unwrap();
        fs::write(folder.join("readme.txt"), b"nothing").unwrap();
        let torrent = home.path().join("pack.torrent").display().to_string();
        let args = ["create", folder.to_str().unwrap(), "-o", &torrent, "--piece-length", "32KiB"];
        assert!(headwater(home.path(), &args).output().unwrap().status.success());
        let data = home.path().join("seed").display().to_string();
        let args = [&["seed", &torrent, "--data", &data, "--upload-limit", "4MiB"], &ALONE[..]].concat();
        let mut child =
            headwater(home.path(), &args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let port = first.rsplit(' ').next().unwrap().to_owned();
        let magnet = format!("{}&x.pe=127.0.0.1:{port}", lines.next().unwrap().unwrap());
        Self { home, torrent, magnet, seeder: Some(Running(child)) }
    }

    /// A player that is this script; its arguments are in `$@`.
    fn player(&self, script: &str) -> String {
        let path = self.home.path().join("player");
        fs::write(&path, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn play(&self, args: &[&str]) -> Command {
        headwater(self.home.path(), &[&["play"], args, &ALONE].concat())
    }

    fn start(&self, args: &[&str]) -> Running {
        let mut command = self.play(args);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

fn complaint(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text.lines().last().unwrap().to_owned()
}

/// What is behind an address, or some of it.
fn fetch(url: &str, range: Option<&str>) -> Vec<u8> {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let range = range.map(|range| format!("Range: bytes={range}\r\n")).unwrap_or_default();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\n{range}Connection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer[..head]));
    answer.split_off(head + 4)
}

fn until(what: &str, path: PathBuf) -> String {
    let begun = Instant::now();
    loop {
        match fs::read_to_string(&path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(begun.elapsed() < PATIENCE, "no {what}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_magnets_largest_film_is_given_to_the_player_and_ends_with_it() {
    let swarm = Swarm::new();
    // Says what it was told, and stays until the test has looked.
    let player = swarm.player("printf '%s\\n' \"$@\" > told; while [ ! -e enough ]; do sleep 0.05; done");
    let playing = swarm.start(&[&swarm.magnet, "--player", &player]);
    let told = until("word of the player", swarm.home.path().join("told"));
    let url = told.trim();
    assert!(url.ends_with("/file/Big%20Film%20%282001%29%20%231.mkv"), "{told}");
    // A seek to the end, then all of it.
    let film = film(2, 1_500_000);
    assert_eq!(fetch(url, Some("-1000")), film[film.len() - 1000..]);
    assert_eq!(fetch(url, None), film);
    fs::write(swarm.home.path().join("enough"), "").unwrap();
    let (code, said) = playing.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("looking for the metadata") && said.contains(" peers ("), "{said}");
    assert!(said.contains("buffered") || said.contains("is here"), "{said}");
    assert!(said.lines().last().unwrap().contains("the same command goes on"), "{said}");
    // Nothing else of the torrent was fetched.
    let kept = swarm.home.path().join(".local/share/headwater/play/The Pack");
    assert!(kept.join("Big Film (2001) #1.mkv").exists() && !kept.join("Small Film (1999).mkv").exists());
}

#[test]
fn a_look_costs_a_look_and_not_the_film() {
    let swarm = Swarm::new();
    let player = swarm.player("printf '%s\n' \"$@\" > told; while [ ! -e enough ]; do sleep 0.05; done");
    let playing = swarm.start(&[&swarm.magnet, "--player", &player]);
    let told = until("word of the player", swarm.home.path().join("told"));
    assert_eq!(fetch(told.trim(), Some("-1000")).len(), 1000);
    // Time for the whole film, twice over.
    std::thread::sleep(Duration::from_secs(1));
    fs::write(swarm.home.path().join("enough"), "").unwrap();
    let (code, said) = playing.wait();
    assert_eq!(code, Some(0), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.contains(" KiB of 1.4 MiB are in "), "{said}");
}

#[test]
fn a_file_is_chosen_by_number_or_pattern_and_the_player_is_told_more() {
    let swarm = Swarm::new();
    let player = swarm.player("printf '%s\\n' \"$@\" > told; exit 3");
    for (chosen, name) in [("*small*", "Small%20Film%20%281999%29.mkv"), ("2", "readme.txt")] {
        let _ = fs::remove_file(swarm.home.path().join("told"));
        let args = [&swarm.magnet, "--player", &player, "--file", chosen];
        let mut command = swarm.play(&args);
        let output = command.args(["--", "--loud", "a b"]).output().unwrap();
        let line = complaint(&output, 1);
        assert!(line.contains("player player ended with exit status: 3"), "{line}");
        let told = until("word of the player", swarm.home.path().join("told"));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..2], ["--loud", "a b"]);
        assert!(lines[2].ends_with(name), "{told}");
    }
    for (chosen, named) in [("*.iso", "no film in it matches"), ("9", "it has no file 9")] {
        let args = [&swarm.magnet, "--player", &player, "--file", chosen];
        let line = complaint(&swarm.play(&args).output().unwrap(), 1);
        assert!(line.contains(named) && line.contains("headwater inspect"), "{line}");
    }
}

#[test]
fn ctrl_c_ends_the_player_keeps_the_film_and_the_same_command_goes_on_without_the_swarm() {
    let mut swarm = Swarm::new();
    let args = [swarm.torrent.clone(), "--player".to_owned(), "none".to_owned(), "--peer".to_owned()];
    let peer = swarm.magnet.rsplit('=').next().unwrap().to_owned();
    let args: Vec<&str> = args.iter().map(String::as_str).chain([peer.as_str()]).collect();
    let whole = film(2, 1_500_000);
    for round in 0..2 {
        let mut playing = swarm.start(&args);
        let mut url = String::new();
        BufReader::new(playing.0.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        assert_eq!(fetch(url.trim(), None), whole, "round {round}");
        playing.signal("-INT");
        let (code, said) = playing.wait();
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("the same command resumes"), "{said}");
        // Now nobody has it but this disk.
        drop(swarm.seeder.take());
    }
    let script = "echo $$ > pid; exec sleep 1000";
    let player = swarm.player(script);
    let playing = swarm.start(&[&swarm.torrent, "--player", &player]);
    let pid = until("player", swarm.home.path().join("pid"));
    playing.signal("-INT");
    assert_eq!(playing.wait().0, Some(130));
    let gone = || !Path::new("/proc").join(pid.trim()).join("fd").exists() || is_dead(pid.trim());
    let begun = Instant::now();
    while !gone() {
        assert!(begun.elapsed() < PATIENCE, "the player goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ended, though nobody has asked how.
fn is_dead(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn what_cannot_be_played_is_said_in_a_line() {
    let home = tempfile::tempdir().unwrap();
    let film = home.path().join("a film.mkv");
    fs::write(&film, b"film").unwrap();
    for (args, code, named) in [
        (&["The Third Film"][..], 2, "searching for a title comes with a later version"),
        (
            &["x.torrent", "--player", "no-such-player"],
            2,
            "--player is \"no-such-player\": it is not installed",
        ),
        (&["x.torrent", "--player", "none", "--peer", "nowhere"], 2, "--peer is \"nowhere\""),
        (&["x.torrent", "--player", "none", "--listen-port", "x"], 2, "torrent.listen_port is \"x\""),
        (&["/nowhere/x.mkv", "--player", "none"], 1, "there is no such file"),
        (&["/nowhere/x.torrent", "--player", "none", "--no-dht"], 1, "/nowhere/x.torrent"),
    ] {
        let output = headwater(home.path(), &[&["play"], args].concat()).output().unwrap();
        let line = complaint(&output, code);
        assert!(line.starts_with("headwater: ") && line.contains(named), "{args:?}: {line}");
        assert!(output.stdout.is_empty());
    }
    let output =
        headwater(home.path(), &["play", film.to_str().unwrap(), "--player", "none"]).output().unwrap();
    let address = String::from_utf8(output.stdout).unwrap();
    assert!(address.starts_with("file:///") && address.ends_with("/a%20film.mkv\n"), "{address}");
}
