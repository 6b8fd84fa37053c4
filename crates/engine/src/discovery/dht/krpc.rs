//! The DHT's messages (BEP 5, IPv6 by BEP 32, read-only nodes by BEP 43): datagrams to values and back.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bencode::{Decoder, Dict, DictWriter, Value, encode_dict};

/// Nodes taken from one answer: the eight that are asked for, with room for the generous.
const NODES_MAX: usize = 32;

/// Peers taken from one answer: what fits a datagram.
const VALUES_MAX: usize = 250;

/// Tokens longer than this are not sent back: those in use have 4 to 20 bytes.
const TOKEN_BYTES_MAX: usize = 64;

/// Transactions longer than this are not answered: those in use have 2 to 8 bytes.
const TRANSACTION_BYTES_MAX: usize = 32;

/// Nothing in a message nests deeper.
const DEPTH_MAX: usize = 8;

/// The method is not known (BEP 5).
pub(super) const METHOD_UNKNOWN: i64 = 204;

/// Arguments are missing or false, a token among them (BEP 5).
pub(super) const PROTOCOL_ERROR: i64 = 203;

/// Where a node stands in the DHT: a point that info-hashes are compared with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(pub(super) [u8; 20]);

impl NodeId {
    /// How far it is from `other`: smaller is nearer.
    pub(super) fn distance(&self, other: &Self) -> [u8; 20] {
        std::array::from_fn(|n| self.0[n] ^ other.0[n])
    }

    /// How many leading bits it shares with `other`, at most 160.
    pub(super) fn shared_bits(&self, other: &Self) -> usize {
        let distance = self.distance(other);
        let zeros = distance.iter().take_while(|byte| **byte == 0).count();
        zeros * 8 + distance.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// IPv4 and IPv6 have a DHT each (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(addr: &SocketAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn key(self) -> &'static str {
        match self {
            Self::V4 => "nodes",
            Self::V6 => "nodes6",
        }
    }

    fn want(self) -> &'static str {
        match self {
            Self::V4 => "n4",
            Self::V6 => "n6",
        }
    }

    fn addr_bytes(self) -> usize {
        match self {
            Self::V4 => 6,
            Self::V6 => 18,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Query {
    Ping,
    FindNode {
        target: NodeId,
    },
    GetPeers {
        info_hash: NodeId,
    },
    /// `port` is that of the datagram where it is `None`.
    AnnouncePeer {
        info_hash: NodeId,
        port: Option<u16>,
        token: Vec<u8>,
    },
    /// A method that is not known, with a target if it has one: it is answered like `find_node` then (BEP 5).
    Other {
        target: Option<NodeId>,
    },
}

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) nodes: Vec<(NodeId, SocketAddr)>,
    pub(super) peers: Vec<SocketAddr>,
    pub(super) token: Option<Vec<u8>>,
}

/// A datagram, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) transaction: Vec<u8>,
    pub(super) body: Body,
}

/// What kind of message it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A read-only node asks, and does not answer itself.
    Query {
        id: NodeId,
        query: Query,
        read_only: bool,
    },
    Answer {
        id: NodeId,
        answer: Answer,
    },
    Error {
        code: i64,
    },
}

/// Reads a datagram of `family`; `None` when it is no message that makes sense.
pub(super) fn read(datagram: &[u8], family: Family) -> Option<Message> {
    let value = Decoder::new().depth_max(DEPTH_MAX).decode(datagram).ok()?;
    let dict = value.as_dict()?;
    let transaction = dict.get_bytes("t").filter(|t| !t.is_empty() && t.len() <= TRANSACTION_BYTES_MAX)?;
    let body = match dict.get_bytes("y")? {
        b"q" => {
            let args = dict.get_dict("a")?;
            Body::Query {
                id: node_id(args.get("id"))?,
                query: query(dict.get_bytes("q")?, args)?,
                read_only: dict.get_i64("ro") == Some(1),
            }
        }
        b"r" => {
            let values = dict.get_dict("r")?;
            Body::Answer { id: node_id(values.get("id"))?, answer: answer(values, family) }
        }
        b"e" => Body::Error {
            code: dict.get_list("e").and_then(|e| e.iter().next()?.as_i64()).unwrap_or_default(),
        },
        _ => return None,
    };
    Some(Message { transaction: transaction.to_vec(), body })
}

fn node_id(value: Option<Value<'_>>) -> Option<NodeId> {
    value?.as_bytes()?.try_into().ok().map(NodeId)
}

