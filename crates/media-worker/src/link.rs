//! The worker's end of the socket: messages over standard input, read and written in turn.

use std::io;

use bytes::BytesMut;
use container::Sample;
use worker_protocol::{Decoder, FromWorker, ProtocolError, ToWorker};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// Why a worker ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the socket: {0}")]
    Io(#[from] io::Error),
    #[error("the server: {0}")]
    Protocol(#[from] ProtocolError),
    #[error("the server sent {0}")]
    Unexpected(&'static str),
    #[error("the server is gone")]
    Gone,
}

/// The socket and what is on its way.
#[derive(Default)]
pub(crate) struct Link {
    decoder: Decoder,
    out: BytesMut,
    chunk: Vec<u8>,
}

impl Link {
    /// The next message; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<ToWorker>, LinkError> {
        self.chunk.resize(READ_BYTES, 0);
        loop {
            if let Some(frame) = self.decoder.poll_frame()? {
                return Ok(Some(ToWorker::decode(frame)?));
            }
            match rustix::io::read(io::stdin(), &mut self.chunk) {
                Ok(0) if self.decoder.is_empty() => return Ok(None),
                Ok(0) => return Err(LinkError::Gone),
                Ok(n) => self.decoder.handle_input(self.chunk.get(..n).unwrap_or_default()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// The next sample of the request; `None` after the last one.
    pub(crate) fn next_sample(&mut self) -> Result<Option<Sample>, LinkError> {
        match self.next()? {
            Some(ToWorker::Sample(sample)) => Ok(Some(sample)),
            Some(ToWorker::End) => Ok(None),
            Some(_) => Err(LinkError::Unexpected("another request within a request")),
            None => Err(LinkError::Gone),
        }
    }

    /// Reads what is left of a request.
    pub(crate) fn skip_samples(&mut self) -> Result<(), LinkError> {
        while self.next_sample()?.is_some() {}
        Ok(())
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &FromWorker) -> Result<(), LinkError> {
        self.out.clear();
        message.encode(&mut self.out)?;
        let mut rest = &self.out[..];
        while !rest.is_empty() {
            match rustix::io::write(io::stdin(), rest) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }
}
