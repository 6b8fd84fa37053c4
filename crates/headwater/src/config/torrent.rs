//! `[torrent]`: what the engine is told, understood. Shared by `serve`, `download` and `seed`.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use engine::{SeedGoal, WhenIdle, WhenWatched};

use super::{
    ConfigError,
    settings::Reader,
    units::{human_duration, human_size, parse_duration, parse_size},
};

/// Whether peers are spoken to in MSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// Where the other side can.
    Prefer,
    /// Or not at all.
    Require,
    /// Never.
    Disable,
}

/// Where pieces are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Disk,
    Memory,
}

/// Everything of `[torrent]`, with its type. `None` is no limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TorrentSettings {
    pub(crate) listen_port: u16,
    pub(crate) bind_interface: Option<String>,
    pub(crate) proxy: Option<String>,
    pub(crate) dht: bool,
    pub(crate) pex: bool,
    pub(crate) lsd: bool,
    pub(crate) upnp: bool,
    pub(crate) utp: bool,
    pub(crate) tcp: bool,
    pub(crate) encryption: Encryption,
    /// Bytes a second.
    pub(crate) download_limit: Option<u64>,
    /// Bytes a second.
    pub(crate) upload_limit: Option<u64>,
    pub(crate) max_peers: usize,
    pub(crate) storage: Store,
    /// Bytes.
    pub(crate) memory_limit: u64,
    pub(crate) when_watched: WhenWatched,
    pub(crate) when_idle: WhenIdle,
    pub(crate) download_dir: PathBuf,
    pub(crate) seed_ratio: Option<f64>,
    pub(crate) seed_time: Option<Duration>,
    pub(crate) tracker_goals: BTreeMap<String, SeedGoal>,
    pub(crate) ip_filter: Vec<PathBuf>,
    pub(crate) dht_bootstrap: Vec<String>,
    pub(crate) fetch_private: bool,
}

/// One piece and what is in flight must fit.
const MEMORY_LIMIT_MIN: u64 = 16 << 20;
/// Below one block a second a connection only times out.
const RATE_LIMIT_MIN: u64 = 16 << 10;
/// More than a process may hold descriptors for.
const PEERS_MAX: usize = 8_192;
/// The kernel's limit (IFNAMSIZ, less its NUL).
const INTERFACE_BYTES_MAX: usize = 15;
/// What stands for "no limit".
const UNLIMITED: &str = "unlimited";

impl TorrentSettings {
    pub(super) fn new(read: &Reader<'_>, data_dir: &Path) -> Result<Self, ConfigError> {
        let set = |key: &str| read.text(key).filter(|text| !text.is_empty());
        let switch = |key: &str| read.switch(key).map(|on| on.unwrap_or(true));
        let rate = |key: &str| {
            read.parsed(key, "bytes a second from 16KiB on, such as 4MiB, or unlimited", |text| {
                limit(text, |text| {
                    parse_size(text.trim_end_matches("/s")).filter(|rate| *rate >= RATE_LIMIT_MIN)
                })
            })
            .map(Option::flatten)
        };
        let settings = Self {
            listen_port: read
                .parsed("torrent.listen_port", "a port from 0 to 65535", |text| text.parse().ok())?
                .unwrap_or(51_413),
            bind_interface: set("torrent.bind_interface"),
            proxy: set("torrent.proxy"),
            dht: switch("torrent.dht")?,
            pex: switch("torrent.pex")?,
            lsd: switch("torrent.lsd")?,
            upnp: switch("torrent.upnp")?,
            utp: switch("torrent.utp")?,
            tcp: switch("torrent.tcp")?,
            encryption: read
                .parsed("torrent.encryption", "prefer, require or disable", |text| match text {
                    "prefer" => Some(Encryption::Prefer),
                    "require" => Some(Encryption::Require),
                    "disable" => Some(Encryption::Disable),
                    _ => None,
                })?
                .unwrap_or(Encryption::Prefer),
            download_limit: rate("torrent.download_limit")?,
            upload_limit: rate("torrent.upload_limit")?,
            max_peers: read
                .parsed("torrent.max_peers", "a number from 1 to 8192", |text| {
                    text.parse().ok().filter(|peers| (1..=PEERS_MAX).contains(peers))
                })?
                .unwrap_or(200),
            storage: read
                .parsed("torrent.storage", "disk or memory", |text| match text {
                    "disk" => Some(Store::Disk),
                    "memory" => Some(Store::Memory),
                    _ => None,
                })?
                .unwrap_or(Store::Disk),
            memory_limit: read
                .parsed("torrent.memory_limit", "a size from 16MiB on, such as 512MiB", |text| {
                    parse_size(text).filter(|size| *size >= MEMORY_LIMIT_MIN)
                })?
                .unwrap_or(512 << 20),
            when_watched: read
                .parsed("torrent.when_watched", "file, torrent or read", |text| match text {
                    "file" => Some(WhenWatched::File),
                    "torrent" => Some(WhenWatched::Torrent),
                    "read" => Some(WhenWatched::Read),
                    _ => None,
                })?
                .unwrap_or_default(),
            when_idle: read
                .parsed("torrent.when_idle", "seed or pause", |text| match text {
                    "seed" => Some(WhenIdle::Seed),
                    "pause" => Some(WhenIdle::Pause),
                    _ => None,
                })?
                .unwrap_or_default(),
            download_dir: set("torrent.download_dir")
                .map_or_else(|| data_dir.join("downloads"), |text| read.path(&text)),
            seed_ratio: read
                .parsed("torrent.seed_ratio", "a number from 0 on, such as 1.5, or unlimited", |text| {
                    limit(text, parse_ratio)
                })?
                .unwrap_or(Some(1.0)),
            seed_time: read
                .parsed("torrent.seed_time", "a time such as 30m or 72h, or unlimited", |text| {
                    limit(text, parse_duration)
                })?
                .unwrap_or(Some(Duration::from_secs(72 * 3_600))),
            tracker_goals: tracker_goals(read)?,
            ip_filter: read.list("torrent.ip_filter").iter().map(|text| read.path(text)).collect(),
            dht_bootstrap: read.list("torrent.dht_bootstrap"),
            fetch_private: read.switch("torrent.fetch_private")?.unwrap_or(false),
        };
        settings.check(read)?;
        Ok(settings)
    }

