//! Elementary stream descriptors (`esds`; ISO/IEC 14496-1 section 7.2.6, 14496-14 section 5.6).

use super::boxes::{BoxView, Fields};
use crate::ContainerError;

const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC: u8 = 5;

/// What an `esds` says of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream<'a> {
    /// `objectTypeIndication`: 0x40 is AAC, 0x6b MP3, 0x20 MPEG-4 video.
    pub(super) object_type: u8,
    /// `DecoderSpecificInfo`; empty where there is none.
    pub(super) specific: &'a [u8],
}

/// Reads an `esds`.
pub(super) fn parse<'a>(esds: &BoxView<'a>) -> Result<Stream<'a>, ContainerError> {
    let (_, _, mut fields) = esds.full()?;
    let mut tag = descriptor(&mut fields)?;
    if tag == ES_DESCRIPTOR {
        fields.skip(2)?;
        let flags = fields.u8()?;
        if flags & 0x80 != 0 {
            fields.skip(2)?;
        }
        if flags & 0x40 != 0 {
            let url = fields.u8()?;
            fields.skip(url.into())?;
        }
        if flags & 0x20 != 0 {
            fields.skip(2)?;
        }
        tag = descriptor(&mut fields)?;
    }
    if tag != DECODER_CONFIG {
        return Ok(Stream { object_type: 0, specific: &[] });
    }
    let object_type = fields.u8()?;
    fields.skip(12)?;
    let mut specific: &[u8] = &[];
    if !fields.rest().is_empty() {
        let (tag, len) = (fields.u8()?, length(&mut fields)?);
        if tag == DECODER_SPECIFIC {
            specific = fields.take(len)?;
        }
    }
    Ok(Stream { object_type, specific })
}

/// Enters a descriptor and gives its tag.
fn descriptor(fields: &mut Fields<'_>) -> Result<u8, ContainerError> {
    let tag = fields.u8()?;
    length(fields)?;
    Ok(tag)
}

/// Up to four bytes of seven bits each.
fn length(fields: &mut Fields<'_>) -> Result<usize, ContainerError> {
    let mut len = 0;
    for _ in 0..4 {
        let byte = fields.u8()?;
        len = len << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(len)
}
