//! The smallest HTTP/1.1 client that can measure: one kept-alive connection, blocking, body counted and thrown away.
//!
//! Shared by every server measured, so that what the client costs falls out of the ratio. Trusts the servers: they
//! are ours or nginx, on loopback.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// One connection.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// One answer, timed from the request's first byte to the body's last.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Bytes of body.
    pub bytes: u64,
    /// Until the end of the headers.
    pub first_byte: Duration,
    /// Until the end of the body.
    pub took: Duration,
    /// The body, where it was to be kept.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects; a silent server is given up after a minute.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { address, stream: BufReader::with_capacity(256 << 10, stream) })
    }

    /// Gets `path`; keeps the body only when asked to.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP/1.1 with a length or chunks.
    pub fn get(&mut self, path: &str, range: Option<(u64, u64)>, keep: bool) -> Result<Answer> {
        let range = range.map(|(a, b)| format!("Range: bytes={a}-{b}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{range}\r\n", self.address);
        let start = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (status, length) = self.head()?;
        let first_byte = start.elapsed();
        let mut body = Vec::new();
        let mut sink = Sink { keep, body: &mut body, bytes: 0 };
        match length {
            Some(length) => sink.take(&mut self.stream, length)?,
            None => self.chunks(&mut sink)?,
        }
        let bytes = sink.bytes;
        Ok(Answer { status, bytes, first_byte, took: start.elapsed(), body })
    }

    fn head(&mut self) -> Result<(u16, Option<u64>)> {
        let (mut status, mut length, mut chunked) = (0, None, false);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("{}: closed before the answer's end", self.address);
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).context("status line")?.parse()?;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            } else if line.starts_with("transfer-encoding:") && line.contains("chunked") {
                chunked = true;
            }
        }
        if length.is_none() && !chunked {
            bail!("{}: an answer without a length", self.address);
        }
        Ok((status, if chunked { None } else { length }))
    }

    fn chunks(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16)
                .with_context(|| format!("chunk size {line:?}"))?;
            sink.take(&mut self.stream, size)?;
            let mut end = [0; 2];
            self.stream.read_exact(&mut end)?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

struct Sink<'a> {
    keep: bool,
    body: &'a mut Vec<u8>,
    bytes: u64,
}

impl Sink<'_> {
    fn take(&mut self, from: &mut BufReader<TcpStream>, mut length: u64) -> Result<()> {
        while length > 0 {
            let here = from.fill_buf()?;
            if here.is_empty() {
                bail!("closed in the middle of a body");
            }
            let n = here.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            if self.keep {
                self.body.extend_from_slice(&here[..n]);
            }
            from.consume(n);
            self.bytes += n as u64;
            length -= n as u64;
        }
        Ok(())
    }
}

/// Gets `path` over a connection of its own and keeps the body.
///
/// # Errors
/// As [`Client::get`].
pub fn get(server: SocketAddr, path: &str) -> Result<Answer> {
    Client::connect(server)?.get(path, None, true)
}
