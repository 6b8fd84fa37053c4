//! A stream that takes several buffers at a time: a message's head and payload leave in one packet, where one after the other would
//! make two.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use librqbit_utp::UtpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::peer::Transport;

/// Bytes that are joined for one write.
const JOINED_BYTES_MAX: usize = 64 << 10;

pub(super) struct Stream {
    inner: UtpStream,
    joined: Vec<u8>,
}

impl Stream {
    pub(super) fn new(inner: UtpStream) -> Self {
        Self { inner, joined: Vec::new() }
    }
}

impl Transport for Stream {}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, joined } = &mut *self;
        joined.clear();
        for buf in bufs {
            let room = JOINED_BYTES_MAX - joined.len();
            joined.extend_from_slice(&buf[..buf.len().min(room)]);
            if joined.len() == JOINED_BYTES_MAX {
                break;
            }
        }
        Pin::new(inner).poll_write(cx, joined)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
