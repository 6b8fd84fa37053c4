//! Lacing: several frames in one block (RFC 9559, section 10.3).

use super::ebml::{malformed, vint};
use crate::{ContainerError, limits::LACE_FRAMES_MAX};

/// The sizes of the frames of a laced block, and how many bytes their header takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lace {
    pub(super) header: usize,
    pub(super) sizes: Vec<u64>,
}

/// Reads the lace header at the front of `data`, of a block with `payload` bytes after its flags. `kind` is the two lacing
/// bits (1 Xiph, 2 fixed, 3 EBML). `None` if `data` ends inside the header.
///
/// # Errors
/// Sizes that do not add up to the payload.
pub(super) fn read(kind: u8, data: &[u8], payload: u64, offset: u64) -> Result<Option<Lace>, ContainerError> {
    let Some(&count) = data.first() else { return Ok(None) };
    let count = usize::from(count) + 1;
    debug_assert!(count <= LACE_FRAMES_MAX);
    let mut at = 1;
    let mut sizes = Vec::with_capacity(count);
    match kind {
        1 => {
            for _ in 1..count {
                let mut size = 0_u64;
                loop {
                    let Some(&byte) = data.get(at) else { return Ok(None) };
                    at += 1;
                    size += u64::from(byte);
                    if byte != 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        3 => {
            let mut last = 0_i64;
            for n in 1..count {
                let here = data.get(at..).unwrap_or_default();
                let Some((value, len)) = vint(here, offset + at as u64)? else { return Ok(None) };
                let value = value.and_then(|v| i64::try_from(v).ok());
                let Some(value) = value else { return Err(malformed(offset, "a lace size of all ones")) };
                at += len;
                // The first size is plain, the others are differences with a bias that centres them.
                last = if n == 1 { value } else { last + value - ((1_i64 << (7 * len - 1)) - 1) };
                let Ok(size) = u64::try_from(last) else {
                    return Err(malformed(offset, format!("lace frame {n} has {last} bytes")));
                };
                sizes.push(size);
            }
        }
        _ => {
            let rest = payload.saturating_sub(1);
            if !rest.is_multiple_of(count as u64) {
                return Err(malformed(offset, format!("{rest} bytes do not make {count} equal frames")));
            }
            return Ok(Some(Lace { header: 1, sizes: vec![rest / count as u64; count] }));
        }
    }
    let known = sizes.iter().fold(at as u64, |sum, size| sum.saturating_add(*size));
    let Some(last) = payload.checked_sub(known) else {
        return Err(malformed(offset, format!("laced frames of {known} bytes in a block of {payload}")));
    };
    sizes.push(last);
    Ok(Some(Lace { header: at, sizes }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn xiph_sizes_add_up_bytes_of_255() {
        // The example of RFC 9559: frames of 800, 500 and 1000 bytes.
        let head = [2, 255, 255, 255, 35, 255, 245];
        let lace = read(1, &head, 7 + 2300, 0).unwrap().unwrap();
        assert_eq!(lace, Lace { header: 7, sizes: vec![800, 500, 1000] });
    }

    #[test]
    fn ebml_sizes_are_differences() {
        let head = [2, 0x43, 0x20, 0x5e, 0xd3];
        let lace = read(3, &head, 5 + 2300, 0).unwrap().unwrap();
        assert_eq!(lace, Lace { header: 5, sizes: vec![800, 500, 1000] });
    }

    #[test]
    fn equal_frames_must_divide_the_block() {
        assert_eq!(read(2, &[2], 7, 0).unwrap().unwrap().sizes, [2, 2, 2]);
        assert!(read(2, &[2], 6, 0).is_err());
    }

    proptest! {
        #[test]
        fn sizes_never_exceed_the_block(kind in 1u8..4, data in prop::collection::vec(any::<u8>(), 0..64), payload in 0u64..5000) {
            if let Ok(Some(lace)) = read(kind, &data, payload, 0) {
                prop_assert_eq!(lace.header as u64 + lace.sizes.iter().sum::<u64>(), payload.max(1));
            }
        }
    }
}
