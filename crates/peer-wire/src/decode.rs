//! Frames of a peer as messages: checked for length as soon as their kind is known, payloads split off uncopied.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    ExtendedHandshake, Extensions, Message, MetadataMessage, Pex, ProtocolError, RawBlock,
    extended::{self, PeerNumbers},
    limits::{BITFIELD_MAX, BLOCK_LENGTH_MAX, EXTENDED_HANDSHAKE_MAX, METADATA_MAX, PEX_MAX, UNKNOWN_MAX},
    message::id,
};

/// What has been agreed and seen, as far as it decides what may come.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Both ends speak the fast extension.
    pub(crate) fast: bool,
    /// Both ends speak the extension protocol.
    pub(crate) extended: bool,
    /// How many pieces there are, once known.
    pub(crate) pieces: Option<u32>,
    /// What we said we speak: other extension messages are skipped.
    pub(crate) ours: Extensions,
    /// Where the peer wants its extension messages.
    pub(crate) numbers: PeerNumbers,
    /// The peer has said which pieces it has.
    haves: bool,
    /// The peer has said that it has all.
    all: bool,
}

/// What is at the front of the buffer.
pub(crate) enum Decoded {
    /// So many bytes have to be there.
    Wanted(usize),
    /// A message that nobody has to hear of was skipped.
    Skipped,
    Message(Message),
}

impl Decoder {
    /// Takes the message at the front of `buf`.
    pub(crate) fn next(&mut self, buf: &mut BytesMut) -> Result<Decoded, ProtocolError> {
        let Some(prefix) = buf.first_chunk::<4>() else { return Ok(Decoded::Wanted(4)) };
        let length = u32::from_be_bytes(*prefix);
        if length == 0 {
            buf.advance(4);
            return Ok(Decoded::Message(Message::KeepAlive));
        }
        let Some(&kind) = buf.get(4) else { return Ok(Decoded::Wanted(5)) };
        let number = if kind == id::EXTENDED {
            match buf.get(5) {
                Some(&number) => number,
                None if length < 2 => 0,
                None => return Ok(Decoded::Wanted(6)),
            }
        } else {
            0
        };
        self.check(kind, number, length)?;
        // The check has bounded it.
        let whole = 4 + length as usize;
        if buf.len() < whole {
            return Ok(Decoded::Wanted(whole));
        }
        buf.advance(5);
        let mut body = buf.split_to(whole - 5);
        let message = match kind {
            id::CHOKE => Message::Choke,
            id::UNCHOKE => Message::Unchoke,
            id::INTERESTED => Message::Interested,
            id::NOT_INTERESTED => Message::NotInterested,
            id::HAVE => Message::Have(body.get_u32()),
            id::BITFIELD => Message::Bitfield(body.freeze()),
            id::REQUEST => Message::Request(block(&mut body)),
            id::PIECE => {
                let (piece, begin) = (body.get_u32(), body.get_u32());
                Message::Piece { piece, begin, data: body.freeze() }
            }
            id::CANCEL => Message::Cancel(block(&mut body)),
            id::PORT => Message::Port(body.get_u16()),
            id::SUGGEST => Message::SuggestPiece(body.get_u32()),
            id::HAVE_ALL => Message::HaveAll,
            id::HAVE_NONE => Message::HaveNone,
            id::REJECT => Message::Reject(block(&mut body)),
            id::ALLOWED_FAST => Message::AllowedFast(body.get_u32()),
            id::EXTENDED => {
                body.advance(1);
                match self.extension(number, body.freeze())? {
                    Some(message) => message,
                    None => return Ok(Decoded::Skipped),
                }
            }
            _ => return Ok(Decoded::Skipped),
        };
        self.place(&message)?;
        Ok(Decoded::Message(message))
    }

