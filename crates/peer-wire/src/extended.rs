//! The extension handshake (BEP 10, 9, 21): which extensions a peer speaks, and facts about it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// `metadata_size`: bytes of the info dictionary, within 1 to [`METADATA_LENGTH_MAX`](crate::METADATA_LENGTH_MAX).
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
