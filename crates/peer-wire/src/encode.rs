//! Messages as bytes to write: small ones one after the other in a scratch buffer, payloads as they were given.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Message, NotNegotiated, RawBlock, extended::PeerNumbers, message::id, mse::Cipher};

/// Scratch is taken in portions of this size, so that a batch of messages costs one allocation.
const SCRATCH: usize = 4 << 10;

/// A payload shorter than this is copied: a buffer of its own in a vectored write costs more.
const COPIED_MAX: usize = 512;

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    queue: VecDeque<Bytes>,
    queued: usize,
    scratch: BytesMut,
    /// What is put encrypts from here on.
    cipher: Option<Cipher>,
}

/// What the peer speaks, as far as it decides what may be said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spoken {
    pub(crate) fast: bool,
    pub(crate) extended: bool,
    pub(crate) numbers: PeerNumbers,
}

impl Output {
    /// Bytes of a handshake, which are encrypted already where they have to be.
    pub(crate) fn raw(&mut self) -> &mut BytesMut {
        &mut self.scratch
    }

    /// Encrypts all that is put from here on.
    pub(crate) fn encrypt(&mut self, cipher: Option<Cipher>) {
        self.cipher = cipher;
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.write(|out| out.put_slice(bytes));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.scratch.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queued + self.scratch.len()
    }

    pub(crate) fn take(&mut self, into: &mut VecDeque<Bytes>) {
        self.seal();
        into.append(&mut self.queue);
        self.queued = 0;
    }

    pub(crate) fn message(&mut self, message: Message, spoken: Spoken) -> Result<(), NotNegotiated> {
        let name = message.name();
        let number = |number: u8| {
            if spoken.extended && number != 0 { Ok(number) } else { Err(NotNegotiated { name }) }
        };
        if message.needs_fast() && !spoken.fast {
            return Err(NotNegotiated { name });
        }
        match message {
            Message::KeepAlive => self.put(&[0; 4]),
            Message::Choke => self.head(id::CHOKE, 0),
            Message::Unchoke => self.head(id::UNCHOKE, 0),
            Message::Interested => self.head(id::INTERESTED, 0),
            Message::NotInterested => self.head(id::NOT_INTERESTED, 0),
            Message::HaveAll => self.head(id::HAVE_ALL, 0),
            Message::HaveNone => self.head(id::HAVE_NONE, 0),
            Message::Have(piece) => self.number(id::HAVE, piece),
            Message::SuggestPiece(piece) => self.number(id::SUGGEST, piece),
            Message::AllowedFast(piece) => self.number(id::ALLOWED_FAST, piece),
            Message::Request(block) => self.block(id::REQUEST, block),
            Message::Cancel(block) => self.block(id::CANCEL, block),
            Message::Reject(block) => self.block(id::REJECT, block),
            Message::Port(port) => {
                self.head(id::PORT, 2);
                self.put(&port.to_be_bytes());
            }
            Message::Bitfield(bits) => {
                self.head(id::BITFIELD, bits.len());
                self.payload(bits);
            }
            Message::Piece { piece, begin, data } => {
                let length = framed(8 + data.len());
                self.write(|out| {
                    out.put_slice(&length);
                    out.put_u8(id::PIECE);
                    out.put_u32(piece);
                    out.put_u32(begin);
                });
                self.payload(data);
            }
            Message::ExtendedHandshake(said) => {
                if !spoken.extended {
                    return Err(NotNegotiated { name });
                }
                self.extended(0, &said.encode());
            }
            Message::Metadata(message) => {
                let number = number(spoken.numbers.metadata)?;
                let (dict, data) = message.encode();
                self.head(id::EXTENDED, 1 + dict.len() + data.len());
                self.put(&[number]);
                self.put(&dict);
                self.payload(data);
            }
            Message::Pex(pex) => self.extended(number(spoken.numbers.pex)?, &pex.encode()),
            Message::DontHave(piece) => {
                self.extended(number(spoken.numbers.dont_have)?, &piece.to_be_bytes());
            }
            Message::UploadOnly(only) => {
                self.extended(number(spoken.numbers.upload_only)?, &[u8::from(only)]);
            }
            Message::UnknownExtended(_) => return Err(NotNegotiated { name }),
        }
        Ok(())
    }

    fn head(&mut self, id: u8, body: usize) {
        let length = framed(body);
        self.write(|out| {
            out.put_slice(&length);
            out.put_u8(id);
        });
    }

    fn number(&mut self, id: u8, number: u32) {
        self.head(id, 4);
        self.put(&number.to_be_bytes());
    }

    fn block(&mut self, id: u8, block: RawBlock) {
        self.head(id, 12);
        self.write(|out| {
            out.put_u32(block.piece);
            out.put_u32(block.begin);
            out.put_u32(block.length);
        });
    }

    fn extended(&mut self, number: u8, body: &[u8]) {
        self.head(id::EXTENDED, 1 + body.len());
        self.put(&[number]);
        self.put(body);
    }

    fn write(&mut self, put: impl FnOnce(&mut BytesMut)) {
        if self.scratch.capacity() - self.scratch.len() < 32 {
            self.scratch.reserve(SCRATCH);
        }
        let start = self.scratch.len();
        put(&mut self.scratch);
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(&mut self.scratch[start..]);
        }
    }

    /// Payload goes out as it came, in place of a copy; encrypted in place where nobody else holds it.
    fn payload(&mut self, data: Bytes) {
        if data.len() < COPIED_MAX {
            return self.put(&data);
        }
        self.seal();
        self.queued += data.len();
        self.queue.push_back(match &mut self.cipher {
            None => data,
            Some(cipher) => {
                let mut data = data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                cipher.apply(&mut data);
                data.freeze()
            }
        });
    }

    fn seal(&mut self) {
        if !self.scratch.is_empty() {
            self.queued += self.scratch.len();
            self.queue.push_back(self.scratch.split().freeze());
        }
    }
}

/// The length prefix of a message with a body of so many bytes behind its number.
fn framed(body: usize) -> [u8; 4] {
    u32::try_from(1 + body).unwrap_or(u32::MAX).to_be_bytes()
}
