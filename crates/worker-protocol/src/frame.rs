//! Frames: `length: u32` (of what follows the five bytes), `kind: u8`, the body; little-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    error::{ProtocolError, within},
    limits::{CONTROL_BYTES_MAX, FRAME_BYTES_MAX},
};

/// Bytes before the body.
pub const HEAD_BYTES: usize = 5;
/// The one kind that may be large.
pub(crate) const SAMPLE: u8 = 3;

/// One message, not understood yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which message.
    pub kind: u8,
    /// Its body, a slice of what was read.
    pub body: Bytes,
}

/// Cuts a stream of bytes into frames: fill [`buffer`](Self::buffer), then [`poll_frame`](Self::poll_frame) until
/// it has none. After an error the stream is lost.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Where bytes that were read go, at the end. Room for the rest of a frame is made by
    /// [`poll_frame`](Self::poll_frame), so a reader that fills what room there is copies nothing.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether nothing was read that is not given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes bytes that were read elsewhere.
    pub fn handle_input(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`ProtocolError::Limit`] as soon as a head says too much, before its body is waited for.
    pub fn poll_frame(&mut self) -> Result<Option<Frame>, ProtocolError> {
        let Some(([a, b, c, d, kind], _)) = self.buffer.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let (len, kind) = (u32::from_le_bytes([*a, *b, *c, *d]) as usize, *kind);
        let (what, max) =
            if kind == SAMPLE { ("a sample", FRAME_BYTES_MAX) } else { ("a message", CONTROL_BYTES_MAX) };
        within(what, len, max)?;
        let whole = HEAD_BYTES + len;
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        let mut body = self.buffer.split_to(whole);
        body.advance(HEAD_BYTES);
        Ok(Some(Frame { kind, body: body.freeze() }))
    }
}

/// Appends a frame whose body `write` appends.
pub(crate) fn put(out: &mut BytesMut, kind: u8, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32_le(0);
    out.put_u8(kind);
    write(out);
    // Both sides keep what they send below the limits, which fit.
    let len = u32::try_from(out.len() - at - HEAD_BYTES).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(at..at + 4) {
        head.copy_from_slice(&len.to_le_bytes());
    }
}
