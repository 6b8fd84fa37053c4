//! One file of the cache: the bytes, then a trailer that says how many they are, and whose.
//!
//! ```text
//! payload | "HWC1" | version u32 | payload length u64 | CRC-32 of name and payload u32      (big endian)
//! ```

use std::{
    fs::File,
    io::{self, IoSlice, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use bytes::Bytes;

use crate::{buffers::Buffer, limits::CACHED_FILE_BYTES_MAX};

const MAGIC: [u8; 4] = *b"HWC1";
/// Goes up whenever the same plan would give other bytes: what older code made is then made again.
pub(crate) const BYTES_VERSION: u32 = 1;
const TRAILER_LEN: usize = 20;
pub(crate) const TRAILER_BYTES: u64 = TRAILER_LEN as u64;

/// What was found where a file was looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Whole(Bytes),
    Nothing,
    /// Why it is of no use.
    Damaged(&'static str),
}

fn trailer(name: &str, chunks: &[Bytes]) -> [u8; TRAILER_LEN] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(name.as_bytes());
    chunks.iter().for_each(|c| crc.update(c));
    let len: u64 = chunks.iter().map(|c| c.len() as u64).sum();
    let mut out = [0; TRAILER_LEN];
    let fields =
        [&MAGIC[..], &BYTES_VERSION.to_be_bytes(), &len.to_be_bytes(), &crc.finalize().to_be_bytes()];
    for (to, from) in out.iter_mut().zip(fields.concat()) {
        *to = from;
    }
    out
}

/// Writes `chunks` at `path`, which must not exist, and says how many bytes of disk that takes.
pub(crate) fn write(path: &Path, name: &str, chunks: &[Bytes]) -> io::Result<u64> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    let trailer = trailer(name, chunks);
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|c| IoSlice::new(c)).collect();
    slices.push(IoSlice::new(&trailer));
    let mut slices = slices.as_mut_slice();
    while !slices.is_empty() {
        let written = file.write_vectored(slices)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut slices, written);
    }
    Ok(allocated(&file.metadata()?))
}

/// What a file or directory takes on disk: whichever is more, what it says or what was allocated. Some file systems
/// allocate late.
pub(crate) fn allocated(metadata: &std::fs::Metadata) -> u64 {
    metadata.blocks().saturating_mul(512).max(rounded(metadata.len()))
}

/// In whole blocks.
pub(crate) fn rounded(len: u64) -> u64 {
    len.div_ceil(4096).saturating_mul(4096)
}

/// Reads the file at `path` if it is whole and is `name`'s.
pub(crate) fn read(path: &Path, name: &str) -> io::Result<Found> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let len = file.metadata()?.len();
    let Some(payload) = len.checked_sub(TRAILER_BYTES) else { return Ok(Found::Damaged("too short")) };
    if payload > CACHED_FILE_BYTES_MAX {
        return Ok(Found::Damaged("too long"));
    }
    let (Ok(len), Ok(payload)) = (usize::try_from(len), usize::try_from(payload)) else {
        return Ok(Found::Damaged("too long"));
    };
    let mut buffer = Buffer::of(len);
    match file.read_exact(buffer.as_mut()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Found::Damaged("too short")),
        Err(error) => return Err(error),
    }
    let bytes = buffer.freeze();
    let (body, end) = (bytes.slice(..payload), bytes.slice(payload..));
    if end[..4] != MAGIC {
        return Ok(Found::Damaged("no trailer"));
    }
    if end[4..8] != BYTES_VERSION.to_be_bytes() {
        return Ok(Found::Damaged("made by another version"));
    }
    if end != trailer(name, std::slice::from_ref(&body))[..] {
        return Ok(Found::Damaged("the checksum differs"));
    }
    Ok(Found::Whole(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.ts");
        let chunks = [Bytes::from_static(b"hello "), Bytes::from(vec![7; 9_000])];
        assert_eq!(read(&path, "x").unwrap(), Found::Nothing);
        let taken = write(&path, "x", &chunks).unwrap();
        assert!(taken >= 12_288 && taken.is_multiple_of(512), "{taken}");
        assert_eq!(read(&path, "x").unwrap(), Found::Whole(chunks.concat().into()));
        assert!(matches!(read(&path, "y").unwrap(), Found::Damaged(_)), "another segment's file");
        assert!(write(&path, "x", &chunks).is_err(), "never over another file");
        let good = std::fs::read(&path).unwrap();
        for at in [0, 5_000, 9_005, 9_006, 9_010, 9_015, 9_025] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(read(&path, "x").unwrap(), Found::Damaged(_)), "byte {at}");
        }
        for len in [0, 5, 19, 20, 4_096, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(matches!(read(&path, "x").unwrap(), Found::Damaged(_)), "cut to {len}");
        }
    }
}