fn query(method: &[u8], args: Dict<'_>) -> Option<Query> {
    Some(match method {
        b"ping" => Query::Ping,
        b"find_node" => Query::FindNode { target: node_id(args.get("target"))? },
        b"get_peers" => Query::GetPeers { info_hash: node_id(args.get("info_hash"))? },
        b"announce_peer" => Query::AnnouncePeer {
            info_hash: node_id(args.get("info_hash"))?,
            port: match args.get_i64("implied_port") {
                Some(1) => None,
                _ => Some(u16::try_from(args.get_u64("port")?).ok().filter(|port| *port > 0)?),
            },
            token: args.get_bytes("token").filter(|token| token.len() <= TOKEN_BYTES_MAX)?.to_vec(),
        },
        _ => Query::Other { target: node_id(args.get("target").or(args.get("info_hash"))) },
    })
}

fn answer(values: Dict<'_>, family: Family) -> Answer {
    let nodes = values.get_bytes(family.key()).unwrap_or_default();
    let peers = values.get_list("values").into_iter().flatten().take(VALUES_MAX);
    Answer {
        nodes: read_nodes(nodes, family).take(NODES_MAX).collect(),
        peers: peers.filter_map(|peer| address(peer.as_bytes()?)).collect(),
        token: values.get_bytes("token").filter(|token| token.len() <= TOKEN_BYTES_MAX).map(<[u8]>::to_vec),
    }
}

/// Nodes one after the other: identifier, address, port.
pub(super) fn read_nodes(bytes: &[u8], family: Family) -> impl Iterator<Item = (NodeId, SocketAddr)> {
    bytes.chunks_exact(20 + family.addr_bytes()).filter_map(|node| {
        let (id, addr) = node.split_at(20);
        Some((NodeId(id.try_into().ok()?), address(addr)?))
    })
}

/// An address and a port: 6 or 18 bytes; `None` where nobody can be.
fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    let ip = match ip.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
        _ => return None,
    };
    let addr = SocketAddr::new(ip, port);
    is_usable(&addr).then_some(addr)
}

/// Whether a node or a peer can have this address.
pub(super) fn is_usable(addr: &SocketAddr) -> bool {
    let ip = addr.ip();
    let nobody = match ip {
        IpAddr::V4(ip) => ip.is_broadcast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    };
    addr.port() > 0 && !ip.is_multicast() && !ip.is_unspecified() && !nobody
}

/// Nodes as they stand in answers and in the file that keeps them.
pub(super) fn write_nodes<'a>(nodes: impl IntoIterator<Item = &'a (NodeId, SocketAddr)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, addr) in nodes {
        out.extend_from_slice(&id.0);
        write_addr(&mut out, addr);
    }
    out
}

fn write_addr(out: &mut Vec<u8>, addr: &SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&addr.port().to_be_bytes());
}

/// A question as a datagram.
pub(super) fn write_query(transaction: &[u8], id: &NodeId, query: &Query, family: Family) -> Vec<u8> {
    let method = match query {
        Query::Ping | Query::Other { .. } => "ping",
        Query::FindNode { .. } => "find_node",
        Query::GetPeers { .. } => "get_peers",
        Query::AnnouncePeer { .. } => "announce_peer",
    };
    encode_dict(|dict| {
        dict.dict("a", |args| {
            args.bytes("id", id.0);
            match query {
                Query::Ping | Query::Other { .. } => {}
                Query::FindNode { target } => args.bytes("target", target.0),
                Query::GetPeers { info_hash } => args.bytes("info_hash", info_hash.0),
                Query::AnnouncePeer { info_hash, port, token } => {
                    args.int("implied_port", i64::from(port.is_none()));
                    args.bytes("info_hash", info_hash.0);
                    args.int("port", port.unwrap_or(1));
                    args.bytes("token", token);
                }
            }
            if matches!(query, Query::FindNode { .. } | Query::GetPeers { .. }) {
                args.list("want", |want| want.bytes(family.want()));
            }
        });
        dict.bytes("q", method);
        finish(dict, transaction, "q");
    })
}

/// An answer as a datagram. `asker` is told its address, so that it learns its own.
pub(super) fn write_answer(
    transaction: &[u8],
    id: &NodeId,
    answer: &Answer,
    family: Family,
    asker: &SocketAddr,
) -> Vec<u8> {
    let mut ip = Vec::new();
    write_addr(&mut ip, asker);
    encode_dict(|dict| {
        dict.bytes("ip", ip);
        dict.dict("r", |values| {
            values.bytes("id", id.0);
            if !answer.nodes.is_empty() {
                values.bytes(family.key(), write_nodes(&answer.nodes));
            }
            if let Some(token) = &answer.token {
                values.bytes("token", token);
            }
            if !answer.peers.is_empty() {
                values.list("values", |list| {
                    for peer in &answer.peers {
                        let mut bytes = Vec::new();
                        write_addr(&mut bytes, peer);
                        list.bytes(bytes);
                    }
                });
            }
        });
        finish(dict, transaction, "r");
    })
}

