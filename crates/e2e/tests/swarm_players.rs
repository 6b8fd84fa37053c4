//! mpv and VLC play and seek a film that is still in a swarm: by `headwater play`, by a list of addresses.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use e2e::{
    fixtures,
    swarm::{
        PATIENCE, Recipe, Share,
        clients::Libtorrent,
        http,
        ours::{ALONE, Server, command},
        process::Process,
    },
};

/// Small enough that little is fetched beside what is watched.
const PIECE_BYTES: u64 = 32 << 10;
/// A film of 2.5 MB takes fourteen seconds.
const UPLOAD: &str = "180000";
/// Percents of the film that are sought, in this order.
const SEEKS: [u32; 3] = [70, 15, 90];

/// Without a screen or a loudspeaker.
const MUTE: [&str; 4] = ["--no-config", "--vo=null", "--ao=null", "--hr-seek=yes"];

fn share(film: &str) -> (Share, Libtorrent) {
    let recipe = Recipe { piece_length: PIECE_BYTES, ..Recipe::default() };
    let share = Share::of(&fixtures::folder().join(film), &recipe).unwrap();
    let seeder = Libtorrent::seed(&share, &["--upload-limit", UPLOAD]).unwrap();
    (share, seeder)
}

/// Writes a line whenever mpv shows something anew, seeks, and quits after the last.
fn seeking(share: &Share) -> (String, std::path::PathBuf) {
    let dir = share.scratch("mpv").unwrap();
    let (script, seen) = (dir.join("seek.lua"), dir.join("seen"));
    let steps = SEEKS.map(|step| step.to_string()).join(",");
    let text = format!(
        "local seen, steps, n = io.open('{}', 'w'), {{{steps}}}, 0\n\
         mp.register_event('playback-restart', function()\n\
           seen:write(string.format('%f\\n', mp.get_property_number('percent-pos') or -1)) seen:flush()\n\
           n = n + 1\n\
           if steps[n] then mp.commandv('seek', steps[n], 'absolute-percent', 'exact') else mp.command('quit') end\n\
         end)\n",
        seen.display()
    );
    fs::write(&script, text).unwrap();
    (format!("--script={}", script.display()), seen)
}

#[test]
fn mpv_plays_and_seeks_a_magnet_that_is_not_here_yet() {
    // Matroska, and MP4 with its index at the end.
    for film in ["h264.mkv", "h264.mp4"] {
        let (share, seeder) = share(film);
        let magnet = format!("{}&x.pe={}", share.magnet, seeder.address);
        let (script, seen) = seeking(&share);
        let home = share.scratch("home").unwrap();
        let leech = share.leech_dir().display().to_string();
        let args = ["play", &magnet, "--player", "mpv", "-o", &leech, "--listen-port", "0"];
        let command = command(&home, &[&args, ALONE, &["--"], &MUTE, &[script.as_str()]].concat()).unwrap();
        let log = share.scratch("logs").unwrap().join("play");
        let mut playing = Process::start(command, &log).unwrap();
        // It shows pictures from the middle before all of it is here.
        until("a picture after the first seek", &seen, |text| text.lines().count() > 1);
        let (have, wanted) = progress(&playing.complaints());
        let status = playing.wait(PATIENCE).unwrap();
        let said = playing.complaints();
        assert!(status.success(), "{film}: {status}: {said}");
        assert!(have < wanted, "{film}: all of it had come at the first seek: nothing was proven");
        let shown: Vec<f64> =
            fs::read_to_string(&seen).unwrap().lines().map(|l| l.parse().unwrap()).collect();
        assert_eq!(shown.len(), 1 + SEEKS.len(), "{film}: {shown:?}: {said}");
        for (at, step) in shown.iter().skip(1).zip(SEEKS) {
            assert!((at - f64::from(step)).abs() < 2.0, "{film}: sought {step} %, shows {at}: {said}");
        }
        assert!(said.contains("/s needed"), "{film}: the rate is held against nothing: {said}");
        assert!(said.contains("the same command goes on"), "{said}");
    }
}

