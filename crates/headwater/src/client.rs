//! Just enough HTTP for a command to ask its own server: one request, one connection, the whole answer.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer, its body complete.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Gets `path`; `range` as in `Range: bytes=`.
pub(crate) async fn get(address: SocketAddr, path: &str, range: Option<&str>) -> Result<Answer> {
    let range = range.map(|r| format!("Range: bytes={r}\r\n")).unwrap_or_default();
    send(address, "GET", path, &range, b"").await
}

/// Posts JSON to `path`; the answer's JSON, if it is a good one.
pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    body: &serde_json::Value,
) -> Result<serde_json::Value> {
    let body = body.to_string();
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let answer = send(address, "POST", path, &fields, body.as_bytes()).await?;
    ensure!(
        matches!(answer.status, 200 | 201),
        "POST {path}: {} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    serde_json::from_slice(&answer.body).with_context(|| format!("POST {path}"))
}

async fn send(address: SocketAddr, method: &str, path: &str, fields: &str, body: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).await.with_context(|| address.to_string())?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).await?;
    parse(&raw).with_context(|| format!("{method} {path}"))
}

/// Gets `path`, which must be 200.
pub(crate) async fn fetch(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let answer = get(address, path, None).await?;
    if answer.status != 200 {
        bail!("GET {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(answer.body)
}

/// As [`fetch`], as text.
pub(crate) async fn fetch_text(address: SocketAddr, path: &str) -> Result<String> {
    String::from_utf8(fetch(address, path).await?).with_context(|| format!("GET {path}"))
}

fn parse(raw: &[u8]) -> Result<Answer> {
    let head_end = raw.windows(4).position(|w| w == b"\r\n\r\n").context("the answer has no end of head")?;
    let (head, rest) = raw.split_at(head_end);
    let body = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).context("the head is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let status = status.context("the answer has no status")?;
    let field = |name: &str| {
        head.split("\r\n")
            .skip(1)
            .filter_map(|l| l.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
    };
    if field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        return Ok(Answer { status, body: unchunk(body)? });
    }
    if let Some(length) = field("content-length") {
        let length: usize = length.parse().context("content-length")?;
        ensure!(length == body.len(), "content-length is {length}, {} bytes came", body.len());
    }
    Ok(Answer { status, body: body.to_vec() })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end =
            rest.windows(2).position(|w| w == b"\r\n").context("the body ends within a chunk's size")?;
        let (size, after) = rest.split_at(end);
        let size = std::str::from_utf8(size)
            .ok()
            .and_then(|s| usize::from_str_radix(s.trim(), 16).ok())
            .context("chunk size")?;
        if size == 0 {
            return Ok(body);
        }
        let after = after.get(2..).unwrap_or_default();
        body.extend_from_slice(after.get(..size).context("the body ends within a chunk")?);
        rest = after.get(size + 2..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_framings_are_read_and_short_ones_refused() {
        let whole = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab").unwrap();
        assert_eq!((whole.status, whole.body.as_slice()), (200, &b"ab"[..]));
        let chunked =
            parse(b"HTTP/1.1 206 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!((chunked.status, chunked.body.as_slice()), (206, &b"abc"[..]));
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab").is_err());
    }
}