/// A refusal as a datagram.
pub(super) fn write_error(transaction: &[u8], code: i64, text: &str) -> Vec<u8> {
    encode_dict(|dict| {
        dict.list("e", |list| {
            list.int(code);
            list.bytes(text);
        });
        finish(dict, transaction, "e");
    })
}

fn finish(dict: &mut DictWriter<'_>, transaction: &[u8], kind: &str) {
    dict.bytes("t", transaction);
    // Two letters of the client and its version (BEP 5).
    dict.bytes("v", b"HW\x00\x01");
    dict.bytes("y", kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: NodeId = NodeId(*b"abcdefghij0123456789");

    #[test]
    fn the_examples_of_bep_5_are_read() {
        let ping = read(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", Family::V4).unwrap();
        assert_eq!(ping.body, Body::Query { id: ID, query: Query::Ping, read_only: false });
        let announce = read(
            b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
            Family::V4,
        )
        .unwrap();
        let Body::Query { query: Query::AnnouncePeer { port, token, .. }, .. } = announce.body else {
            panic!()
        };
        assert_eq!((port, &token[..]), (None, &b"aoeusnth"[..]));
        let peers = read(
            b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
            Family::V4,
        )
        .unwrap();
        let Body::Answer { answer, .. } = peers.body else { panic!() };
        assert_eq!(
            answer.peers,
            ["97.120.106.101:11893".parse().unwrap(), "105.100.104.116:28269".parse().unwrap()]
        );
        let error = read(b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee", Family::V4).unwrap();
        assert_eq!(error.body, Body::Error { code: 201 });
    }

    #[test]
    fn what_is_written_is_read_back() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (family, node) in [(Family::V4, "10.0.0.1:5"), (Family::V6, "[2001:db8::1]:5")] {
            let answer = Answer {
                nodes: vec![(ID, addr(node)), (NodeId([7; 20]), addr(node))],
                peers: vec![addr("1.2.3.4:5"), addr("[2001:db8::2]:6")],
                token: Some(b"t".to_vec()),
            };
            let bytes = write_answer(b"xy", &ID, &answer, family, &addr(node));
            let read_back = read(&bytes, family).unwrap();
            assert_eq!(
                read_back,
                Message { transaction: b"xy".to_vec(), body: Body::Answer { id: ID, answer } }
            );
            for query in [
                Query::Ping,
                Query::FindNode { target: NodeId([1; 20]) },
                Query::GetPeers { info_hash: NodeId([2; 20]) },
                Query::AnnouncePeer { info_hash: NodeId([2; 20]), port: Some(80), token: b"x".to_vec() },
            ] {
                let bytes = write_query(b"aa", &ID, &query, family);
                let body = Body::Query { id: ID, query, read_only: false };
                assert_eq!(read(&bytes, family).unwrap().body, body);
            }
        }
        assert_eq!(read(&write_error(b"aa", 203, "no"), Family::V4).unwrap().body, Body::Error { code: 203 });
    }

    #[test]
    fn addresses_where_nobody_is_are_left_out() {
        for text in [
            "0.0.0.0:1",
            "1.2.3.4:0",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "[::]:1",
            "[ff02::1]:1",
            "0.1.2.3:4",
        ] {
            assert!(!is_usable(&text.parse().unwrap()), "{text}");
        }
        assert!(is_usable(&"127.0.0.1:1".parse().unwrap()) && is_usable(&"[::1]:1".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_no_message() {
        for bytes in [&b""[..], b"de", b"d1:t0:1:y1:qe", b"d1:t2:aa1:y1:xe", b"d1:rd2:id3:abce1:t2:aa1:y1:re"]
        {
            assert_eq!(read(bytes, Family::V4), None);
        }
    }

    #[test]
    fn nearness_is_counted_in_leading_bits() {
        let (mut near, far) = (ID, NodeId([0xff; 20]));
        near.0[19] ^= 1;
        assert_eq!((ID.shared_bits(&near), ID.shared_bits(&ID), ID.shared_bits(&far)), (159, 160, 0));
        assert!(ID.distance(&near) < ID.distance(&far));
    }
}
