//! One connection: optional encryption, then handshake, then messages.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use metainfo::InfoHash;

use seeded::Rng;

use crate::{
    Handshake, Message, NotNegotiated, ProtocolError,
    decode::{Decoded, Decoder},
    encode::{Output, Spoken},
    handshake::{HANDSHAKE_LENGTH, NAMED_LENGTH, PROTOCOL},
    mse::{Cipher, Dialler, Listener, Step},
};

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
    /// An incoming connection hides its torrent: look it up among the [`obfuscated`](crate::obfuscated) info-hashes, then
    /// [`Connection::accept`] it or drop the connection.
    Obfuscated([u8; 20]),
    /// An incoming connection names its torrent: [`Connection::accept`] it or drop the connection.
    InfoHash(InfoHash),
    /// The peer's handshake is complete. From here on there are messages.
    Handshaken(Handshake, Encryption),
    /// A message.
    Message(Message),
}

/// One connection with a peer, as a value.
///
/// Read into a buffer, then call [`receive`](Self::receive) with it until it gives `None`; keep what it left there. Then write
/// what [`take_output`](Self::take_output) gives, and only then read on, behind what is left: handshakes answer by themselves.
/// After an error the connection is of no use.
///
/// An incoming connection stops at [`Event::Obfuscated`] or [`Event::InfoHash`] (one of the two, once) until it is
/// [accepted](Self::accept); then call `receive` again, even without new bytes.
///
/// ```
/// # use peer_wire::*;
/// let ours = |id| Handshake {
///     reserved: Reserved::ours(true),
///     info_hash: metainfo::InfoHash([7; 20]),
///     peer_id: PeerId([id; 20]),
/// };
/// let mut dialled = Connection::outgoing(ours(1), EncryptionPolicy::Disable, 1);
/// let mut accepted = Connection::incoming(EncryptionPolicy::Prefer, 2);
/// let (mut wire, mut buf) = Default::default();
/// dialled.take_output(&mut wire);
/// bytes::BytesMut::extend(&mut buf, wire.drain(..));
/// assert_eq!(accepted.receive(&mut buf)?, Some(Event::InfoHash(ours(1).info_hash)));
/// accepted.accept(ours(2));
/// assert_eq!(accepted.receive(&mut buf)?, Some(Event::Handshaken(ours(1), Encryption::None)));
/// assert_eq!(accepted.receive(&mut buf)?, None);
/// # Ok::<(), ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    stage: Stage,
    input: Input,
    output: Output,
    decoder: Decoder,
    /// Sent before the handshake was through.
    held: Vec<Message>,
    ours: Option<Handshake>,
    peer: Option<(Handshake, Encryption)>,
    encryption: Encryption,
    /// Bytes that have to be in the buffer for the next event, as far as is known.
    wanted: usize,
}

#[derive(Debug)]
enum Stage {
    /// Incoming: plain or encrypted?
    Detect {
        policy: EncryptionPolicy,
        random: Rng,
    },
    Dialler(Dialler),
    Listener(Listener),
    /// A handshake is to come, in clear here.
    Handshake,
    /// The torrent has been named; until `accept`.
    Asked,
    Messages,
}

impl Connection {
    /// A connection that we dialled: `ours` is to be sent at once, encrypted or not. `seed` makes the keys and padding of
    /// encryption, so it has to be unpredictable to others.
    #[must_use]
    pub fn outgoing(ours: Handshake, policy: EncryptionPolicy, seed: u64) -> Self {
        let mut output = Output::default();
        let stage = if policy == EncryptionPolicy::Disable {
            output.put(&ours.to_bytes());
            Stage::Handshake
        } else {
            Stage::Dialler(Dialler::new(ours, policy, &mut Rng::new(seed), output.raw()))
        };
        Self::new(stage, output, Some(ours))
    }

    /// A connection that was accepted from a listening socket, about a torrent that is yet to be named. `seed` as for
    /// [`outgoing`](Self::outgoing).
    #[must_use]
    pub fn incoming(policy: EncryptionPolicy, seed: u64) -> Self {
        Self::new(Stage::Detect { policy, random: Rng::new(seed) }, Output::default(), None)
    }

    fn new(stage: Stage, output: Output, ours: Option<Handshake>) -> Self {
        Self {
            stage,
            input: Input::default(),
            output,
            decoder: Decoder::default(),
            held: Vec::new(),
            ours,
            peer: None,
            encryption: Encryption::None,
            wanted: 1,
        }
    }

