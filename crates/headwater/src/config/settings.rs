//! The settings, understood.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use super::{
    ConfigError, KEYS, Layers, Raw, TorrentSettings, TranscodeSettings,
    units::{human_size, parse_duration, parse_size},
};

/// Everything that can be set, with its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allow_unauthenticated: bool,
    pub(crate) data_dir: PathBuf,
    pub(crate) db: PathBuf,
    pub(crate) idle_after: Duration,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) rescan: Duration,
    pub(crate) cache_enabled: bool,
    pub(crate) cache_path: PathBuf,
    pub(crate) cache_limit: u64,
    pub(crate) transcode: TranscodeSettings,
    pub(crate) torrent: TorrentSettings,
    pub(crate) log: String,
}

/// A player that has filled its buffer is silent for a while.
const IDLE_AFTER: Duration = Duration::from_secs(180);
/// Rescans more often than this would keep a disk awake for nothing.
const RESCAN_MIN: Duration = Duration::from_secs(5);
/// A cache must hold at least a few segments of a large film.
const CACHE_LIMIT_MIN: u64 = 64 << 20;

impl Settings {
    /// Understands every layer's values.
    pub(crate) fn new(layers: &Layers, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = Reader { layers, env };
        let data_dir = match read.text("server.data_dir") {
            Some(text) => read.path(&text),
            None => read.default_data_dir()?,
        };
        let settings = Self {
            host: read.text("server.host").unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string()),
            port: read.parsed("server.port", "a port from 0 to 65535", |t| t.parse().ok())?.unwrap_or(8080),
            allowed_hosts: read.list("server.allowed_hosts"),
            allow_unauthenticated: read.switch("server.allow_unauthenticated")?.unwrap_or(false),
            db: read.text("server.db").map_or_else(|| data_dir.join("headwater.db"), |t| read.path(&t)),
            idle_after: read
                .parsed("server.idle_after", "a time from 1s on, such as 90s or 3m", |t| {
                    parse_duration(t).filter(|d| *d >= Duration::from_secs(1))
                })?
                .unwrap_or(IDLE_AFTER),
            paths: read.list("library.paths").iter().map(|t| read.path(t)).collect(),
            rescan: read
                .parsed("library.rescan", "a time from 5s on, such as 60s, 10m or 1h", |t| {
                    parse_duration(t).filter(|d| *d >= RESCAN_MIN)
                })?
                .unwrap_or(Duration::from_secs(60)),
            cache_enabled: read.switch("cache.enabled")?.unwrap_or(true),
            cache_path: read.text("cache.path").map_or_else(|| data_dir.join("cache"), |t| read.path(&t)),
            cache_limit: read
                .parsed("cache.limit", "a size from 64MiB on, such as 500MB or 10GiB", |t| {
                    parse_size(t).filter(|s| *s >= CACHE_LIMIT_MIN)
                })?
                .unwrap_or(10 << 30),
            transcode: TranscodeSettings::new(&read)?,
            torrent: TorrentSettings::new(&read, &data_dir)?,
            log: read.text("log.filter").unwrap_or_else(|| "info".to_owned()),
            data_dir,
        };
        if settings.host.parse::<IpAddr>().is_err()
            && settings.host.contains(|c: char| c.is_whitespace() || c == '/')
        {
            return Err(read.wrong("server.host", &settings.host, "an address or a host name"));
        }
        Ok(settings)
    }

    /// Each key's value as text, for `config show`.
    pub(crate) fn shown(&self, key: &str) -> serde_json::Value {
        let paths = |paths: &[PathBuf]| paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        match key {
            "server.host" => self.host.clone().into(),
            "server.port" => self.port.into(),
            "server.allowed_hosts" => self.allowed_hosts.clone().into(),
            "server.allow_unauthenticated" => self.allow_unauthenticated.into(),
            "server.data_dir" => self.data_dir.display().to_string().into(),
            "server.db" => self.db.display().to_string().into(),
            "server.idle_after" => format!("{}s", self.idle_after.as_secs()).into(),
            "library.paths" => paths(&self.paths).into(),
            "library.rescan" => format!("{}s", self.rescan.as_secs()).into(),
            "cache.enabled" => self.cache_enabled.into(),
            "cache.path" => self.cache_path.display().to_string().into(),
            "cache.limit" => human_size(self.cache_limit).into(),
            "log.filter" => self.log.clone().into(),
            _ => self.transcode.shown(key).unwrap_or_else(|| self.torrent.shown(key)),
        }
    }

    /// Where to listen; a name is looked up.
    pub(crate) fn address(&self, layers: &Layers) -> Result<SocketAddr, ConfigError> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        found.ok().and_then(|mut all| all.next()).ok_or_else(|| {
            let origin = layers.origin("server.host");
            ConfigError(format!(
                "server.host is \"{}\" ({origin}): no address is known by that name",
                self.host
            ))
        })
    }
}

pub(super) struct Reader<'a> {
    layers: &'a Layers,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.layers.get(key)? {
            (Raw::Text(text), _) => Some(text.clone()),
            (Raw::List(_), _) => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        match self.layers.get(key) {
            Some((Raw::List(items), _)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn switch(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.parsed(key, "true or false", |text| match text {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| self.wrong(key, &text, expected))
    }

    pub(super) fn wrong(&self, key: &str, text: &str, expected: &str) -> ConfigError {
        debug_assert!(KEYS.iter().any(|k| k.name == key));
        ConfigError(format!(
            "{key} is \"{}\" ({}): expected {expected}",
            text.escape_debug(),
            self.layers.origin(key)
        ))
    }

    /// `~/` is the home folder, in every origin.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), (self.env)("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => PathBuf::from(text),
        }
    }

    fn default_data_dir(&self) -> Result<PathBuf, ConfigError> {
        let set = |name: &str| (self.env)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("XDG_DATA_HOME")
            .or_else(|| Some(set("HOME")?.join(".local/share")))
            .map(|dir| dir.join("headwater"))
            .ok_or_else(|| {
                ConfigError(
                    "server.data_dir is not set and there is no HOME: set it with --data-dir".to_owned(),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &[(&'static str, &str)]) -> Result<Settings, ConfigError> {
        let env = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
        let flags = flags.iter().map(|(key, text)| (*key, "--flag", Raw::Text((*text).to_owned()))).collect();
        let layers = Layers::read(None, flags, &env).unwrap();
        Settings::new(&layers, &env)
    }

    #[test]
    fn defaults_follow_the_data_folder() {
        let plain = settings(&[]).unwrap();
        assert_eq!(plain.cache_path, PathBuf::from("/home/u/.local/share/headwater/cache"));
        assert_eq!((plain.port, plain.cache_limit), (8080, 10 << 30));
        let moved = settings(&[("server.data_dir", "~/d")]).unwrap();
        assert_eq!(moved.db, PathBuf::from("/home/u/d/headwater.db"));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_origin() {
        for (key, text) in [
            ("server.port", "65536"),
            ("server.port", "http"),
            ("cache.enabled", "maybe"),
            ("cache.limit", "10 GiBs"),
            ("cache.limit", "1MiB"),
            ("library.rescan", "0s"),
            ("server.idle_after", "0s"),
            ("transcode.max_transcodes", "0"),
            ("transcode.sandbox", "maybe"),
            ("server.host", "http://x"),
        ] {
            let error = settings(&[(key, text)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key} is \"{text}\" (flag --flag): expected ")), "{error}");
        }
    }
}
