//! The command line, as `clap` sees it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{FlagValue, Raw};

/// What `--version` adds: there is no FFmpeg in here, so none of its licence either.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (not linked with FFmpeg: its workers load it where it is installed; MIT OR Apache-2.0)"
);

#[derive(Debug, Parser)]
#[command(name = "headwater", version = VERSION, about = "Streams a folder of films to every player in the house: starts at once, seeks at once")]
#[command(subcommand_required = true, arg_required_else_help = true, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What is logged to stderr (error, warn, info, debug, trace, or by module) [default: info; RUST_LOG]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// The configuration file [default: ~/.config/headwater/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the films of some folders
    Serve(Box<ServeArgs>),
    /// Play a film of a torrent while it arrives, in mpv, VLC or any player
    Play(Box<PlayArgs>),
    /// Fetch torrents
    Download(Box<DownloadArgs>),
    /// Give what is on disk to whoever asks for it
    Seed(Box<SeedArgs>),
    /// Make a torrent of a file or a folder
    Create(CreateArgs),
    /// Say what is in a film and how it would be cut, or what is in a torrent or magnet
    Inspect(Box<InspectArgs>),
    /// The configuration: write one, check it, show what is in effect
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make a small film and a swarm that seeds it, stream it from there, print what to open
    Demo(DemoArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// Port to listen on; 0 takes any free one [default: 8080]
    #[arg(short, long)]
    port: Option<String>,
    /// Address to listen on [default: 127.0.0.1]. Another than loopback needs server.allow_unauthenticated = true
    #[arg(short = 'H', long)]
    host: Option<String>,
    /// A folder with films; repeat for more
    #[arg(short, long = "target-path", value_name = "DIR")]
    target_path: Vec<PathBuf>,
    /// The database. Kept as a setting; not opened yet, for accounts and watch state come with a later version
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Keep segments on disk [default: true]
    #[arg(long, value_name = "true|false")]
    cache: Option<String>,
    /// Where to keep them [default: {data-dir}/cache]
    #[arg(long, value_name = "DIR")]
    cache_path: Option<PathBuf>,
    /// How much of the disk they may take [default: 10GiB]
    #[arg(long, value_name = "SIZE")]
    cache_limit: Option<String>,
    /// Where serve puts what it downloads [default: {data-dir}/downloads]
    #[arg(long, value_name = "DIR")]
    download_dir: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
}