    /// Answers [`Event::Obfuscated`] or [`Event::InfoHash`]: the torrent is ours, and `ours` is what we say to the peer.
    pub fn accept(&mut self, ours: Handshake) {
        match &mut self.stage {
            Stage::Listener(listener) if self.ours.is_none() => listener.accept(&ours.info_hash),
            Stage::Asked => {
                self.output.put(&ours.to_bytes());
                self.stage = Stage::Handshake;
            }
            _ => return,
        }
        self.ours = Some(ours);
    }

    /// States the number of pieces once it is known: a bitfield has to match it.
    pub fn set_pieces(&mut self, pieces: u32) {
        self.decoder.pieces = Some(pieces);
    }

    /// Takes the next event off the front of `buf`, which is decrypted in place. Payloads are slices of `buf`, not copies.
    ///
    /// `None`: more bytes are needed, [`bytes_wanted`](Self::bytes_wanted) at least, to be put behind what is left in `buf`,
    /// which must stay as it is.
    ///
    /// # Errors
    /// [`ProtocolError`]: drop the peer.
    pub fn receive(&mut self, buf: &mut BytesMut) -> Result<Option<Event>, ProtocolError> {
        loop {
            let before = buf.len();
            let taken = if let Stage::Messages = self.stage {
                self.input.decrypt(buf);
                match self.decoder.next(buf)? {
                    Decoded::Message(message) => Taken::Event(Event::Message(message)),
                    Decoded::Skipped => Taken::Nothing,
                    Decoded::Wanted(bytes) => Taken::Wanted(bytes),
                }
            } else {
                self.handshake(buf)?
            };
            match taken {
                Taken::Event(event) => {
                    self.input.consumed(before - buf.len());
                    return Ok(Some(event));
                }
                Taken::Nothing => self.input.consumed(before - buf.len()),
                Taken::Wanted(bytes) => {
                    self.input.consumed(before - buf.len());
                    self.wanted = bytes;
                    return Ok(None);
                }
            }
        }
    }

    /// How many bytes more than are in `buf` the next event is known to need; at least 1, and bounded by the limits of
    /// messages. For making room before reading.
    #[must_use]
    pub fn bytes_wanted(&self, buf: &BytesMut) -> usize {
        self.wanted.saturating_sub(buf.len()).max(1)
    }

    /// Puts a message in the queue; before [`Event::Handshaken`], it waits for it.
    ///
    /// # Errors
    /// [`NotNegotiated`], and nothing is sent, when the peer does not speak what the message needs, or has not said so yet.
    pub fn send(&mut self, message: Message) -> Result<(), NotNegotiated> {
        if let Message::ExtendedHandshake(said) = &message {
            self.decoder.ours = said.extensions;
        }
        if self.peer.is_none() {
            self.held.push(message);
            return Ok(());
        }
        self.output.message(message, self.spoken())
    }

    /// Whether there is something to write.
    #[must_use]
    pub fn wants_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// How many bytes there are to write.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Moves what is to be written to the end of `into`, in order; payloads are the very [`Bytes`] that were sent, unless they
    /// had to be encrypted.
    pub fn take_output(&mut self, into: &mut VecDeque<Bytes>) {
        self.output.take(into);
    }

    /// What the peer's handshake said, and how this connection is encrypted, once that is known.
    #[must_use]
    pub fn peer(&self) -> Option<(&Handshake, Encryption)> {
        self.peer.as_ref().map(|(handshake, encryption)| (handshake, *encryption))
    }

    fn spoken(&self) -> Spoken {
        Spoken { fast: self.decoder.fast, extended: self.decoder.extended, numbers: self.decoder.numbers }
    }