    fn check(&self, read: &Reader<'_>) -> Result<(), ConfigError> {
        if let Some(name) = &self.bind_interface {
            let plain = |c: char| c.is_ascii_graphic() && c != '/';
            if name.len() > INTERFACE_BYTES_MAX || !name.chars().all(plain) {
                let expected = "the name of a network interface, such as wg0";
                return Err(read.wrong("torrent.bind_interface", name, expected));
            }
        }
        if let Some(proxy) = &self.proxy
            && !is_proxy(proxy)
        {
            // Its password is nobody's business.
            let shown = redacted(proxy);
            return Err(read.wrong("torrent.proxy", &shown, "socks5://[user:password@]host:port"));
        }
        if let Some(router) = self.dht_bootstrap.iter().find(|router| !is_host_port(router)) {
            return Err(read.wrong("torrent.dht_bootstrap", router, "host:port"));
        }
        Ok(())
    }

    /// Each key's value, for `config show`.
    pub(super) fn shown(&self, key: &str) -> serde_json::Value {
        let rate = |rate: Option<u64>| rate.map_or_else(|| UNLIMITED.to_owned(), human_size);
        match key {
            "torrent.listen_port" => self.listen_port.into(),
            "torrent.bind_interface" => self.bind_interface.clone().unwrap_or_default().into(),
            "torrent.proxy" => self.proxy.as_deref().map(redacted).unwrap_or_default().into(),
            "torrent.dht" => self.dht.into(),
            "torrent.pex" => self.pex.into(),
            "torrent.lsd" => self.lsd.into(),
            "torrent.upnp" => self.upnp.into(),
            "torrent.utp" => self.utp.into(),
            "torrent.tcp" => self.tcp.into(),
            "torrent.encryption" => match self.encryption {
                Encryption::Prefer => "prefer",
                Encryption::Require => "require",
                Encryption::Disable => "disable",
            }
            .into(),
            "torrent.download_limit" => rate(self.download_limit).into(),
            "torrent.upload_limit" => rate(self.upload_limit).into(),
            "torrent.max_peers" => self.max_peers.into(),
            "torrent.storage" => match self.storage {
                Store::Disk => "disk",
                Store::Memory => "memory",
            }
            .into(),
            "torrent.memory_limit" => human_size(self.memory_limit).into(),
            "torrent.when_watched" => match self.when_watched {
                WhenWatched::File => "file",
                WhenWatched::Torrent => "torrent",
                WhenWatched::Read => "read",
            }
            .into(),
            "torrent.when_idle" => match self.when_idle {
                WhenIdle::Seed => "seed",
                WhenIdle::Pause => "pause",
            }
            .into(),
            "torrent.download_dir" => self.download_dir.display().to_string().into(),
            "torrent.seed_ratio" => {
                self.seed_ratio.map_or_else(|| UNLIMITED.to_owned(), |ratio| format!("{ratio}")).into()
            }
            "torrent.seed_time" => self.seed_time.map_or_else(|| UNLIMITED.to_owned(), human_duration).into(),
            "torrent.tracker_goals" => {
                let goals = self.tracker_goals.iter().map(|(host, goal)| {
                    let ratio = goal.ratio.map_or_else(|| "-".to_owned(), |ratio| ratio.to_string());
                    let time = goal.time.map_or_else(|| "-".to_owned(), human_duration);
                    format!("{host} {ratio} {time}")
                });
                goals.collect::<Vec<_>>().into()
            }
            "torrent.ip_filter" => {
                self.ip_filter.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().into()
            }
            "torrent.dht_bootstrap" => self.dht_bootstrap.clone().into(),
            "torrent.fetch_private" => self.fetch_private.into(),
            _ => serde_json::Value::Null,
        }
    }
}

