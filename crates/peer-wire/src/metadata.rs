//! Exchange of the info dictionary in blocks of 16 KiB, as messages (BEP 9). Who is asked for what, and whether the whole
//! has the right hash, is for `swarm`.

use bytes::Bytes;

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