    /// Everything before messages.
    fn handshake(&mut self, buf: &mut BytesMut) -> Result<Taken, ProtocolError> {
        match &mut self.stage {
            Stage::Detect { policy, random } => {
                let same = buf.iter().zip(PROTOCOL).take_while(|(a, b)| a == b).count();
                if same == PROTOCOL.len() {
                    if *policy == EncryptionPolicy::Require {
                        return Err(ProtocolError::Encryption(
                            "a plain handshake where encryption is required",
                        ));
                    }
                    self.stage = Stage::Handshake;
                } else if same < buf.len() {
                    if *policy == EncryptionPolicy::Disable {
                        return Err(ProtocolError::NotBitTorrent);
                    }
                    self.stage = Stage::Listener(Listener::new(*policy, random.clone()));
                } else {
                    return Ok(Taken::Wanted(PROTOCOL.len()));
                }
                Ok(Taken::Nothing)
            }
            Stage::Dialler(dialler) => {
                let step = dialler.step(buf, self.output.raw())?;
                Ok(self.step(step))
            }
            Stage::Listener(listener) => {
                let step = listener.step(buf, self.output.raw())?;
                let taken = self.step(step);
                if let (Stage::Handshake, Some(ours)) = (&self.stage, &self.ours) {
                    self.output.put(&ours.to_bytes());
                }
                Ok(taken)
            }
            Stage::Asked => Ok(Taken::Wanted(buf.len() + 1)),
            Stage::Handshake => self.peers_handshake(buf),
            Stage::Messages => Ok(Taken::Nothing),
        }
    }

    fn step(&mut self, step: Step) -> Taken {
        match step {
            Step::Wanted(bytes) => Taken::Wanted(bytes),
            Step::Torrent(hidden) => Taken::Event(Event::Obfuscated(hidden)),
            Step::Done(streams) => {
                self.input = Input { cipher: streams.read, clear: 0 };
                self.output.encrypt(streams.write);
                self.encryption = streams.encryption;
                self.stage = Stage::Handshake;
                Taken::Nothing
            }
        }
    }

    fn peers_handshake(&mut self, buf: &mut BytesMut) -> Result<Taken, ProtocolError> {
        self.input.decrypt(buf);
        if buf.iter().zip(PROTOCOL).any(|(a, b)| a != b) {
            return Err(ProtocolError::NotBitTorrent);
        }
        let Some(named) = buf.first_chunk::<NAMED_LENGTH>() else {
            return Ok(Taken::Wanted(NAMED_LENGTH));
        };
        let mut info_hash = InfoHash([0; 20]);
        info_hash.0.copy_from_slice(&named[28..]);
        let Some(ours) = &self.ours else {
            self.stage = Stage::Asked;
            return Ok(Taken::Event(Event::InfoHash(info_hash)));
        };
        if ours.info_hash != info_hash {
            return Err(ProtocolError::OtherTorrent);
        }
        let Some(bytes) = buf.first_chunk::<HANDSHAKE_LENGTH>() else {
            return Ok(Taken::Wanted(HANDSHAKE_LENGTH));
        };
        let theirs = Handshake::from_bytes(bytes);
        self.decoder.fast = ours.reserved.fast() && theirs.reserved.fast();
        self.decoder.extended = ours.reserved.extended() && theirs.reserved.extended();
        buf.advance(HANDSHAKE_LENGTH);
        self.peer = Some((theirs, self.encryption));
        self.stage = Stage::Messages;
        let spoken = self.spoken();
        for message in std::mem::take(&mut self.held) {
            // What the peer turns out not to speak is not said to it.
            let _ = self.output.message(message, spoken);
        }
        Ok(Taken::Event(Event::Handshaken(theirs, self.encryption)))
    }
}

enum Taken {
    Event(Event),
    /// Something was taken that is no event, or the stage has changed: go on.
    Nothing,
    /// So many bytes have to be in the buffer.
    Wanted(usize),
}

/// What is read, in place of being copied through a cipher: the front of the buffer is in clear.
#[derive(Debug, Default)]
struct Input {
    /// And how many bytes it still decrypts, where that is not all of them.
    cipher: Option<(Cipher, Option<usize>)>,
    /// Bytes at the front of the buffer that are decrypted.
    clear: usize,
}

impl Input {
    fn decrypt(&mut self, buf: &mut BytesMut) {
        let Some((cipher, left)) = &mut self.cipher else { return };
        let end = left.map_or(buf.len(), |left| buf.len().min(self.clear + left));
        if let Some(fresh) = buf.get_mut(self.clear..end)
            && !fresh.is_empty()
        {
            cipher.apply(fresh);
            if let Some(left) = left {
                *left -= fresh.len();
            }
            self.clear = end;
        }
        if *left == Some(0) {
            self.cipher = None;
        }
    }

    fn consumed(&mut self, bytes: usize) {
        self.clear = self.clear.saturating_sub(bytes);
    }
}
