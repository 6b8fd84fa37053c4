//! Boxes (ISO/IEC 14496-12 section 4.2) and the numbers inside them, with absolute offsets in every error.

use crate::{ContainerError, Format};

/// Four bytes that name a box, a brand or a codec.
pub(super) type FourCc = [u8; 4];

/// The longest header that is looked at: 32-bit size, type, 64-bit size.
pub(super) const HEADER_BYTES_MAX: u64 = 16;

/// The start of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: FourCc,
    /// Bytes of header.
    pub(super) header_len: u64,
    /// Bytes of header and body; `None` when the box runs to the end of what holds it.
    pub(super) size: Option<u64>,
}

/// Reads a box header from the first bytes of `bytes`, which lie at `offset` of the file.
pub(super) fn header(bytes: &[u8], offset: u64) -> Result<Header, ContainerError> {
    let mut fields = Fields { bytes, offset, pos: 0, kind: *b"head" };
    let size = fields.u32()?;
    let kind = fields.four_cc()?;
    let (header_len, size) = match size {
        0 => (8, None),
        1 => (16, Some(fields.u64()?)),
        n => (8, Some(u64::from(n))),
    };
    if let Some(size) = size
        && size < header_len
    {
        return Err(malformed(offset, format!("box {} has size {size}, less than its header", name(&kind))));
    }
    Ok(Header { kind, header_len, size })
}

/// A box whose body is in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoxView<'a> {
    pub(super) kind: FourCc,
    /// Absolute offset of its header.
    pub(super) offset: u64,
    /// Absolute offset of its body.
    pub(super) body_offset: u64,
    pub(super) body: &'a [u8],
}

impl<'a> BoxView<'a> {
    /// Its numbers.
    pub(super) fn fields(&self) -> Fields<'a> {
        Fields { bytes: self.body, offset: self.body_offset, pos: 0, kind: self.kind }
    }

    /// Its numbers after version and flags, and those two.
    pub(super) fn full(&self) -> Result<(u8, u32, Fields<'a>), ContainerError> {
        let mut fields = self.fields();
        let word = fields.u32()?;
        let [version, ..] = word.to_be_bytes();
        Ok((version, word & 0x00ff_ffff, fields))
    }

    /// The boxes in it, from its first byte.
    pub(super) fn children(&self) -> Children<'a> {
        self.fields().boxes()
    }

    /// The first box of `kind` in it, if what comes before it is sound.
    pub(super) fn child(&self, kind: FourCc) -> Option<BoxView<'a>> {
        self.children().map_while(Result::ok).find(|b| b.kind == kind)
    }
}

/// Boxes one after the other. A size below 8 ends the list (QuickTime closes some lists with a zero word); a box that
/// claims more than its parent holds is an error, and the last item.
#[derive(Clone, Debug)]
pub(super) struct Children<'a> {
    bytes: &'a [u8],
    offset: u64,
    parent: FourCc,
}

impl<'a> Iterator for Children<'a> {
    type Item = Result<BoxView<'a>, ContainerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, offset) = (self.bytes, self.offset);
        if bytes.len() < 8 || matches!(bytes, [0, 0, 0, 2..=7, ..]) {
            return None;
        }
        self.bytes = &[];
        let head = match header(bytes, offset) {
            Ok(head) => head,
            Err(error) => return Some(Err(error)),
        };
        if head.size.is_none() && bytes.iter().take(8).all(|b| *b == 0) {
            return None;
        }
        let size = head.size.unwrap_or(bytes.len() as u64);
        let (Ok(header_len), Ok(len)) = (usize::try_from(head.header_len), usize::try_from(size)) else {
            return Some(Err(too_long(&head, size, offset, self.parent)));
        };
        let Some(body) = bytes.get(header_len..len) else {
            return Some(Err(too_long(&head, size, offset, self.parent)));
        };
        self.bytes = bytes.get(len..).unwrap_or_default();
        self.offset = offset + size;
        Some(Ok(BoxView { kind: head.kind, offset, body_offset: offset + head.header_len, body }))
    }
}

fn too_long(head: &Header, size: u64, offset: u64, parent: FourCc) -> ContainerError {
    malformed(
        offset,
        format!("box {} of {size} bytes does not fit into its {}", name(&head.kind), name(&parent)),
    )
}

/// A cursor over a box's body.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    /// Absolute offset of `bytes`.
    offset: u64,
    pos: usize,
    /// The box, for errors.
    kind: FourCc,
}

impl<'a> Fields<'a> {
    /// Absolute offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.offset + self.pos as u64
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.pos..).unwrap_or_default()
    }

    /// What has not been read, as boxes.
    pub(super) fn boxes(&self) -> Children<'a> {
        Children { bytes: self.rest(), offset: self.offset(), parent: self.kind }
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], ContainerError> {
        let taken = self.pos.checked_add(len).and_then(|end| self.bytes.get(self.pos..end));
        let Some(taken) = taken else {
            return Err(malformed(
                self.offset(),
                format!("box {} ends {} bytes into a field of {len}", name(&self.kind), self.rest().len()),
            ));
        };
        self.pos += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ContainerError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn skip(&mut self, len: usize) -> Result<(), ContainerError> {
        self.take(len).map(|_| ())
    }

    pub(super) fn u8(&mut self) -> Result<u8, ContainerError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ContainerError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ContainerError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, ContainerError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ContainerError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn four_cc(&mut self) -> Result<FourCc, ContainerError> {
        self.array()
    }

    /// 64 bits in version 1 boxes, else 32.
    pub(super) fn u32_or_u64(&mut self, version: u8) -> Result<u64, ContainerError> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// A table of `count` entries of `N` bytes, which have to be there.
    pub(super) fn table<const N: usize>(&mut self, count: u32) -> Result<&'a [[u8; N]], ContainerError> {
        let (entries, _) = self.rest().as_chunks::<N>();
        let wanted = usize::try_from(count).ok().and_then(|count| entries.get(..count));
        wanted.ok_or_else(|| {
            malformed(
                self.offset(),
                format!("box {} states {count} entries and holds {}", name(&self.kind), entries.len()),
            )
        })
    }
}

/// A big-endian 32-bit number.
pub(super) fn be32([a, b, c, d]: [u8; 4]) -> u32 {
    u32::from_be_bytes([a, b, c, d])
}

/// The two 32-bit numbers of a table entry.
pub(super) fn be32x2(entry: &[u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = *entry;
    (be32([a, b, c, d]), be32([e, f, g, h]))
}

/// A [`ContainerError::Malformed`] of this format.
pub(super) fn malformed(offset: u64, what: impl Into<std::borrow::Cow<'static, str>>) -> ContainerError {
    ContainerError::malformed(Format::Mp4, offset, what)
}

/// A [`ContainerError::Limit`] of this format.
pub(super) fn limit(offset: u64, what: &'static str, value: u64, limit: u64) -> ContainerError {
    ContainerError::limit(Format::Mp4, offset, what, value, limit)
}

/// A four-character code for people: Latin-1, without trailing spaces, dots for what does not print.
pub(super) fn name(code: &FourCc) -> String {
    let text: String = code
        .iter()
        .map(|b| match *b {
            b' '..=b'~' | 0xa9 => char::from(*b),
            _ => '.',
        })
        .collect();
    text.trim_end().to_owned()
}
