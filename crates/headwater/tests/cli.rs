//! The command line as scripts see it: exit status, one line of error, what goes to stdout.

#![expect(clippy::unwrap_used, reason = "tests: a panic is the complaint")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Our binary, with nothing of this machine's configuration.
fn headwater(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(args).env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    headwater(home, args).stdin(Stdio::null()).output().unwrap()
}

/// The only line on stderr.
fn complaint(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("headwater: "), "{text}");
    assert!(output.stdout.is_empty());
    text
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn wrong_usage_is_one_line_and_exit_2() {
    let home = tempfile::tempdir().unwrap();
    for (args, named) in [
        (vec!["serve", "--prot", "1"], "'--prot'"),
        (vec!["serve", "--prot", "1"], "--port"),
        (vec!["sevre"], "'sevre'"),
        (vec!["inspect"], "<FILE>"),
        (vec!["serve", "--port", "http"], "server.port is \"http\" (flag --port): expected a port"),
        (vec!["serve", "--cache", "maybe"], "cache.enabled is \"maybe\" (flag --cache)"),
        (vec!["serve", "--cache-limit", "lots"], "cache.limit is \"lots\" (flag --cache-limit)"),
        (vec!["serve", "--host", "0.0.0.0"], "server.allow_unauthenticated"),
        (vec!["serve", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (vec!["serve", "--encryption", "maybe"], "torrent.encryption is \"maybe\" (flag --encryption)"),
        (vec!["download", "x.torrent", "--listen-port", "99999"], "torrent.listen_port is \"99999\""),
        (vec!["download", "x.torrent", "--peer", "nowhere"], "--peer is \"nowhere\""),
        (vec!["download", "x.torrent", "--seed", "--ratio", "1"], "--ratio"),
        (vec!["download"], "<MAGNET|TORRENT|URL>"),
        (vec!["create", "/", "--piece-length", "1MB"], "--piece-length"),
        (vec!["serve", "--log", "a=b=c"], "log.filter is \"a=b=c\""),
    ] {
        let line = complaint(&run(home.path(), &args), 2);
        assert!(line.contains(named), "{args:?}: {line}");
    }
}

#[test]
fn nothing_to_do_shows_the_help_and_is_exit_2() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage: headwater"));
}

#[test]
fn help_and_version_go_to_stdout() {
    let home = tempfile::tempdir().unwrap();
    assert!(stdout(&run(home.path(), &["--version"])).contains("not linked with FFmpeg"));
    let help = stdout(&run(home.path(), &["serve", "-h"]));
    for flag in [
        "-p, --port",
        "-H, --host",
        "-t, --target-path",
        "--db",
        "--cache ",
        "--cache-path",
        "--cache-limit",
        "--config",
        "--data-dir",
    ] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}

#[test]
fn what_cannot_be_inspected_is_exit_1_and_says_why() {
    let home = tempfile::tempdir().unwrap();
    let garbage = home.path().join("garbage.mkv");
    fs::write(&garbage, [7; 4096]).unwrap();
    for (file, named) in [
        ("magnet:?xt=urn:btih:00", "magnet:?xt=urn:btih:00: "),
        ("/nowhere/a.torrent", "/nowhere/a.torrent: No such file"),
        ("a.idtorrent", "not in this version"),
        ("/nowhere/film.mkv", "/nowhere/film.mkv"),
        (home.path().to_str().unwrap(), "is not a file"),
        (garbage.to_str().unwrap(), "not a container that is read here"),
    ] {
        let line = complaint(&run(home.path(), &["inspect", file]), 1);
        assert!(line.contains(named), "{file}: {line}");
    }
}

#[test]
fn a_torrent_is_made_inspected_and_its_magnet_printed() {
    let home = tempfile::tempdir().unwrap();
    let content = home.path().join("Show");
    fs::create_dir(&content).unwrap();
    fs::write(content.join("one.mkv"), vec![1; 50_000]).unwrap();
    fs::write(content.join("two.mkv"), vec![2; 30_000]).unwrap();
    let torrent = home.path().join("show.torrent");
    let (content, torrent) = (content.to_str().unwrap(), torrent.to_str().unwrap());
    let args = ["create", content, "-o", torrent, "--piece-length", "16KiB", "--private", "--json"];
    let tracker = ["--tracker", "http://127.0.0.1:1/announce", "--web-seed", "http://127.0.0.1:2/"];
    let made: serde_json::Value =
        serde_json::from_str(&stdout(&run(home.path(), &[&args[..], &tracker].concat()))).unwrap();
    assert_eq!((made["pieces"].as_u64(), made["size"].as_u64()), (Some(5), Some(80_000)));
    let found: serde_json::Value =
        serde_json::from_str(&stdout(&run(home.path(), &["inspect", torrent, "--json"]))).unwrap();
    assert_eq!(found["info_hash"], made["info_hash"]);
    assert_eq!(found["private"], true);
    assert_eq!(found["trackers"], serde_json::json!([["http://127.0.0.1:1/announce"]]));
    assert_eq!(found["files"][1]["path"], "two.mkv");
    assert_eq!(found["files"][1]["offset"], 50_000);
    let table = stdout(&run(home.path(), &["inspect", torrent]));
    assert!(table.contains(made["magnet"].as_str().unwrap()), "{table}");
    // Nothing is overwritten unasked.
    let line = complaint(&run(home.path(), &["create", content, "-o", torrent]), 1);
    assert!(line.contains("--force"), "{line}");
}

#[test]
fn a_demo_without_ffmpeg_says_so() {
    let home = tempfile::tempdir().unwrap();
    let output = headwater(home.path(), &["demo", "--check"]).env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("ffmpeg, which is not installed"));
}

