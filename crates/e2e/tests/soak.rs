//! Fifty films of a torrent opened, watched, sought and left, and everything is as it was: memory, descriptors, threads,
//! titles, demand, disk.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::{
    fs,
    io::Read,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use e2e::{
    client::Client,
    fixtures,
    swarm::{
        free_port, http, local,
        ours::{self, ALONE},
        process::Process,
    },
};

const FILMS: usize = 50;
/// At a time.
const VIEWERS: usize = 4;
/// Titles close after this.
const IDLE_AFTER: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_kib: u64,
    descriptors: usize,
    threads: u64,
}

fn held(process: u32) -> Held {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Held {
        resident_kib: line("VmRSS:"),
        descriptors: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count(),
        threads: line("Threads:"),
    }
}

struct Viewer<'a> {
    server: std::net::SocketAddr,
    info_hash: &'a str,
}

impl Viewer<'_> {
    fn get(&self, path: &str) -> Vec<u8> {
        let path = format!("/api/v1/video/{path}");
        let answer = Client::connect(self.server).unwrap().get(&path, None, true).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    /// Opens it, plays, seeks, leaves in the middle of a segment and of the file.
    fn watch(&self, film: usize) {
        let video = format!("{}-{film}", self.info_hash);
        let playlist = String::from_utf8({
            self.get(&format!("{video}/master.m3u8"));
            self.get(&format!("{video}/source/stream.m3u8"))
        })
        .unwrap();
        let segments = playlist.matches("#EXTINF").count();
        assert!(segments > 2, "{playlist}");
        self.get(&format!("{video}/source/init.mp4"));
        for n in [0, 1, segments - 1] {
            assert!(!self.get(&format!("{video}/source/{n}.m4s")).is_empty());
        }
        for left in [format!("{video}/source/{}.m4s", segments / 2), format!("{video}/file")] {
            let target = format!("/api/v1/video/{left}");
            let mut stream = http::open(self.server, "GET", &target, &[], &[], PATIENCE).unwrap();
            stream.read_exact(&mut [0; 1_000]).unwrap();
        }
    }

    /// Films from `from` on, several at a time.
    fn watch_all(&self, films: std::ops::Range<usize>) {
        std::thread::scope(|scope| {
            for viewer in 0..VIEWERS {
                let films = films.clone();
                scope.spawn(move || {
                    films.filter(|film| film % VIEWERS == viewer).for_each(|film| self.watch(film))
                });
            }
        });
    }

    fn titles_open(&self) -> u64 {
        let answer = http::send(self.server, "GET", "/metrics", &[], &[], PATIENCE).unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        let line = text.lines().find(|line| line.starts_with("headwater_titles_open ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn readers(&self) -> u64 {
        let target = format!("/api/v1/torrents/{}", self.info_hash);
        http::send(self.server, "GET", &target, &[], &[], PATIENCE).unwrap().json().unwrap()["readers"]
            .as_u64()
            .unwrap()
    }

    fn rests(&self) {
        let begun = Instant::now();
        while self.titles_open() > 0 || self.readers() > 0 {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{} titles open, {} readers",
                self.titles_open(),
                self.readers()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn size_of(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() { size_of(&entry.path()) } else { meta.len() }
        })
        .sum()
}

#[test]
fn fifty_films_watched_and_left_leave_nothing_behind() {
    let dir = tempfile::Builder::new().prefix("soak-").tempdir().unwrap();
    let pack = dir.path().join("seed/pack");
    fs::create_dir_all(&pack).unwrap();
    let film = fs::read(fixtures::folder().join("h264.mkv")).unwrap();
    for n in 0..FILMS {
        // Each its own bytes: a Void behind the end is none of the film's.
        let mut bytes = film.clone();
        bytes.extend([0xEC, 0x84]);
        bytes.extend(u32::try_from(n).unwrap().to_be_bytes());
        fs::write(pack.join(format!("film-{n:02}.mkv")), bytes).unwrap();
    }
    let torrent = dir.path().join("pack.torrent");
    let made = Command::new(fixtures::binary().unwrap())
        .args(["create", "--json", "--piece-length", "65536", "-o"])
        .arg(&torrent)
        .arg(&pack)
        .env("HOME", dir.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let (info_hash, magnet) = (made["info_hash"].as_str().unwrap(), made["magnet"].as_str().unwrap());

    let seeder = local(free_port().unwrap());
    let (torrent, seed) = (torrent.display().to_string(), dir.path().join("seed").display().to_string());
    let port = seeder.port().to_string();
    let args = [&["seed", &torrent, "--data", &seed, "--json", "--listen-port", &port], ALONE].concat();
    let home = dir.path().join("seeder-home");
    fs::create_dir_all(&home).unwrap();
    let seeding = Process::start(ours::command(&home, &args).unwrap(), &dir.path().join("seed.log")).unwrap();
    seeding.expect("seeding", PATIENCE, |line| (line["type"] == "seeding").then_some(())).unwrap();

    let (config, home) = (dir.path().join("headwater.toml"), dir.path().join("home"));
    let (cache, into) = (dir.path().join("cache"), dir.path().join("into"));
    for folder in [&home, &into] {
        fs::create_dir_all(folder).unwrap();
    }
    let limit = 64 << 20;
    fs::write(
        &config,
        format!(
            "[server]\nidle_after = \"{}s\"\n[cache]\npath = {cache:?}\nlimit = \"64MiB\"\n[torrent]\ndownload_dir = {into:?}\n",
            IDLE_AFTER.as_secs()
        ),
    )
    .unwrap();
    let server = local(free_port().unwrap());
    let (port, peers, config) =
        (server.port().to_string(), free_port().unwrap().to_string(), config.display().to_string());
    let args = [&["serve", "--port", &port, "--listen-port", &peers, "--config", &config], ALONE].concat();
    let serve = Process::start(ours::command(&home, &args).unwrap(), &dir.path().join("serve.log")).unwrap();
    serve.expect("address", PATIENCE, |line| line.as_str()?.contains("listens").then_some(())).unwrap();

    let body = serde_json::json!({ "magnet": format!("{magnet}&x.pe={seeder}") }).to_string();
    let json = [("Content-Type", "application/json")];
    let added = http::send(server, "POST", "/api/v1/torrents", &json, body.as_bytes(), PATIENCE).unwrap();
    assert_eq!(added.status, 201, "{}", String::from_utf8_lossy(&added.body));

    let viewer = Viewer { server, info_hash };
    // The first ones warm up what stays: threads, arenas, connections.
    viewer.watch_all(0..2 * VIEWERS);
    viewer.rests();
    let before = held(serve.id());
    viewer.watch_all(0..FILMS);
    viewer.watch_all(0..FILMS);
    let busy = held(serve.id());
    viewer.rests();
    let after = held(serve.id());
    println!("before {before:?}, busy {busy:?}, after {after:?}");
    assert!(after.descriptors <= before.descriptors + 10, "{before:?} {after:?}");
    assert!(after.threads <= before.threads + 8, "{before:?} {after:?}");
    assert!(after.resident_kib <= before.resident_kib + (48 << 10), "{before:?} {after:?}");
    let (kept, whole) = (size_of(&into), film.len() as u64 * FILMS as u64);
    assert!(kept <= whole * 11 / 10, "{kept} bytes on disk for {whole}");
    assert!(size_of(&cache) <= limit * 11 / 10, "{} bytes of cache", size_of(&cache));
}