    /// Whether a message of this kind may be so long, and may come at all.
    fn check(&self, kind: u8, number: u8, length: u32) -> Result<(), ProtocolError> {
        let name = id::name(kind);
        let needs_fast =
            matches!(kind, id::SUGGEST | id::HAVE_ALL | id::HAVE_NONE | id::REJECT | id::ALLOWED_FAST);
        if (needs_fast && !self.fast) || (kind == id::EXTENDED && !self.extended) {
            return Err(ProtocolError::NotNegotiated { name });
        }
        let exactly = |expected| match length == expected {
            true => Ok(()),
            false => Err(ProtocolError::WrongLength { name, length, expected }),
        };
        let at_most = |name, limit| match length <= limit {
            true => Ok(()),
            false => Err(ProtocolError::TooLong { name, length, limit }),
        };
        match kind {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED | id::HAVE_ALL | id::HAVE_NONE => {
                exactly(1)
            }
            id::PORT => exactly(3),
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => exactly(5),
            id::REQUEST | id::CANCEL | id::REJECT => exactly(13),
            id::BITFIELD => match self.pieces {
                Some(pieces) => exactly(1 + pieces.div_ceil(8)),
                None => at_most(name, 1 + BITFIELD_MAX),
            },
            id::PIECE if length < 10 => Err(ProtocolError::WrongLength { name, length, expected: 10 }),
            id::PIECE => at_most(name, 9 + BLOCK_LENGTH_MAX),
            id::EXTENDED if length < 2 => Err(ProtocolError::WrongLength { name, length, expected: 2 }),
            id::EXTENDED => match self.kind_of(number) {
                Extension::Handshake => at_most("extended handshake", 2 + EXTENDED_HANDSHAKE_MAX),
                Extension::Metadata => at_most(extended::METADATA.0, 2 + METADATA_MAX),
                Extension::Pex => at_most(extended::PEX.0, 2 + PEX_MAX),
                Extension::DontHave => exactly(6),
                Extension::UploadOnly => exactly(3),
                Extension::Unknown => at_most("unknown extension", 2 + UNKNOWN_MAX),
            },
            _ => at_most(name, 1 + UNKNOWN_MAX),
        }
    }

    fn kind_of(&self, number: u8) -> Extension {
        let known = [
            (self.ours.metadata, extended::METADATA.1, Extension::Metadata),
            (self.ours.pex, extended::PEX.1, Extension::Pex),
            (self.ours.dont_have, extended::DONT_HAVE.1, Extension::DontHave),
            (self.ours.upload_only, extended::UPLOAD_ONLY.1, Extension::UploadOnly),
        ];
        match number {
            0 => Extension::Handshake,
            number => known
                .into_iter()
                .find_map(|(spoken, ours, kind)| (spoken && ours == number).then_some(kind))
                .unwrap_or(Extension::Unknown),
        }
    }

    fn extension(&mut self, number: u8, mut body: Bytes) -> Result<Option<Message>, ProtocolError> {
        Ok(Some(match self.kind_of(number) {
            Extension::Handshake => {
                Message::ExtendedHandshake(Box::new(ExtendedHandshake::decode(&body, &mut self.numbers)?))
            }
            Extension::Metadata => match MetadataMessage::decode(&body)? {
                Some(message) => Message::Metadata(message),
                None => return Ok(None),
            },
            Extension::Pex => Message::Pex(Box::new(Pex::decode(&body)?)),
            Extension::DontHave => Message::DontHave(body.get_u32()),
            Extension::UploadOnly => Message::UploadOnly(body.get_u8() != 0),
            Extension::Unknown => Message::UnknownExtended(number),
        }))
    }

    /// All pieces are stated before any single one, and none is given back. aria2 states them again when it got many at once:
    /// a bitfield in the middle, or that it has all, is taken, until it has all.
    fn place(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let late = match message {
            Message::Bitfield(_) | Message::HaveAll => self.all,
            Message::HaveNone => self.haves,
            _ => false,
        };
        if late {
            return Err(ProtocolError::OutOfPlace { name: message.name() });
        }
        self.all |= matches!(message, Message::HaveAll);
        self.haves |=
            matches!(message, Message::Bitfield(_) | Message::HaveAll | Message::HaveNone | Message::Have(_));
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Extension {
    Handshake,
    Metadata,
    Pex,
    DontHave,
    UploadOnly,
    Unknown,
}

/// Twelve bytes, which the length check has made sure of.
fn block(body: &mut BytesMut) -> RawBlock {
    RawBlock { piece: body.get_u32(), begin: body.get_u32(), length: body.get_u32() }
}