#[test]
fn a_configuration_is_written_checked_and_shown_with_origins() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".config/headwater/config.toml");
    assert!(stdout(&run(home.path(), &["config", "init"])).contains("config.toml"));
    let line = complaint(&run(home.path(), &["config", "init"]), 1);
    assert!(line.contains("--force"), "{line}");
    stdout(&run(home.path(), &["config", "check"]));
    fs::write(&file, "[server]\nport = 9000\nhost = \"127.0.0.1\"\n\n[cache]\nlimit = \"1GiB\"\n").unwrap();
    let show = headwater(home.path(), &["config", "show", "--host", "::1", "--json"])
        .env("HEADWATER_PORT", "9001")
        .output()
        .unwrap();
    let shown: serde_json::Value = serde_json::from_str(&stdout(&show)).unwrap();
    for (key, value, origin) in [
        ("server.port", serde_json::json!(9001), "environment HEADWATER_PORT"),
        ("server.host", serde_json::json!("::1"), "flag --host"),
        ("cache.limit", serde_json::json!("1GiB"), "config.toml:6"),
        ("cache.enabled", serde_json::json!(true), "default"),
    ] {
        assert_eq!(shown[key]["value"], value, "{key}");
        assert!(shown[key]["origin"].as_str().unwrap().ends_with(origin), "{}", shown[key]);
    }
    let table = stdout(&run(home.path(), &["config", "show"]));
    assert!(
        table.lines().any(|l| l.starts_with("server.port = 9000 ") && l.ends_with("config.toml:2")),
        "{table}"
    );
    fs::write(&file, "[server]\nprot = 1\n").unwrap();
    let line = complaint(&run(home.path(), &["config", "check"]), 2);
    assert!(
        line.contains("config.toml:2: there is no setting server.prot: did you mean server.port?"),
        "{line}"
    );
    fs::write(&file, "[library]\npaths = [\"/nowhere\"]\n").unwrap();
    assert!(complaint(&run(home.path(), &["config", "check"]), 2).contains("/nowhere"));
}

#[test]
fn a_port_in_use_is_exit_1_and_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = complaint(&run(home.path(), &["serve", "--port", &port, "--log", "error"]), 1);
    assert!(line.contains(&port) && line.contains("--port"), "{line}");
}

/// A server on a free port, and where it says it listens.
fn serve(home: &Path, more: &[&str]) -> (Child, String) {
    let args = [&["serve", "--port", "0", "--log", "error"], more].concat();
    let mut child = headwater(home, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("http://").unwrap_or_else(|| panic!("{line}")).1.to_owned();
    (child, address)
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn end(mut child: Child, signal: &str) -> Option<i32> {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_server_answers_and_ends_as_it_is_told() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("Film (2020).mkv"), b"film").unwrap();
    for (signal, code) in [("-TERM", 0), ("-INT", 130)] {
        let (child, address) = serve(home.path(), &["--target-path", home.path().to_str().unwrap()]);
        assert!(get(&address, "/healthz").contains("\"status\":\"ok\""));
        assert!(get(&address, "/api/v1/shows").contains("\"title\":\"Film\""));
        // Neither an idle connection nor an endless answer keeps it from ending.
        let _idle = TcpStream::connect(&address).unwrap();
        let mut events = TcpStream::connect(&address).unwrap();
        write!(events, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut first = [0; 15];
        events.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        assert_eq!(end(child, signal), Some(code), "{signal}");
    }
}

#[test]
fn without_login_other_addresses_are_served_only_if_that_is_meant() {
    let home = tempfile::tempdir().unwrap();
    let args = ["serve", "--port", "0", "--host", "0.0.0.0", "--log", "error"];
    let mut child = headwater(home.path(), &args)
        .env("HEADWATER_ALLOW_UNAUTHENTICATED", "true")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("http://0.0.0.0:"), "{line}");
    assert_eq!(end(child, "-TERM"), Some(0));
}
