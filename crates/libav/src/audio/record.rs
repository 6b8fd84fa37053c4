//! Configuration records as containers hold them, to what FFmpeg's decoders read.

use std::borrow::Cow;

use crate::codec::AudioCodec;

/// The record for the decoder; empty for codecs that say everything in their frames.
pub(super) fn for_decoder(codec: AudioCodec, record: &[u8]) -> Cow<'_, [u8]> {
    match codec {
        AudioCodec::Aac | AudioCodec::Vorbis => record.into(),
        AudioCodec::Opus => opus_head(record).map_or(record.into(), Cow::from),
        AudioCodec::Flac => streaminfo(record).into(),
        AudioCodec::Alac => alac(record),
        _ => Cow::Borrowed(&[]),
    }
}

/// `dOps` (Opus in ISOBMFF, 4.3.2) as `OpusHead` (RFC 7845, 5.1): the same fields, the numbers the other way round.
fn opus_head(record: &[u8]) -> Option<Vec<u8>> {
    if record.starts_with(b"OpusHead") || record.len() < 11 || record[0] != 0 {
        return None;
    }
    let mut head = b"OpusHead\x01".to_vec();
    head.push(record[1]);
    for field in [&record[2..4], &record[4..8], &record[8..10]] {
        head.extend(field.iter().rev());
    }
    head.extend_from_slice(&record[10..]);
    Some(head)
}

/// STREAMINFO (RFC 9639, 8.2) alone, out of metadata blocks with headers.
fn streaminfo(record: &[u8]) -> &[u8] {
    let blocks = record.strip_prefix(b"fLaC").unwrap_or(record);
    match blocks {
        [kind, 0, 0, 34, rest @ ..] if kind & 127 == 0 && rest.len() >= 34 => &rest[..34],
        _ => record,
    }
}

/// The magic cookie in the box that FFmpeg wants around it.
fn alac(record: &[u8]) -> Cow<'_, [u8]> {
    let cookie = match record.len() {
        24 => record,
        28.. => &record[4..28],
        _ => return record.into(),
    };
    if record.get(4..8) == Some(b"alac") {
        return record.into();
    }
    [&[0, 0, 0, 36][..], b"alac", &[0; 4], cookie].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_opus_in_mp4_becomes_the_head_of_ogg() {
        let record = [0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0];
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";
        assert_eq!(*for_decoder(AudioCodec::Opus, &record), head[..]);
        assert_eq!(*for_decoder(AudioCodec::Opus, head), head[..]);
    }

    #[test]
    fn streaminfo_is_found_with_and_without_headers() {
        let info = [7u8; 34];
        let block = [&[0x80, 0, 0, 34][..], &info].concat();
        let native = [b"fLaC", &block[..]].concat();
        for record in [&info[..], &block, &native] {
            assert_eq!(*for_decoder(AudioCodec::Flac, record), info);
        }
        assert_eq!(*for_decoder(AudioCodec::Ac3, &[1, 2, 3]), [0u8; 0]);
    }
}
