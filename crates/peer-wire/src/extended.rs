//! The extension handshake (BEP 10, 9, 21): which extensions a peer speaks, and facts about it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bencode::Dict;

use crate::{
    ProtocolError,
    limits::{CLIENT_MAX, METADATA_LENGTH_MAX},
};

/// Which extensions are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `ut_metadata` (BEP 9).
    pub metadata: bool,
    /// `ut_pex` (BEP 11). Never for private torrents.
    pub pex: bool,
    /// `lt_donthave` (BEP 54).
    pub dont_have: bool,
    /// `upload_only` (BEP 21).
    pub upload_only: bool,
}

/// What one end says of itself. The numbers of the extensions (`m`) are the connection's affair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// Which extensions it speaks, of those known here. A later handshake may change them: this is the state after it.
    pub extensions: Extensions,
    /// `v`: its name and version, cut to 64 characters.
    pub client: Option<String>,
    /// `p`: the TCP port it listens on, not 0.
    pub port: Option<u16>,
    /// `reqq`: how many requests it keeps before it drops some.
    pub request_queue: Option<u32>,
    /// `metadata_size`: bytes of the info dictionary, within 1 to [`METADATA_LENGTH_MAX`].
    pub metadata_size: Option<u32>,
    /// `yourip`: how it sees the other end.
    pub your_ip: Option<IpAddr>,
    /// `ipv4`: where else it is.
    pub ipv4: Option<Ipv4Addr>,
    /// `ipv6`: where else it is.
    pub ipv6: Option<Ipv6Addr>,
    /// `upload_only` (BEP 21): it downloads nothing.
    pub upload_only: bool,
    /// `complete_ago`: seconds since it completed the torrent; none while it has not.
    pub complete_ago: Option<u32>,
}

/// Name and number of an extension: the numbers under which we receive. Those of libtorrent, so that a capture reads well.
pub(crate) const METADATA: (&str, u8) = ("ut_metadata", 2);
pub(crate) const PEX: (&str, u8) = ("ut_pex", 1);
pub(crate) const DONT_HAVE: (&str, u8) = ("lt_donthave", 7);
pub(crate) const UPLOAD_ONLY: (&str, u8) = ("upload_only", 3);

/// The numbers under which the peer receives; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerNumbers {
    pub(crate) metadata: u8,
    pub(crate) pex: u8,
    pub(crate) dont_have: u8,
    pub(crate) upload_only: u8,
}

impl PeerNumbers {
    fn update(&mut self, m: Dict<'_>) {
        for (name, number) in m {
            let place = match name {
                b"ut_metadata" => &mut self.metadata,
                b"ut_pex" => &mut self.pex,
                b"lt_donthave" => &mut self.dont_have,
                b"upload_only" => &mut self.upload_only,
                _ => continue,
            };
            if let Some(number) = number.as_u64().and_then(|number| u8::try_from(number).ok()) {
                *place = number;
            }
        }
    }

    fn extensions(self) -> Extensions {
        Extensions {
            metadata: self.metadata != 0,
            pex: self.pex != 0,
            dont_have: self.dont_have != 0,
            upload_only: self.upload_only != 0,
        }
    }
}

impl ExtendedHandshake {
    /// Reads what a peer says. A field that makes no sense is as if it were not there.
    pub(crate) fn decode(bytes: &[u8], numbers: &mut PeerNumbers) -> Result<Self, ProtocolError> {
        const NAME: &str = "extended handshake";
        let (value, _) =
            bencode::decode_prefix(bytes).map_err(|source| ProtocolError::Bencode { name: NAME, source })?;
        let dict = value.as_dict().ok_or(ProtocolError::Malformed { name: NAME, fault: "no dictionary" })?;
        let (mut said, mut m) = (Self::default(), None);
        let number = |value: bencode::Value<'_>| value.as_u64().and_then(|n| u32::try_from(n).ok());
        for (key, value) in dict {
            match key {
                b"m" => m = value.as_dict(),
                b"v" => {
                    said.client = value
                        .as_bytes()
                        .filter(|name| !name.is_empty())
                        .map(|name| String::from_utf8_lossy(name).chars().take(CLIENT_MAX).collect());
                }
                b"p" => said.port = number(value).and_then(|n| u16::try_from(n).ok()).filter(|n| *n != 0),
                b"reqq" => said.request_queue = number(value),
                b"metadata_size" => {
                    said.metadata_size =
                        number(value).filter(|size| (1..=METADATA_LENGTH_MAX).contains(size));
                }
                b"yourip" => said.your_ip = value.as_bytes().and_then(address),
                b"ipv4" => {
                    said.ipv4 =
                        value.as_bytes().and_then(|ip| <[u8; 4]>::try_from(ip).ok()).map(Ipv4Addr::from);
                }
                b"ipv6" => {
                    said.ipv6 =
                        value.as_bytes().and_then(|ip| <[u8; 16]>::try_from(ip).ok()).map(Ipv6Addr::from);
                }
                b"upload_only" => said.upload_only = value.as_i64().is_some_and(|n| n != 0),
                b"complete_ago" => said.complete_ago = number(value),
                _ => {}
            }
        }
        if let Some(m) = m {
            numbers.update(m);
        }
        said.extensions = numbers.extensions();
        Ok(said)
    }

    /// As bencode, with our numbers.
    pub(crate) fn encode(&self) -> Vec<u8> {
        bencode::encode_dict(|dict| {
            if let Some(seconds) = self.complete_ago {
                dict.int("complete_ago", seconds);
            }
            if let Some(ip) = self.ipv4 {
                dict.bytes("ipv4", ip.octets());
            }
            if let Some(ip) = self.ipv6 {
                dict.bytes("ipv6", ip.octets());
            }
            dict.dict("m", |m| {
                let Extensions { metadata, pex, dont_have, upload_only } = self.extensions;
                for (spoken, (name, number)) in
                    [(dont_have, DONT_HAVE), (upload_only, UPLOAD_ONLY), (metadata, METADATA), (pex, PEX)]
                {
                    if spoken {
                        m.int(name, number);
                    }
                }
            });
            if let Some(size) = self.metadata_size {
                dict.int("metadata_size", size);
            }
            if let Some(port) = self.port {
                dict.int("p", port);
            }
            if let Some(requests) = self.request_queue {
                dict.int("reqq", requests);
            }
            if self.upload_only {
                dict.int("upload_only", 1);
            }
            if let Some(client) = &self.client {
                dict.bytes("v", client);
            }
            match self.your_ip {
                Some(IpAddr::V4(ip)) => dict.bytes("yourip", ip.octets()),
                Some(IpAddr::V6(ip)) => dict.bytes("yourip", ip.octets()),
                None => {}
            }
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(ip) = <[u8; 4]>::try_from(bytes) {
        Some(Ipv4Addr::from(ip).into())
    } else if let Ok(ip) = <[u8; 16]>::try_from(bytes) {
        Some(Ipv6Addr::from(ip).into())
    } else {
        None
    }
}