/// `unlimited`, or what `parse` reads.
#[expect(
    clippy::option_option,
    reason = "the outer says whether it was understood, the inner whether there is a limit"
)]
fn limit<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.eq_ignore_ascii_case(UNLIMITED) { Some(None) } else { parse(text).map(Some) }
}

fn tracker_goals(read: &Reader<'_>) -> Result<BTreeMap<String, SeedGoal>, ConfigError> {
    let wrong = |text: &str| {
        read.wrong(
            "torrent.tracker_goals",
            text,
            "host, ratio and time, such as \"tracker.example 1.0 72h\" (- is none)",
        )
    };
    let goal = |text: &String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let &[host, ratio, time] = words.as_slice() else { return Err(wrong(text)) };
        let ratio = if ratio == "-" { None } else { Some(parse_ratio(ratio).ok_or_else(|| wrong(text))?) };
        let time = if time == "-" { None } else { Some(parse_duration(time).ok_or_else(|| wrong(text))?) };
        Ok((host.to_lowercase(), SeedGoal { ratio, time }))
    };
    read.list("torrent.tracker_goals").iter().map(goal).collect()
}

/// A finite ratio from 0 on.
pub(crate) fn parse_ratio(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|ratio: &f64| ratio.is_finite() && *ratio >= 0.0)
}

fn is_proxy(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("socks5://").or_else(|| text.strip_prefix("socks5h://")) else {
        return false;
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    is_host_port(host)
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_v6 = |host: &str| {
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()))
    };
    let is_name = |host: &str| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    port.parse::<u16>().is_ok_and(|port| port > 0) && (is_v6(host) || is_name(host))
}

/// The proxy without its user and password.
fn redacted(proxy: &str) -> String {
    match (proxy.find("://"), proxy.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}***{}", &proxy[..scheme + 3], &proxy[at..])
        }
        _ => proxy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Raw, Settings};

    fn settings(flags: &[(&'static str, &str)]) -> Result<Settings, ConfigError> {
        let env = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
        let flags = flags.iter().map(|(key, text)| (*key, "--flag", Raw::Text((*text).to_owned()))).collect();
        Settings::new(&Layers::read(None, flags, &env).unwrap(), &env)
    }

    #[test]
    fn nothing_set_is_a_polite_client() {
        let torrent = settings(&[]).unwrap().torrent;
        assert!(torrent.dht && torrent.pex && torrent.lsd && torrent.upnp && torrent.utp);
        assert_eq!(torrent.encryption, Encryption::Prefer);
        assert_eq!((torrent.download_limit, torrent.upload_limit), (None, None));
        assert_eq!(torrent.download_dir, Path::new("/home/u/.local/share/headwater/downloads"));
        assert_eq!(torrent.seed_ratio, Some(1.0));
        assert!(!torrent.fetch_private);
        assert_eq!((torrent.when_watched, torrent.when_idle), (WhenWatched::File, WhenIdle::Seed));
    }

    #[test]
    fn limits_are_sizes_or_unlimited() {
        let with = |text| settings(&[("torrent.download_limit", text)]).map(|s| s.torrent.download_limit);
        assert_eq!(with("4MiB").unwrap(), Some(4 << 20));
        assert_eq!(with("4MiB/s").unwrap(), Some(4 << 20));
        assert_eq!(with("Unlimited").unwrap(), None);
        assert!(with("0").is_err() && with("fast").is_err());
    }

    #[test]
    fn a_wrong_value_is_named_and_a_proxys_password_is_not() {
        for (key, text) in [
            ("torrent.encryption", "maybe"),
            ("torrent.storage", "tape"),
            ("torrent.when_watched", "always"),
            ("torrent.when_idle", "sleep"),
            ("torrent.max_peers", "0"),
            ("torrent.bind_interface", "../../etc"),
            ("torrent.bind_interface", "a-name-that-is-too-long"),
            ("torrent.proxy", "http://127.0.0.1:1080"),
            ("torrent.proxy", "socks5://127.0.0.1"),
            ("torrent.memory_limit", "1MiB"),
            ("torrent.seed_ratio", "-1"),
            ("torrent.seed_ratio", "NaN"),
            ("torrent.seed_time", "soon"),
        ] {
            let error = settings(&[(key, text)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key} is \"{text}\" (flag --flag): expected ")), "{error}");
        }
        let error = settings(&[("torrent.proxy", "socks5://me:secret@nowhere")]).unwrap_err().to_string();
        assert!(!error.contains("secret") && error.contains("nowhere"), "{error}");
        let fine = settings(&[("torrent.proxy", "socks5://me:secret@[::1]:1080")]).unwrap().torrent;
        assert_eq!(fine.shown("torrent.proxy"), "socks5://***@[::1]:1080");
    }
}
