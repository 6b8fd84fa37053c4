//! What a peer sends: messages, the exchanges of metadata and peers in them, and encrypted handshakes.

use bytes::BytesMut;
use metainfo::InfoHash;
use peer_wire::{
    Connection, EncryptionPolicy, Event, ExtendedHandshake, Extensions, Handshake, Message, PeerId, Reserved,
};

/// The torrent of all conversations.
const TORRENT: InfoHash = InfoHash([0x5a; 20]);

/// Events that one conversation may bring: more than bytes would be something out of nothing.
const EVENTS_PER_BYTE: usize = 1;

fn handshake(id: u8) -> Handshake {
    Handshake { reserved: Reserved::ours(true), info_hash: TORRENT, peer_id: PeerId([id; 20]) }
}

fn hello() -> Message {
    let extensions = Extensions { metadata: true, pex: true, dont_have: true, upload_only: true };
    Message::ExtendedHandshake(Box::new(ExtendedHandshake { extensions, ..ExtendedHandshake::default() }))
}

/// Gives `bytes` to `connection` in pieces of `chunk` bytes, accepting whatever it asks, to the end or an error.
fn feed(connection: &mut Connection, bytes: &[u8], chunk: usize) -> Vec<Message> {
    let (mut buf, mut messages, mut events) = (BytesMut::new(), Vec::new(), 0);
    for bytes in bytes.chunks(chunk.max(1)) {
        buf.extend_from_slice(bytes);
        loop {
            match connection.receive(&mut buf) {
                Ok(Some(Event::Obfuscated(_) | Event::InfoHash(_))) => connection.accept(handshake(2)),
                Ok(Some(Event::Message(message))) => messages.push(message),
                Ok(Some(Event::Handshaken(..))) => {}
                Ok(None) => break,
                Err(_) => return messages,
            }
            events += 1;
        }
        let _ = connection.bytes_wanted(&buf);
    }
    assert!(events <= bytes.len() * EVENTS_PER_BYTE, "{events} events of {} bytes", bytes.len());
    messages
}

/// A connection on which messages are spoken.
fn open() -> Connection {
    let mut connection = Connection::outgoing(handshake(1), EncryptionPolicy::Disable, 1);
    let _ = feed(&mut connection, &handshake(2).to_bytes(), 68);
    let _ = connection.send(hello());
    connection
}

/// Messages of a peer, after the handshake. The first byte says how they are cut. What is understood is said again and must
/// come out the same.
pub(crate) fn wire(data: &[u8]) {
    let Some((chunk, bytes)) = data.split_first() else { return };
    let mut connection = open();
    let messages = feed(&mut connection, bytes, usize::from(*chunk));
    again(messages);
}

/// One `ut_metadata` message.
pub(crate) fn metadata(data: &[u8]) {
    extension(2, data);
}

/// One `ut_pex` message.
pub(crate) fn pex(data: &[u8]) {
    extension(1, data);
}

fn extension(number: u8, data: &[u8]) {
    let Ok(length) = u32::try_from(2 + data.len()) else { return };
    let frame = [&length.to_be_bytes()[..], &[20, number], data].concat();
    again(feed(&mut open(), &frame, frame.len()));
}

fn again(messages: Vec<Message>) {
    let (mut from, mut to) = (open(), open());
    // What the peer speaks is learnt from it.
    let mut hello = open();
    let mut out = std::collections::VecDeque::new();
    hello.take_output(&mut out);
    let said: Vec<u8> = out.drain(..).flatten().skip(68).collect();
    let _ = feed(&mut from, &said, said.len());
    from.take_output(&mut out);
    out.clear();
    let mut sent: Vec<Message> = messages
        .into_iter()
        .filter(|message| !matches!(message, Message::ExtendedHandshake(_) | Message::UnknownExtended(_)))
        .collect();
    for message in &mut sent {
        if let Message::Pex(pex) = message {
            // Families come one after the other, and no address may be both of one and mapped to the other.
            pex.added.sort_by_key(|peer| peer.addr.is_ipv6());
            pex.dropped.sort_by_key(std::net::SocketAddr::is_ipv6);
        }
        assert_eq!(from.send(message.clone()), Ok(()));
    }
    from.take_output(&mut out);
    let bytes: Vec<u8> = out.into_iter().flatten().collect();
    assert_eq!(feed(&mut to, &bytes, 1_000), sent);
}

/// A connection from its first byte, encrypted or not. The first byte says which end it is, what its policy is, and how the bytes
/// are cut.
pub(crate) fn mse(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let policy = if how & 1 == 0 { EncryptionPolicy::Prefer } else { EncryptionPolicy::Require };
    let mut connection = if how & 2 == 0 {
        Connection::incoming(policy, 2)
    } else {
        Connection::outgoing(handshake(1), policy, 1)
    };
    let _ = connection.send(hello());
    let _ = feed(&mut connection, bytes, usize::from(how >> 2) * 16);
    let mut out = std::collections::VecDeque::new();
    connection.take_output(&mut out);
}
