//! A peer that claims to have everything and sends wrong blocks: plain BEP 3, nothing else. What it does to a stream is
//! nothing, and that is to be seen.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, bail, ensure};
use metainfo::InfoHash;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const INTERESTED: u8 = 2;
const UNCHOKE: u8 = 1;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;

/// Longest message it reads: a bitfield of a torrent far larger than the demo's.
const MESSAGE_BYTES_MAX: usize = 1 << 16;
/// Longest block it sends (what everybody asks for at most).
const BLOCK_BYTES_MAX: usize = 1 << 14;

/// The peer, listening on loopback. Ends when dropped.
pub(super) struct Liar {
    pub(super) address: SocketAddr,
    told: Arc<Told>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Told {
    /// Wrong blocks that were sent.
    blocks: AtomicU64,
    /// Connections on which some were sent and that are open.
    open: AtomicUsize,
}

impl Liar {
    pub(super) async fn start(info_hash: InfoHash, pieces: u32) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the corrupting peer")?;
        let address = listener.local_addr().context("the corrupting peer")?;
        let told = Arc::new(Told::default());
        let task = tokio::spawn({
            let told = Arc::clone(&told);
            // One at a time: it is asked by one server.
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let mut lies = Lies { told: &told, sent: false };
                    // Whoever drops it in mid-sentence is right to.
                    let _ = lies.tell(stream, info_hash, pieces).await;
                }
            }
        });
        Ok(Self { address, told, task })
    }

    /// Wrong blocks it sent.
    pub(super) fn blocks(&self) -> u64 {
        self.told.blocks.load(Ordering::Relaxed)
    }

    /// Whether somebody still listens to it after it lied.
    pub(super) fn is_believed(&self) -> bool {
        self.told.open.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection.
struct Lies<'a> {
    told: &'a Told,
    sent: bool,
}

impl Lies<'_> {
    async fn tell(&mut self, mut stream: TcpStream, info_hash: InfoHash, pieces: u32) -> Result<()> {
        let mut handshake = [0; 68];
        stream.read_exact(&mut handshake).await?;
        // Another protocol, an encrypted one: it is tried again in plain.
        let (Some(asked), Some(name)) = (handshake.get(28..48), handshake.get(..20)) else { bail!("short") };
        ensure!(asked == info_hash.0, "another torrent");
        let mut out = name.to_vec();
        out.extend([0; 8]);
        out.extend(asked);
        out.extend(b"-XX0001-corrupting!!");
        let field = everything(pieces);
        message(&mut out, BITFIELD, &field);
        stream.write_all(&out).await?;
        loop {
            let length = usize::try_from(stream.read_u32().await?)?;
            ensure!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            out.clear();
            match body.as_slice() {
                [INTERESTED] => message(&mut out, UNCHOKE, &[]),
                [REQUEST, at @ .., a, b, c, d] if at.len() == 8 => {
                    let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d]))?;
                    ensure!(length <= BLOCK_BYTES_MAX, "a block of {length} bytes");
                    let mut block = at.to_vec();
                    block.resize(at.len() + length, 0x5a);
                    message(&mut out, PIECE, &block);
                }
                _ => {}
            }
            if out.is_empty() {
                continue;
            }
            stream.write_all(&out).await?;
            if out.get(4) == Some(&PIECE) {
                self.told.blocks.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut self.sent, true) {
                    self.told.open.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Drop for Lies<'_> {
    fn drop(&mut self) {
        if self.sent {
            self.told.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn message(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.push(kind);
    out.extend(payload);
}

/// The bitfield of somebody who has every piece; spare bits are zero.
fn everything(pieces: u32) -> Vec<u8> {
    (0..pieces.div_ceil(8))
        .map(|byte| match pieces - byte * 8 {
            left @ 1..8 => 0xff << (8 - left),
            _ => 0xff,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_bits_are_zero() {
        assert_eq!(everything(8), [0xff]);
        assert_eq!(everything(9), [0xff, 0x80]);
        assert_eq!(everything(15), [0xff, 0xfe]);
        assert!(everything(0).is_empty());
    }
}