/// VLC without a screen, its log in `log`. It does not run as root, which containers do.
fn vlc(share: &Share, log: &Path) -> String {
    let script = share.scratch("vlc").unwrap().join("player");
    let drop =
        "[ $(id -u) = 0 ] && set -- setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp \"$@\"";
    let text = format!(
        "#!/bin/sh\nset -- vlc -I dummy --vout dummy --aout dummy -vv --no-color --play-and-exit \"$@\"\n{drop}\n\
         exec \"$@\" > {} 2>&1\n",
        log.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

#[test]
fn vlc_plays_from_the_middle_of_a_film_that_is_not_here_yet() {
    let (share, seeder) = share("h264.mkv");
    let magnet = format!("{}&x.pe={}", share.magnet, seeder.address);
    let log = share.scratch("logs").unwrap().join("vlc");
    let (home, player) = (share.scratch("home").unwrap(), vlc(&share, &log));
    let args = ["play", &magnet, "--player", &player, "--listen-port", "0"];
    let seconds = ["--", "--start-time=10", "--stop-time=12"];
    let command = command(&home, &[&args, ALONE, &seconds].concat()).unwrap();
    let mut playing = Process::start(command, &share.scratch("logs").unwrap().join("play")).unwrap();
    let status = playing.wait(PATIENCE).unwrap();
    let (said, log) = (playing.complaints(), fs::read_to_string(&log).unwrap());
    assert!(status.success(), "{status}: {said}");
    // It buffered, decoded pictures and sound, and let go of both decoders at the end.
    for line in ["Stream buffering done", "killing decoder fourcc `h264'", "killing decoder fourcc `mp4a'"] {
        assert!(log.contains(line), "no {line:?}: {said}: {log}");
    }
    assert!(said.contains("the same command goes on"), "{said}");
}

#[test]
fn mpv_and_ffprobe_read_the_list_of_a_torrent_in_progress() {
    let (share, seeder) = share("h264.mkv");
    let server = Server::start(&share, &[]).unwrap();
    let magnet = format!("{}&x.pe={}", share.magnet, seeder.address);
    let added = server
        .json("POST", "/api/v1/torrents", Some(&serde_json::json!({ "magnet": magnet, "wait": 20 })))
        .unwrap();
    let hash = added["info_hash"].as_str().unwrap();
    let base = format!("http://{}/api/v1", server.http);
    let file = format!("{base}/video/{hash}-0/file/h264.mkv");
    let mut played = Vec::new();
    for list in [format!("{base}/torrents/{hash}/playlist.m3u"), format!("{base}/playlist.m3u")] {
        let output =
            run(Command::new("mpv").args(MUTE).args(["--length=0.5", "--msg-level=all=info"]).arg(&list));
        assert!(output.contains(&format!("Playing: {file}")), "{output}");
        assert!(output.contains("h264") && !output.to_lowercase().contains("fail"), "{output}");
        played.push(have(server.http, hash));
    }
    let folder = "/api/v1/strm/Torrents/h264.mkv/";
    let page = String::from_utf8(server.send("GET", folder, &[], b"").unwrap().body).unwrap();
    let links = page.split("<a href=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
    let link = links.last().unwrap();
    let strm = server.send("GET", &format!("{folder}{link}"), &[], b"").unwrap();
    assert_eq!(String::from_utf8(strm.body).unwrap().trim(), file);
    let args = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"];
    let output = run(Command::new("ffprobe").args(args).arg(&file));
    assert!(output.contains("h264"), "{output}");
    assert!(played[0].0 < played[0].1, "all of it had come: nothing was proven: {played:?}");
}

/// Bytes that are here of the film whose address `play` has said, and all of it.
fn progress(said: &str) -> (u64, u64) {
    let (_, url) = said.split_once(" at http://").unwrap_or_else(|| panic!("{said}"));
    let (address, path) = url.split_once("/api/v1/video/").unwrap();
    have(address.parse().unwrap(), path.split('-').next().unwrap())
}

fn have(address: SocketAddr, info_hash: &str) -> (u64, u64) {
    let path = format!("/api/v1/torrents/{info_hash}");
    let now = http::send(address, "GET", &path, &[], b"", PATIENCE).unwrap().json().unwrap();
    let film = &now["files"][0];
    (film["have"].as_u64().unwrap(), film["size"].as_u64().unwrap())
}

/// Waits until a file says what is wanted.
fn until(what: &str, path: &Path, is: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    while !fs::read_to_string(path).is_ok_and(|text| is(&text)) {
        assert!(begun.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a program said that ended well, and in time.
fn run(command: &mut Command) -> String {
    let begun = Instant::now();
    let output = Command::new("timeout")
        .arg(PATIENCE.as_secs().to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{:?} after {:?}: {said}", output.status, begun.elapsed());
    assert!(begun.elapsed() < PATIENCE + Duration::from_secs(1));
    said
}
