//! What the fuzzer runs: the reader of messages, and a node that is told anything by whomever it asked.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use metainfo::InfoHash;

use super::{
    krpc::{self, Body, Family, NodeId, Query},
    node::Node,
};

/// Datagrams that one call may set off: a bound that a node which answers each by several would break.
const DATAGRAMS_MAX: usize = 4_096;

/// Reads `data` as a datagram, and as datagrams each after a byte of length; a length of 0 lets a second pass.
///
/// # Panics
/// When what was read is written differently, or a node says more and more.
pub(crate) fn hear(data: &[u8]) {
    for family in [Family::V4, Family::V6] {
        read_back(data, family);
        converse(data, family);
    }
}

/// What was read is written such that it is read again the same.
fn read_back(datagram: &[u8], family: Family) {
    let Some(message) = krpc::read(datagram, family) else { return };
    let (t, anybody) = (&message.transaction, entry(family));
    let written = match &message.body {
        // It is not sent.
        Body::Query { query: Query::Other { .. }, .. } => return,
        Body::Query { id, query, .. } => krpc::write_query(t, id, query, family),
        Body::Answer { id, answer } => krpc::write_answer(t, id, answer, family, &anybody),
        Body::Error { code } => krpc::write_error(t, *code, ""),
    };
    let mut expected = message;
    if let Body::Query { read_only, .. } = &mut expected.body {
        *read_only = false;
    }
    assert_eq!(krpc::read(&written, family), Some(expected), "what was read is not what would be written");
}

fn entry(family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 1)),
        Family::V6 => SocketAddr::from((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), 1)),
    }
}

fn converse(mut data: &[u8], family: Family) {
    let mut now = Duration::ZERO;
    let mut node = Node::new(NodeId([b'n'; 20]), family, 1, now);
    node.add_entry(entry(family), now);
    node.search(InfoHash([b'm'; 20]), Some(6881), now);
    let (mut asked, mut said) = (Vec::new(), 0);
    while let Some((length, rest)) = data.split_first() {
        while let Some(datagram) = node.poll_datagram() {
            asked.push(datagram);
            said += 1;
            assert!(said < DATAGRAMS_MAX, "a node says more and more");
        }
        while node.poll_found().is_some() {}
        let (datagram, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        if *length == 0 {
            now += Duration::from_secs(1);
            node.handle_timeout(now);
            continue;
        }
        node.handle_datagram(entry(family), datagram, now);
        // No fuzzer guesses the transaction: an answer is given to what was asked.
        if let Some(Body::Answer { id, answer }) = krpc::read(datagram, family).map(|message| message.body)
            && let Some((to, question)) = asked.pop()
            && let Some(question) = krpc::read(&question, family)
        {
            let answer = krpc::write_answer(&question.transaction, &id, &answer, family, &to);
            node.handle_datagram(to, &answer, now);
        }
    }
    let _ = (node.nodes(), node.next_timeout(now));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_gets_beyond_the_first_answer() {
        let answer = krpc::Answer {
            nodes: vec![(NodeId([b'o'; 20]), SocketAddr::from(([10, 0, 0, 2], 2)))],
            token: Some(b"t".to_vec()),
            ..krpc::Answer::default()
        };
        let mut datagram =
            krpc::write_answer(b"aa", &NodeId([b'p'; 20]), &answer, Family::V4, &entry(Family::V4));
        datagram.insert(0, u8::try_from(datagram.len()).unwrap());
        hear(&datagram.repeat(8));
    }
}
