//! A whole `.torrent` (BEP 3): the info dictionary and what stands around it (BEP 5, 12, 19).

use bencode::{Decoder, Value, encode_dict};
use bytes::Bytes;

use crate::{HostPort, Info, Magnet, MetainfoError, hosts, info::short_text, limits::TORRENT_BYTES_MAX};

/// A torrent as a file holds it.
#[derive(Clone, Debug)]
pub struct Metainfo {
    bytes: Bytes,
    info: Info,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    nodes: Vec<HostPort>,
    creation_date: Option<i64>,
    comment: Option<String>,
    created_by: Option<String>,
}

impl Metainfo {
    /// Reads a `.torrent`. Bytes after it are ignored; what cannot be used outside the info dictionary is left out.
    ///
    /// # Errors
    /// [`MetainfoError`] says what is wrong with it.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, MetainfoError> {
        let bytes = bytes.into();
        if bytes.len() > TORRENT_BYTES_MAX {
            return Err(MetainfoError::TooLong { length: bytes.len() });
        }
        let (value, _) = Decoder::new().decode_prefix(&bytes)?;
        let dict = value.as_dict().ok_or(MetainfoError::Kind { key: "the torrent" })?;
        let [mut info, mut announce, mut announce_list, mut url_list, mut nodes] = [None; 5];
        let [mut creation_date, mut comment, mut comment_utf8, mut created_by] = [None; 4];
        for (key, value) in dict {
            let place: &mut Option<Value<'_>> = match key {
                b"info" => &mut info,
                b"announce" => &mut announce,
                b"announce-list" => &mut announce_list,
                b"url-list" => &mut url_list,
                b"nodes" => &mut nodes,
                b"creation date" => &mut creation_date,
                b"comment" => &mut comment,
                b"comment.utf-8" => &mut comment_utf8,
                b"created by" => &mut created_by,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        let info = info.ok_or(MetainfoError::Missing { key: "info" })?;
        let text = |value: Option<Value<'_>>| value.and_then(|value| value.as_bytes()).map(short_text);
        Ok(Self {
            info: Info::parse(bytes.slice_ref(info.raw()))?,
            trackers: hosts::tiers(announce_list, announce),
            web_seeds: hosts::web_seeds(url_list),
            nodes: hosts::nodes(nodes),
            creation_date: creation_date.and_then(|value| value.as_i64()),
            comment: text(comment_utf8.filter(|value| value.as_str().is_some()).or(comment)),
            created_by: text(created_by),
            bytes,
        })
    }

    /// A torrent from metadata that came from peers and what its magnet said.
    #[must_use]
    pub fn from_info(info: Info, trackers: Vec<Vec<String>>, web_seeds: Vec<String>) -> Self {
        let bytes = encode_dict(|dict| {
            write_around(dict, &trackers, &web_seeds);
            dict.raw("info", info.raw());
        });
        Self {
            bytes: bytes.into(),
            info,
            trackers,
            web_seeds,
            nodes: Vec::new(),
            creation_date: None,
            comment: None,
            created_by: None,
        }
    }

    /// The whole file, as received or made.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The info dictionary.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The info dictionary, the rest let go.
    #[must_use]
    pub fn into_info(self) -> Info {
        self.info
    }

    /// Addresses of trackers, in tiers (BEP 12); none twice, schemes not looked at.
    #[must_use]
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.trackers
    }

    /// Addresses of web seeds (BEP 19).
    #[must_use]
    pub fn web_seeds(&self) -> &[String] {
        &self.web_seeds
    }

    /// Nodes of the DHT to begin with (BEP 5).
    #[must_use]
    pub fn nodes(&self) -> &[HostPort] {
        &self.nodes
    }

    /// When it was made, in seconds since 1970; as the torrent says.
    #[must_use]
    pub fn creation_date(&self) -> Option<i64> {
        self.creation_date
    }

    /// What its maker wanted to say.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The program that made it.
    #[must_use]
    pub fn created_by(&self) -> Option<&str> {
        self.created_by.as_deref()
    }

    /// The magnet that leads to it: name, trackers and web seeds included.
    #[must_use]
    pub fn magnet(&self) -> Magnet {
        Magnet {
            info_hash: self.info.info_hash(),
            info_hash_v2: self.info.info_hash_v2(),
            name: Some(self.info.name().to_owned()),
            trackers: self.trackers.iter().flatten().cloned().collect(),
            web_seeds: self.web_seeds.clone(),
            peers: Vec::new(),
            select: None,
        }
    }
}

/// Trackers and web seeds as a torrent holds them.
pub(crate) fn write_around(
    dict: &mut bencode::DictWriter<'_>,
    trackers: &[Vec<String>],
    web_seeds: &[String],
) {
    if let Some(first) = trackers.iter().flatten().next() {
        dict.bytes("announce", first);
    }
    if trackers.iter().flatten().nth(1).is_some() {
        dict.list("announce-list", |list| {
            for tier in trackers.iter().filter(|tier| !tier.is_empty()) {
                list.list(|list| tier.iter().for_each(|url| list.bytes(url)));
            }
        });
    }
    match web_seeds {
        [] => {}
        [one] => dict.bytes("url-list", one),
        several => dict.list("url-list", |list| several.iter().for_each(|url| list.bytes(url))),
    }
}
