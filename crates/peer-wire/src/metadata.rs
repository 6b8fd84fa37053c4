//! Exchange of the info dictionary in blocks of 16 KiB, as messages (BEP 9). Who is asked for what, and whether the whole
//! has the right hash, is for `swarm`.

use bytes::Bytes;

use crate::{
    ProtocolError,
    limits::{METADATA_BLOCK_MAX, METADATA_LENGTH_MAX},
};

/// One `ut_metadata` message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataMessage {
    /// A block is wanted.
    Request {
        /// Its number, from 0.
        piece: u32,
    },
    /// A block: 16 KiB but for the last.
    Data {
        /// Its number, from 0.
        piece: u32,
        /// Bytes of the whole info dictionary, as stated; at most [`METADATA_LENGTH_MAX`](crate::METADATA_LENGTH_MAX).
        total: u32,
        /// Its bytes, at most 16 KiB.
        data: Bytes,
    },
    /// A block will not be given.
    Reject {
        /// Its number, from 0.
        piece: u32,
    },
}

const NAME: &str = "ut_metadata";

impl MetadataMessage {
    /// Reads a message of a peer; a block is a slice of `bytes`. `None` for a kind that is not known: BEP 9 wants it ignored.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Option<Self>, ProtocolError> {
        let malformed = |fault| ProtocolError::Malformed { name: NAME, fault };
        let (value, rest) =
            bencode::decode_prefix(bytes).map_err(|source| ProtocolError::Bencode { name: NAME, source })?;
        let dict = value.as_dict().ok_or(malformed("no dictionary"))?;
        let number = |key| dict.get_u64(key).and_then(|n| u32::try_from(n).ok());
        let piece = number("piece").ok_or(malformed("no piece"))?;
        Ok(match dict.get_i64("msg_type").ok_or(malformed("no msg_type"))? {
            0 => Some(Self::Request { piece }),
            1 => {
                let total = number("total_size")
                    .filter(|total| (1..=METADATA_LENGTH_MAX).contains(total))
                    .ok_or(malformed("no total_size within its limit"))?;
                if rest.is_empty() || rest.len() > METADATA_BLOCK_MAX as usize {
                    return Err(malformed("a block that is empty or longer than 16384 bytes"));
                }
                Some(Self::Data { piece, total, data: bytes.slice_ref(rest) })
            }
            2 => Some(Self::Reject { piece }),
            _ => None,
        })
    }

    /// As bencode, and the block that follows it.
    pub(crate) fn encode(&self) -> (Vec<u8>, Bytes) {
        let (kind, piece, total, data) = match self {
            Self::Request { piece } => (0, *piece, None, Bytes::new()),
            Self::Data { piece, total, data } => (1, *piece, Some(*total), data.clone()),
            Self::Reject { piece } => (2, *piece, None, Bytes::new()),
        };
        let head = bencode::encode_dict(|dict| {
            dict.int("msg_type", kind);
            dict.int("piece", piece);
            if let Some(total) = total {
                dict.int("total_size", total);
            }
        });
        (head, data)
    }
}
