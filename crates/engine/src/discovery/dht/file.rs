//! The file that keeps whom a DHT node knew, so that the next start needs nobody's help: bencode, replaced whole.

use std::{fs, io, net::SocketAddr, path::Path};

use bencode::{Decoder, encode_dict};

use super::krpc::{Family, NodeId, read_nodes, write_nodes};

/// The form of the file; another one is not read.
const VERSION: i64 = 1;

/// A longer file is not ours.
const BYTES_MAX: usize = 1 << 20;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) id: NodeId,
    /// The UDP port, so that others find us again.
    pub(super) port: Option<u16>,
    pub(super) nodes: Vec<(NodeId, SocketAddr)>,
}

/// Reads the file; `None` when there is none that can be used.
pub(super) fn load(path: &Path) -> Option<Saved> {
    let bytes = fs::read(path).ok()?;
    let saved = parse(&bytes);
    if saved.is_none() {
        tracing::warn!(path = %path.display(), "the DHT's file cannot be read; it begins anew");
    }
    saved
}

fn parse(bytes: &[u8]) -> Option<Saved> {
    let value = Decoder::new().sorted_keys().bytes_max(BYTES_MAX).decode(bytes).ok()?;
    let dict = value.as_dict().filter(|dict| dict.get_i64("version") == Some(VERSION))?;
    let nodes = |key, family| read_nodes(dict.get_bytes(key).unwrap_or_default(), family);
    Some(Saved {
        id: NodeId(dict.get_bytes("id")?.try_into().ok()?),
        port: dict.get_u64("port").and_then(|port| u16::try_from(port).ok()),
        nodes: nodes("nodes", Family::V4).chain(nodes("nodes6", Family::V6)).collect(),
    })
}

/// Writes the file beside itself, then puts it in place.
pub(super) fn save(path: &Path, saved: &Saved) -> io::Result<()> {
    let of = |family| write_nodes(saved.nodes.iter().filter(move |(_, addr)| Family::of(addr) == family));
    let bytes = encode_dict(|dict| {
        dict.bytes("id", saved.id.0);
        dict.bytes("nodes", of(Family::V4));
        dict.bytes("nodes6", of(Family::V6));
        if let Some(port) = saved.port {
            dict.int("port", port);
        }
        dict.int("version", VERSION);
    });
    let beside = path.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_nonsense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dht");
        assert_eq!(load(&path), None);
        let saved = Saved {
            id: NodeId([3; 20]),
            port: Some(6_882),
            nodes: vec![
                (NodeId([1; 20]), "1.2.3.4:5".parse().unwrap()),
                (NodeId([2; 20]), "[2001:db8::1]:6".parse().unwrap()),
            ],
        };
        save(&path, &saved).unwrap();
        assert_eq!(load(&path), Some(saved));
        fs::write(&path, b"d2:id3:abce").unwrap();
        assert_eq!(load(&path), None);
    }
}
