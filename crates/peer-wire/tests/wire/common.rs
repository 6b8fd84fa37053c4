//! Two connections and the bytes between them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use metainfo::InfoHash;
use peer_wire::{
    Connection, EncryptionPolicy, Event, ExtendedHandshake, Extensions, Handshake, Message, PeerId,
    ProtocolError, Reserved, obfuscated,
};

pub(crate) const TORRENT: InfoHash = InfoHash([0x5a; 20]);

pub(crate) fn handshake(id: u8) -> Handshake {
    Handshake { reserved: Reserved::ours(true), info_hash: TORRENT, peer_id: PeerId([id; 20]) }
}

/// Everything a peer can be told.
pub(crate) fn extended() -> ExtendedHandshake {
    ExtendedHandshake {
        extensions: Extensions { metadata: true, pex: true, dont_have: true, upload_only: true },
        ..ExtendedHandshake::default()
    }
}

/// One end, with what has reached it.
pub(crate) struct End {
    pub(crate) connection: Connection,
    pub(crate) buf: BytesMut,
    pub(crate) events: Vec<Event>,
    pub(crate) accepts: Handshake,
}

impl End {
    pub(crate) fn new(connection: Connection, accepts: Handshake) -> Self {
        Self { connection, buf: BytesMut::new(), events: Vec::new(), accepts }
    }

    pub(crate) fn dialled(policy: EncryptionPolicy, seed: u64) -> Self {
        Self::new(Connection::outgoing(handshake(1), policy, seed), handshake(1))
    }

    pub(crate) fn accepted(policy: EncryptionPolicy, seed: u64) -> Self {
        Self::new(Connection::incoming(policy, seed), handshake(2))
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.buf.extend_from_slice(bytes);
        while let Some(event) = self.connection.receive(&mut self.buf)? {
            match &event {
                Event::Obfuscated(hidden) => {
                    assert_eq!(*hidden, obfuscated(&TORRENT));
                    self.connection.accept(self.accepts);
                }
                Event::InfoHash(named) => {
                    assert_eq!(*named, TORRENT);
                    self.connection.accept(self.accepts);
                }
                _ => {}
            }
            self.events.push(event);
        }
        assert!(self.connection.bytes_wanted(&self.buf) > 0);
        Ok(())
    }

    pub(crate) fn output(&mut self) -> Vec<u8> {
        let mut out: VecDeque<Bytes> = VecDeque::new();
        let stated = self.connection.output_len();
        self.connection.take_output(&mut out);
        let out: Vec<u8> = out.into_iter().flatten().collect();
        assert_eq!(out.len(), stated);
        assert!(!self.connection.wants_output());
        out
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Message(message) => Some(message.clone()),
                _ => None,
            })
            .collect()
    }
}

/// Carries bytes both ways in chunks of the sizes given, over and over, until both are silent.
pub(crate) fn talk(a: &mut End, b: &mut End, sizes: &[usize]) -> Result<(), ProtocolError> {
    let mut sizes = sizes.iter().copied().map(|size| size.max(1)).cycle();
    let (mut to_b, mut to_a): (VecDeque<u8>, VecDeque<u8>) = Default::default();
    loop {
        to_b.extend(a.output());
        to_a.extend(b.output());
        if to_a.is_empty() && to_b.is_empty() {
            return Ok(());
        }
        for (bytes, end) in [(&mut to_b, &mut *b), (&mut to_a, &mut *a)] {
            let size = sizes.next().unwrap_or(usize::MAX).min(bytes.len());
            let chunk: Vec<u8> = bytes.drain(..size).collect();
            end.receive(&chunk)?;
        }
    }
}

/// Two ends that have shaken hands, extended handshakes included.
pub(crate) fn pair() -> (End, End) {
    let (mut a, mut b) =
        (End::dialled(EncryptionPolicy::Disable, 1), End::accepted(EncryptionPolicy::Disable, 2));
    for end in [&mut a, &mut b] {
        end.connection.send(Message::ExtendedHandshake(Box::new(extended()))).unwrap();
    }
    talk(&mut a, &mut b, &[usize::MAX]).unwrap();
    a.events.clear();
    b.events.clear();
    (a, b)
}
