//! EBML (RFC 8794): variable-size integers, element headers, and the elements inside a payload in memory.

use std::borrow::Cow;

use crate::{ContainerError, Format, limits::TEXT_BYTES_MAX};

/// The longest element header: a four-byte ID and an eight-byte size.
pub(super) const HEADER_BYTES_MAX: usize = 12;

/// An element's ID and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u32,
    /// Payload bytes; `None` if unknown (all ones).
    pub(super) size: Option<u64>,
    /// Bytes of the header itself.
    pub(super) len: u64,
}

pub(super) fn malformed(offset: u64, what: impl Into<Cow<'static, str>>) -> ContainerError {
    ContainerError::malformed(Format::Matroska, offset, what)
}

/// Reads a size or track number: its value and length. `None` if `data` ends inside it; value `None` if all ones.
///
/// # Errors
/// A first byte of zero: longer than eight bytes.
pub(super) fn vint(data: &[u8], offset: u64) -> Result<Option<(Option<u64>, usize)>, ContainerError> {
    let Some(&first) = data.first() else { return Ok(None) };
    if first == 0 {
        return Err(malformed(offset, "a variable-size integer longer than 8 bytes"));
    }
    let len = first.leading_zeros() as usize + 1;
    let Some(bytes) = data.get(..len) else { return Ok(None) };
    let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let mask = (1_u64 << (7 * len)) - 1;
    let value = value & mask;
    Ok(Some(((value != mask).then_some(value), len)))
}

/// Reads an element header; `None` if `data` ends inside it.
///
/// # Errors
/// An ID or a size that is longer than Matroska allows.
pub(super) fn header(data: &[u8], offset: u64) -> Result<Option<Header>, ContainerError> {
    let Some(&first) = data.first() else { return Ok(None) };
    let id_len = first.leading_zeros() as usize + 1;
    if id_len > 4 {
        return Err(malformed(offset, format!("an element ID that begins with {first:#04x}")));
    }
    let Some(id) = data.get(..id_len) else { return Ok(None) };
    let id = id.iter().fold(0_u32, |id, byte| id << 8 | u32::from(*byte));
    let Some((size, size_len)) = vint(&data[id_len..], offset + id_len as u64)? else { return Ok(None) };
    Ok(Some(Header { id, size, len: (id_len + size_len) as u64 }))
}

/// One element whose payload is in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) id: u32,
    pub(super) data: &'a [u8],
    /// Absolute offset of the payload.
    pub(super) offset: u64,
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(super) fn children(self) -> Elements<'a> {
        Elements { data: self.data, offset: self.offset }
    }

    /// As an unsigned integer; an empty element is 0.
    ///
    /// # Errors
    /// More than eight bytes.
    pub(super) fn uint(self) -> Result<u64, ContainerError> {
        if self.data.len() > 8 {
            return Err(malformed(self.offset, format!("an integer of {} bytes", self.data.len())));
        }
        Ok(self.data.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// As an unsigned integer that must fit 32 bits; larger ones are cut to the most.
    pub(super) fn uint32(self) -> Result<u32, ContainerError> {
        Ok(u32::try_from(self.uint()?).unwrap_or(u32::MAX))
    }

    /// As a float of four or eight bytes; an empty element is 0.
    ///
    /// # Errors
    /// Another length.
    pub(super) fn float(self) -> Result<f64, ContainerError> {
        match *self.data {
            [] => Ok(0.0),
            [a, b, c, d] => Ok(f64::from(f32::from_be_bytes([a, b, c, d]))),
            [a, b, c, d, e, f, g, h] => Ok(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
            _ => Err(malformed(self.offset, format!("a float of {} bytes", self.data.len()))),
        }
    }

    /// As text up to the first NUL; bytes that are not UTF-8 become replacement characters.
    ///
    /// # Errors
    /// Longer than [`TEXT_BYTES_MAX`].
    pub(super) fn text(self) -> Result<String, ContainerError> {
        let len = self.data.len() as u64;
        if len > TEXT_BYTES_MAX {
            return Err(ContainerError::limit(
                Format::Matroska,
                self.offset,
                "length of a text",
                len,
                TEXT_BYTES_MAX,
            ));
        }
        let end = self.data.iter().position(|b| *b == 0).unwrap_or(self.data.len());
        Ok(String::from_utf8_lossy(&self.data[..end]).into_owned())
    }
}

/// The elements of a payload in memory. One that ends past its parent is an error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a> {
    data: &'a [u8],
    offset: u64,
}

impl<'a> Elements<'a> {
    pub(super) fn new(data: &'a [u8], offset: u64) -> Self {
        Self { data, offset }
    }

    fn read(&mut self) -> Result<Element<'a>, ContainerError> {
        let Some(header) = header(self.data, self.offset)? else {
            return Err(malformed(self.offset, "an element header is cut short by its parent's end"));
        };
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        let payload = self.data.get(len..).unwrap_or_default();
        let size = header.size.map_or(payload.len(), |size| usize::try_from(size).unwrap_or(usize::MAX));
        let Some(data) = payload.get(..size) else {
            return Err(malformed(
                self.offset,
                format!(
                    "element {:#x} of {size} bytes ends past its parent, {} bytes are left",
                    header.id,
                    payload.len()
                ),
            ));
        };
        let offset = self.offset + header.len;
        self.data = &payload[size..];
        self.offset = offset + size as u64;
        Ok(Element { id: header.id, data, offset })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, ContainerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.data.is_empty() {
            return None;
        }
        let element = self.read();
        if element.is_err() {
            self.data = &[];
        }
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_of_every_length_are_read() {
        assert_eq!(vint(&[0x81], 0).unwrap(), Some((Some(1), 1)));
        assert_eq!(vint(&[0x40, 0x02], 0).unwrap(), Some((Some(2), 2)));
        assert_eq!(vint(&[0x01, 0, 0, 0, 0, 0, 0, 9], 0).unwrap(), Some((Some(9), 8)));
        assert_eq!(vint(&[0xff], 0).unwrap(), Some((None, 1)));
        assert_eq!(vint(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0).unwrap(), Some((None, 8)));
        assert_eq!(vint(&[0x40], 0).unwrap(), None);
        assert!(vint(&[0], 0).is_err());
    }

    #[test]
    fn an_element_past_its_parent_is_refused() {
        let error = Elements::new(&[0xd7, 0x82, 1], 100).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("at byte 100"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            for element in Elements::new(&data, 0).flatten() {
                let _ = (element.uint(), element.float(), element.text(), element.children().count());
            }
        }
    }
}