/// What `serve`, `play`, `download` and `seed` tell the torrent engine; as `[torrent]` in the configuration.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Torrents")]
pub(crate) struct EngineArgs {
    /// Port for peers, TCP and UDP; 0 takes any free one [default: 51413]
    #[arg(long, value_name = "PORT")]
    listen_port: Option<String>,
    /// The one network interface swarm traffic may leave by; if it is not there, nothing leaves
    #[arg(long, value_name = "NAME")]
    bind_interface: Option<String>,
    /// A proxy for swarm traffic, socks5://[user:password@]host:port; if it is not there, nothing leaves
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Do not use the DHT
    #[arg(long)]
    no_dht: bool,
    /// Do not exchange peers with peers
    #[arg(long)]
    no_pex: bool,
    /// Do not look for peers on the local network
    #[arg(long)]
    no_lsd: bool,
    /// Do not ask the router to let peers in
    #[arg(long)]
    no_upnp: bool,
    /// Do not speak uTP
    #[arg(long)]
    no_utp: bool,
    /// prefer, require or disable encryption between peers [default: prefer]
    #[arg(long, value_name = "HOW")]
    encryption: Option<String>,
    /// Most bytes a second that come in, such as 4MiB [default: unlimited]
    #[arg(long, value_name = "RATE")]
    download_limit: Option<String>,
    /// Most bytes a second that go out [default: unlimited]
    #[arg(long, value_name = "RATE")]
    upload_limit: Option<String>,
    /// Most peers connected at once [default: 200]
    #[arg(long, value_name = "N")]
    max_peers: Option<String>,
    /// Where pieces are kept: disk or memory [default: disk]
    #[arg(long, value_name = "disk|memory")]
    storage: Option<String>,
    /// How much memory pieces may take with --storage memory [default: 512MiB]
    #[arg(long, value_name = "SIZE")]
    memory_limit: Option<String>,
    /// Where what must last is kept [default: ~/.local/share/headwater]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl EngineArgs {
    fn flags(&self) -> Vec<FlagValue> {
        let text =
            |key, flag, value: &Option<String>| value.clone().map(|value| (key, flag, Raw::Text(value)));
        let off = |key, flag, given: bool| given.then(|| (key, flag, Raw::Text("false".to_owned())));
        [
            text("torrent.listen_port", "--listen-port", &self.listen_port),
            text("torrent.bind_interface", "--bind-interface", &self.bind_interface),
            text("torrent.proxy", "--proxy", &self.proxy),
            off("torrent.dht", "--no-dht", self.no_dht),
            off("torrent.pex", "--no-pex", self.no_pex),
            off("torrent.lsd", "--no-lsd", self.no_lsd),
            off("torrent.upnp", "--no-upnp", self.no_upnp),
            off("torrent.utp", "--no-utp", self.no_utp),
            text("torrent.encryption", "--encryption", &self.encryption),
            text("torrent.download_limit", "--download-limit", &self.download_limit),
            text("torrent.upload_limit", "--upload-limit", &self.upload_limit),
            text("torrent.max_peers", "--max-peers", &self.max_peers),
            text("torrent.storage", "--storage", &self.storage),
            text("torrent.memory_limit", "--memory-limit", &self.memory_limit),
            text(
                "server.data_dir",
                "--data-dir",
                &self.data_dir.as_ref().map(|dir| dir.display().to_string()),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  headwater play 'magnet:?xt=urn:btih:…'
  headwater play show.torrent --file '*S01E02*' --player vlc
  headwater play https://example.org/film.torrent --player none
  headwater play film.torrent -- --fullscreen

It ends when the player does. Ctrl-C keeps what is here; the same command resumes.")]
pub(crate) struct PlayArgs {
    /// A magnet link, a .torrent file, the address of one, an info-hash, or a film on disk
    #[arg(value_name = "MAGNET|TORRENT|URL|FILE")]
    pub(crate) what: String,
    /// mpv, vlc, another player's name or path, or none, which prints the address [default: mpv or vlc, whichever is there]
    #[arg(long, value_name = "PLAYER")]
    pub(crate) player: Option<String>,
    /// Which file: its number (headwater inspect lists them), or what its path or name matches (*, ?) [default: the film, or the first episode]
    #[arg(long, value_name = "N|GLOB")]
    pub(crate) file: Option<String>,
    /// The folder it goes into [default: {data_dir}/play]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// A peer to try, such as 192.0.2.7:6881; repeat for more
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Vec<String>,
    /// What the player is told beside the address
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) player_args: Vec<String>,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  headwater download 'magnet:?xt=urn:btih:…' -o films
  headwater download show.torrent --select '*S01E01*' --seed-time 72h
  headwater download https://example.org/film.torrent --bind-interface wg0 --json

Ctrl-C keeps what is here; the same command resumes.")]
pub(crate) struct DownloadArgs {
    /// Magnet links, .torrent files, addresses of .torrent files, or info-hashes
    #[arg(required = true, value_name = "MAGNET|TORRENT|URL")]
    pub(crate) torrents: Vec<String>,
    /// The folder it goes into [default: the current one]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Only files whose path or name matches (*, ?); repeat for more
    #[arg(long, value_name = "GLOB")]
    pub(crate) select: Vec<String>,
    /// A peer to try, such as 192.0.2.7:6881; repeat for more
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Vec<String>,
    /// In order rather than rarest first
    #[arg(long)]
    pub(crate) sequential: bool,
    /// Go on seeding until interrupted
    #[arg(long, conflicts_with_all = ["ratio", "seed_time"])]
    pub(crate) seed: bool,
    /// Seed until this many times its size was given
    #[arg(long, value_name = "N")]
    pub(crate) ratio: Option<String>,
    /// Seed for this long, such as 72h
    #[arg(long, value_name = "DURATION")]
    pub(crate) seed_time: Option<String>,
    /// Say what happens as lines of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  headwater seed film.torrent --data films
  headwater seed film.torrent --data films --listen-port 6881 --upload-limit 2MiB")]
pub(crate) struct SeedArgs {
    /// A .torrent file
    pub(crate) torrent: PathBuf,
    /// The folder its file or folder lies in
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Say what happens as lines of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  headwater create film.mkv --tracker udp://tracker.example:6969/announce
  headwater create Show/ -o show.torrent --piece-length 1MiB --private --tracker https://t.example/announce
  headwater create film.mkv --web-seed https://films.example/film.mkv")]
pub(crate) struct CreateArgs {
    /// The file or folder
    pub(crate) path: PathBuf,
    /// Where the .torrent goes; - is stdout [default: {name}.torrent]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// A tracker; repeat for further tiers, separate those of one tier by commas
    #[arg(long, value_name = "URL")]
    pub(crate) tracker: Vec<String>,
    /// auto, or a power of two from 16KiB on
    #[arg(long, value_name = "auto|SIZE", default_value = "auto")]
    pub(crate) piece_length: String,
    /// Only its trackers may tell of peers
    #[arg(long)]
    pub(crate) private: bool,
    /// Where the content can be fetched by HTTP; repeat for more
    #[arg(long, value_name = "URL")]
    pub(crate) web_seed: Vec<String>,
    /// A word for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Makes the info-hash another one than on other trackers
    #[arg(long, value_name = "TEXT")]
    pub(crate) source: Option<String>,
    /// Replace a .torrent that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Say what was made as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  headwater inspect film.mkv
  headwater inspect film.torrent
  headwater inspect 'magnet:?xt=urn:btih:…' --save film.torrent")]
pub(crate) struct InspectArgs {
    /// A film (Matroska, WebM, MP4, MOV), a .torrent, a magnet link or the address of a .torrent
    pub(crate) file: String,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the .torrent; of a magnet, as the swarm sent it
    #[arg(long, value_name = "FILE.torrent")]
    pub(crate) save: Option<PathBuf>,
    /// A peer to ask for a magnet's metadata, such as 192.0.2.7:6881; repeat for more
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Vec<String>,
    /// How long a magnet's metadata is waited for [default: 2m]
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a commented configuration that changes nothing yet
    Init {
        /// Replace one that is there
        #[arg(long)]
        force: bool,
    },
    /// Say whether the configuration is right
    Check(Box<ServeArgs>),
    /// Every effective value and where it came from
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        serve: Box<ServeArgs>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Play and seek through it itself, and exit
    #[arg(long)]
    pub(crate) check: bool,
    /// Films or folders to use instead of a made film
    pub(crate) films: Vec<PathBuf>,
    /// Port to listen on; 0 takes any free one [default: 8080, or any free one with --check]
    #[arg(short, long)]
    pub(crate) port: Option<u16>,
    /// Where the made film is kept [default: {data_dir}/demo]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

impl Cli {
    /// The flags of this call that are settings.
    pub(crate) fn flags(&self) -> Vec<FlagValue> {
        let mut flags = match &self.command {
            Command::Serve(serve)
            | Command::Config(ConfigCommand::Check(serve) | ConfigCommand::Show { serve, .. }) => {
                serve.flags()
            }
            Command::Play(args) => args.engine.flags(),
            Command::Download(args) => args.engine.flags(),
            Command::Seed(args) => args.engine.flags(),
            Command::Inspect(args) => args.engine.flags(),
            _ => Vec::new(),
        };
        flags.extend(self.log.iter().map(|log| ("log.filter", "--log", Raw::Text(log.clone()))));
        flags
    }
}

impl ServeArgs {
    fn flags(&self) -> Vec<FlagValue> {
        let text =
            |key, flag, value: &Option<String>| value.clone().map(|value| (key, flag, Raw::Text(value)));
        let path = |key, flag, value: &Option<PathBuf>| {
            text(key, flag, &value.as_ref().map(|p| p.display().to_string()))
        };
        let paths = self.target_path.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        [
            text("server.port", "--port", &self.port),
            text("server.host", "--host", &self.host),
            (!paths.is_empty()).then_some(("library.paths", "--target-path", Raw::List(paths))),
            path("server.db", "--db", &self.db),
            text("cache.enabled", "--cache", &self.cache),
            path("cache.path", "--cache-path", &self.cache_path),
            text("cache.limit", "--cache-limit", &self.cache_limit),
            path("torrent.download_dir", "--download-dir", &self.download_dir),
        ]
        .into_iter()
        .flatten()
        .chain(self.engine.flags())
        .collect()
    }
}
