//! What a command line names: a magnet, an info-hash, a `.torrent`, the address of one.

use std::{io::Read, path::PathBuf};

use anyhow::{Context, anyhow};
use engine::{Session, Source};
use metainfo::{InfoHash, Magnet, Metainfo, limits::TORRENT_BYTES_MAX};

use crate::failure::Failure;

/// Something that leads to a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Magnet(Box<Magnet>),
    InfoHash(InfoHash),
    File(PathBuf),
    Url(String),
}

impl Target {
    /// Reads an argument; opens nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:")) {
            let magnet = text.parse().map_err(|error| anyhow!("{}: {error}", short(text)))?;
            return Ok(Self::Magnet(Box::new(magnet)));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.to_owned()));
        }
        let path = PathBuf::from(text);
        match text.parse() {
            Ok(info_hash) if !path.exists() => Ok(Self::InfoHash(info_hash)),
            _ => Ok(Self::File(path)),
        }
    }

    /// What the engine can start from; fetches what is behind an address.
    pub(crate) async fn source(&self, session: &Session) -> Result<Source, Failure> {
        Ok(match self {
            Self::Magnet(magnet) => Source::Magnet(magnet.to_string()),
            Self::InfoHash(info_hash) => Source::InfoHash(*info_hash),
            Self::File(path) => Source::Metainfo(read_torrent(path)?.bytes().clone()),
            Self::Url(url) => {
                let bytes = session.fetch(url, true).await.map_err(anyhow::Error::new)?;
                Metainfo::parse(bytes.clone()).with_context(|| url.clone())?;
                Source::Metainfo(bytes)
            }
        })
    }
}

/// Reads a `.torrent`, no more of it than one may have.
pub(crate) fn read_torrent(path: &std::path::Path) -> Result<Metainfo, Failure> {
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("{shown}"))?;
    if file.metadata().with_context(|| format!("{shown}"))?.is_dir() {
        return Err(Failure::Failed(anyhow!(
            "{shown}: is a folder; expected a magnet link, a .torrent or its address"
        )));
    }
    let mut bytes = Vec::new();
    // One more than may be, so that what is too long is seen to be.
    file.take(TORRENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("{shown}"))?;
    Ok(Metainfo::parse(bytes).with_context(|| format!("{shown}"))?)
}

/// Enough of a link to recognise it.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut out: String = super::printable(text).chars().take(CHARS_MAX).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_what_it_looks_like() {
        const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Target::parse(HASH).unwrap(), Target::InfoHash(HASH.parse().unwrap()));
        let magnet = Target::parse(&format!("Magnet:?xt=urn:btih:{HASH}")).unwrap();
        assert!(matches!(magnet, Target::Magnet(magnet) if magnet.info_hash.to_string() == HASH));
        assert_eq!(Target::parse("a.torrent").unwrap(), Target::File("a.torrent".into()));
        assert!(matches!(Target::parse("https://example.org/a.torrent").unwrap(), Target::Url(_)));
        let error = Target::parse("magnet:?dn=x").unwrap_err().to_string();
        assert!(error.starts_with("magnet:?dn=x: "), "{error}");
    }
}
