//! Positioned reads and writes of one open file.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    os::unix::fs::FileExt,
};

use rustix::io::{Errno, ReadWriteFlags};

use crate::pool::Open;

/// Slices per system call: `IOV_MAX` of Linux.
const SLICES_MAX: usize = 1024;

/// Bytes as an index of slices: what lies in memory fits.
pub(crate) fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Writes slices one after the other, many by one system call.
pub(crate) fn write_all(file: &File, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let count = slices.len().min(SLICES_MAX);
        match rustix::io::pwritev(file, &slices[..count], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Fills `bytes`; an end that comes before is an error.
pub(crate) fn read_all(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(bytes, offset)
}

/// Reads what there is; the rest of `bytes` stays as it was.
pub(crate) fn read_some(file: &File, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, offset) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                offset += read as u64;
                bytes = &mut bytes[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads from the page cache; `false` when it does not hold all of it.
pub(crate) fn read_now(open: &Open, offset: u64, bytes: &mut [u8]) -> bool {
    if open.in_memory {
        return read_all(&open.file, offset, bytes).is_ok();
    }
    let mut done = 0;
    while done < bytes.len() {
        let slices = &mut [IoSliceMut::new(&mut bytes[done..])];
        match rustix::io::preadv2(&open.file, slices, offset + done as u64, ReadWriteFlags::NOWAIT) {
            Ok(read) if read > 0 => done += read,
            Err(Errno::INTR) => {}
            _ => return false,
        }
    }
    true
}
