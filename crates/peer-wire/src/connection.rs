//! One connection: optional encryption, then handshake, then messages.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use metainfo::InfoHash;

use crate::{Handshake, Message, NotNegotiated, ProtocolError};

/// What is wanted of encryption (MSE). It hides what a connection is from simple filters; it protects nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EncryptionPolicy {
    /// Dial with an encrypted handshake, take either. What follows it is encrypted only when the peer insists, for that
    /// costs both ends processor time. When dialling so fails, dial again with [`Disable`](Self::Disable).
    #[default]
    Prefer,
    /// Everything is encrypted or there is no connection.
    Require,
    /// Nothing is encrypted or there is no connection.
    Disable,
}

/// How a connection came to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// Not at all.
    None,
    /// The handshake only.
    Handshake,
    /// All of it, with RC4.
    Full,
}

/// What came of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An incoming connection hides its torrent: look [`obfuscated`] info-hashes up, then [`Connection::accept`] or drop it.
    Obfuscated([u8; 20]),
    /// An incoming connection names its torrent: [`Connection::accept`] it or drop it.
    InfoHash(InfoHash),
    /// The peer's handshake is complete. From here on there are messages.
    Handshaken(Handshake, Encryption),
    /// A message.
    Message(Message),
}

/// How MSE names a torrent: HASH('req2', info-hash). For a table of ours to look [`Event::Obfuscated`] up in.
#[must_use]
pub fn obfuscated(info_hash: &InfoHash) -> [u8; 20] {
    *info_hash.as_bytes()
}

/// One connection with a peer, as a value.
///
/// Read into a buffer, then call [`receive`](Self::receive) with it until it gives `None`; keep what it left there and read
/// on behind it. [`send`](Self::send) messages at any time, and write what [`take_output`](Self::take_output) gives, after each
/// `receive` as well: handshakes are answered there. After an error the connection is of no use.
///
/// An incoming connection stops at [`Event::Obfuscated`] or [`Event::InfoHash`] (one of the two, once) until it is
/// [accepted](Self::accept); then call `receive` again, even without new bytes.
#[derive(Debug)]
pub struct Connection {
    pieces: Option<u32>,
    output: VecDeque<Bytes>,
}

impl Connection {
    /// A connection that we dialled: `ours` is to be sent at once, encrypted or not. `seed` makes the keys and padding of
    /// encryption, so it has to be unpredictable to others.
    #[must_use]
    pub fn outgoing(ours: Handshake, policy: EncryptionPolicy, seed: u64) -> Self {
        let _ = (ours, policy, seed);
        Self { pieces: None, output: VecDeque::new() }
    }

    /// A connection that was accepted from a listening socket, about a torrent that is yet to be named.
    #[must_use]
    pub fn incoming(policy: EncryptionPolicy, seed: u64) -> Self {
        let _ = (policy, seed);
        Self { pieces: None, output: VecDeque::new() }
    }

    /// Answers [`Event::Obfuscated`] or [`Event::InfoHash`]: the torrent is ours, and `ours` is what we say to the peer.
    pub fn accept(&mut self, ours: Handshake) {
        let _ = ours;
    }

    /// States the number of pieces once it is known: a bitfield has to match it.
    pub fn set_pieces(&mut self, pieces: u32) {
        self.pieces = Some(pieces);
    }

    /// Takes the next event off the front of `buf`, which is decrypted in place. Payloads are slices of `buf`, not copies.
    ///
    /// `None`: more bytes are needed, [`bytes_wanted`](Self::bytes_wanted) many, to be put behind what is left in `buf`. The
    /// caller must not change what is in `buf` in between.
    ///
    /// # Errors
    /// [`ProtocolError`]: drop the peer.
    pub fn receive(&mut self, buf: &mut BytesMut) -> Result<Option<Event>, ProtocolError> {
        let _ = buf;
        Ok(None)
    }

    /// How many bytes more than are in `buf` are known to be missing for the next event; at least 1. Bounded by the limits of
    /// messages.
    #[must_use]
    pub fn bytes_wanted(&self, buf: &BytesMut) -> usize {
        let _ = buf;
        1
    }

    /// Puts a message in the queue. Before the handshake is through, it waits for it.
    ///
    /// # Errors
    /// [`NotNegotiated`], and nothing is sent, when the peer does not speak what the message needs.
    pub fn send(&mut self, message: Message) -> Result<(), NotNegotiated> {
        let _ = message;
        Ok(())
    }

    /// Whether there is something to write.
    #[must_use]
    pub fn wants_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Moves what is to be written to the end of `into`, in order; payloads are the very [`Bytes`] that were sent, unless they
    /// had to be encrypted.
    pub fn take_output(&mut self, into: &mut VecDeque<Bytes>) {
        into.append(&mut self.output);
    }

    /// What the peer's handshake said, once it is here.
    #[must_use]
    pub fn peer(&self) -> Option<&Handshake> {
        None
    }
}
