//! Every setting, and where its value came from: flags > environment > file > defaults.
//!
//! [`KEYS`] is the one table of settings; the file's reader, the template, `config show` and the help all read it.
//! Values stay as written until [`Settings`] understands them, so that an error can name the place they came from.

mod file;
mod keys;
mod settings;
mod torrent;
mod transcode;
mod units;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

pub(crate) use file::template;
pub(crate) use keys::KEYS;
pub(crate) use settings::Settings;
use torrent::TorrentSettings;
pub(crate) use torrent::{Encryption, Store, parse_ratio};
use transcode::TranscodeSettings;
pub(crate) use transcode::WORKER;
pub(crate) use units::{parse_duration, parse_size};

/// A setting as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Text(String),
    List(Vec<String>),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(", ")),
        }
    }
}

/// What a setting looks like in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// An array of strings; in the environment separated by this character.
    List(char),
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// `table.key` of the file.
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// Read in this order; the first that is set counts.
    pub(crate) env: &'static [&'static str],
    /// As in the file's template.
    pub(crate) example: &'static str,
    pub(crate) help: &'static str,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Env(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A wrong configuration, in one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// A flag's setting: key, flag, value.
pub(crate) type FlagValue = (&'static str, &'static str, Raw);

/// Every setting that was set anywhere, the strongest origin winning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    set: BTreeMap<&'static str, (Raw, Origin)>,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
}

impl Layers {
    /// Reads the file (`named`, else where it usually is) and lays environment and flags over it.
    pub(crate) fn read(
        named: Option<&Path>,
        flags: Vec<FlagValue>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        if let Some(path) = config_path(named, env) {
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    for (key, value, line) in file::read(&path, &text)? {
                        let origin = Origin::File { path: path.clone(), line };
                        layers.set.insert(key.name, (value, origin));
                    }
                    layers.file = Some(path);
                }
                // A file nobody named may be absent.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named(named, env) => {}
                Err(error) => return Err(ConfigError(format!("configuration {}: {error}", path.display()))),
            }
        }
        for key in KEYS {
            let found =
                key.env.iter().find_map(|name| env(name).filter(|v| !v.is_empty()).map(|v| (*name, v)));
            if let Some((name, text)) = found {
                let raw = match key.form {
                    Form::List(separator) => Raw::List(
                        text.split(separator).filter(|s| !s.is_empty()).map(str::to_owned).collect(),
                    ),
                    _ => Raw::Text(text),
                };
                layers.set.insert(key.name, (raw, Origin::Env(name)));
            }
        }
        for (key, flag, raw) in flags {
            layers.set.insert(key, (raw, Origin::Flag(flag)));
        }
        Ok(layers)
    }

    fn get(&self, key: &str) -> Option<&(Raw, Origin)> {
        self.set.get(key)
    }

    /// Where a setting's value came from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

fn is_named(named: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> bool {
    named.is_some() || env("HEADWATER_CONFIG").is_some()
}

/// The configuration file: as named, or `$XDG_CONFIG_HOME/headwater/config.toml`, or below `~/.config`.
pub(crate) fn config_path(named: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.to_owned());
    }
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HEADWATER_CONFIG").or_else(|| {
        let home = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(home.join("headwater/config.toml"))
    })
}

/// The nearest of `names` if it is near enough to be meant.
pub(crate) fn did_you_mean<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.map(|name| (distance(typed, name), name)).filter(|(d, _)| *d <= 3).min().map(|(_, name)| name)
}

/// Letters to change, add or drop (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let replaced = row.get(j).copied().unwrap_or(0) + usize::from(ca != *cb);
            let dropped = row.get(j + 1).copied().unwrap_or(0) + 1;
            let added = next.last().copied().unwrap_or(0) + 1;
            next.push(replaced.min(dropped).min(added));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, env: &[(&str, &str)], flags: Vec<FlagValue>) -> Result<Layers, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, file).unwrap();
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Layers::read(Some(&path), flags, &env)
    }

    fn port(layers: &Layers) -> (String, String) {
        let (raw, origin) = layers.get("server.port").unwrap();
        (raw.to_string(), origin.to_string())
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let file = "[server]\n# hi\nport = 1\n";
        let env = [("HEADWATER_PORT", "2")];
        let flag = ("server.port", "--port", Raw::Text("3".to_owned()));
        let (value, origin) = port(&read(file, &[], vec![]).unwrap());
        assert_eq!(value, "1");
        assert!(origin.ends_with("c.toml:3"), "{origin}");
        assert_eq!(
            port(&read(file, &env, vec![]).unwrap()),
            ("2".to_owned(), "environment HEADWATER_PORT".to_owned())
        );
        assert_eq!(port(&read(file, &env, vec![flag]).unwrap()), ("3".to_owned(), "flag --port".to_owned()));
        assert_eq!(read("", &[], vec![]).unwrap().origin("server.port"), Origin::Default);
    }

    #[test]
    fn unknown_keys_are_named_with_place_and_guess() {
        for (file, expected) in [
            ("[server]\nprot = 1", ":2: there is no setting server.prot: did you mean server.port?"),
            ("[servr]\nport = 1", ":1: there is no setting servr: did you mean server?"),
            ("[transcode]\nthreads = 1", ":2: there is no setting transcode.threads"),
            ("[retention]\ndays = 1", ":1: there is no setting retention"),
            ("[server]\nport = \"x\"", ":2: server.port is a string: expected a number"),
            ("[library]\npaths = \"/f\"", ":2: library.paths is a string: expected an array of strings"),
            ("[library]\npaths = [1]", ":2: library.paths holds a number: expected an array of strings"),
            ("server = 1", ":1: server is a number: expected a table"),
            ("[server]\nport = ", ":2: "),
        ] {
            let error = read(file, &[], vec![]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_named_file_must_be_there_and_the_usual_one_need_not() {
        assert!(Layers::read(Some(Path::new("/nowhere/c.toml")), vec![], &|_| None).is_err());
        let home = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
        assert!(Layers::read(None, vec![], &home).unwrap().file.is_none());
    }

    #[test]
    fn the_template_is_a_valid_configuration_that_changes_nothing() {
        assert!(read(&template(), &[], vec![]).unwrap().set.is_empty());
        // And with its comments taken off the settings it still is one.
        let uncommented: String = template()
            .lines()
            .map(|l| l.strip_prefix("#").filter(|l| !l.starts_with(' ')).unwrap_or(l))
            .fold(String::new(), |all, l| all + l + "\n");
        assert_eq!(read(&uncommented, &[], vec![]).unwrap().set.len(), KEYS.len());
    }

    #[test]
    fn guesses_are_near() {
        assert_eq!(did_you_mean("prot", ["port", "host"].into_iter()), Some("port"));
        assert_eq!(did_you_mean("zzzzzzzz", ["port", "host"].into_iter()), None);
    }
}
