//! What x264 writes (ISO/IEC 14496-10 annex B, start codes), as MP4 holds it (ISO/IEC 14496-15, lengths).

/// `nal_unit_type` of supplemental information.
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
/// Access unit delimiter.
const AUD: u8 = 9;
/// How the note begins that x264 leaves about itself in every stream: type 5, then its UUID after the size. It names the
/// build and the options, costs 700 bytes a start, and says nothing to a decoder.
const X264_UUID: [u8; 4] = [0xdc, 0x45, 0xe9, 0xbd];

/// The NAL units between start codes, without the zeros that may trail.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let here = rest?;
        let end = start_code(here).unwrap_or(here.len());
        rest = after_start_code(&here[end..]);
        let zeros = here[..end].iter().rev().take_while(|b| **b == 0).count();
        Some(&here[..end - zeros])
    })
    .filter(|unit| !unit.is_empty())
}

/// Where `00 00 01` is.
fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|w| w == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    start_code(bytes).map(|at| &bytes[at + 3..])
}

fn is_note_of_x264(unit: &[u8]) -> bool {
    if unit.first().map(|b| b & 31) != Some(SEI) || unit.get(1) != Some(&5) {
        return false;
    }
    let size_bytes = unit[2..].iter().take_while(|b| **b == 255).count() + 1;
    unit.get(2 + size_bytes..).is_some_and(|rest| rest.starts_with(&X264_UUID))
}

/// A sample with four bytes of length before each unit; parameter sets, delimiters and x264's note are left out.
pub(super) fn length_prefixed(stream: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stream.len() + 16);
    for unit in units(stream) {
        if matches!(unit[0] & 31, SPS | PPS | AUD) || is_note_of_x264(unit) {
            continue;
        }
        out.extend_from_slice(&u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(unit);
    }
    out
}

/// The `avcC` record (ISO/IEC 14496-15, 5.3.3.1.2) of parameter sets in start codes, for 8-bit 4:2:0.
pub(super) fn configuration(headers: &[u8]) -> Option<Vec<u8>> {
    let of = |kind: u8| -> Vec<&[u8]> { units(headers).filter(|u| u[0] & 31 == kind).collect() };
    let (sps, pps) = (of(SPS), of(PPS));
    let first = sps.first().filter(|s| s.len() >= 4)?;
    let mut out = vec![1, first[1], first[2], first[3], 0xff, 0xe0 | u8::try_from(sps.len()).ok()?];
    for (sets, count) in [(&sps, false), (&pps, true)] {
        if count {
            out.push(u8::try_from(sets.len()).ok()?);
        }
        for set in sets {
            out.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
            out.extend_from_slice(set);
        }
    }
    // The profiles from High on say what they hold: 4:2:0, 8 bits for luma and chroma, no extensions.
    if !matches!(first[1], 66 | 77 | 88) {
        out.extend_from_slice(&[0xfc | 1, 0xf8, 0xf8, 0]);
    }
    (!pps.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_either_length_become_lengths() {
        let stream = [0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 7, 8, 0, 0, 0, 0, 1, 0x41, 5];
        assert_eq!(length_prefixed(&stream), [0, 0, 0, 3, 0x65, 7, 8, 0, 0, 0, 2, 0x41, 5]);
        assert_eq!(length_prefixed(&[1, 2, 3]), Vec::<u8>::new());
    }

    #[test]
    fn the_note_of_x264_is_left_out_and_other_notes_stay() {
        let mut note = vec![0, 0, 1, 6, 5, 255, 10];
        note.extend_from_slice(&X264_UUID);
        note.extend_from_slice(&[0, 0, 1, 6, 4, 1, 9]);
        assert_eq!(length_prefixed(&note), [0, 0, 0, 4, 6, 4, 1, 9]);
    }

    #[test]
    fn the_record_holds_both_parameter_sets() {
        let headers = [0, 0, 0, 1, 0x67, 100, 0, 31, 9, 0, 0, 0, 1, 0x68, 5];
        let expected =
            [1, 100, 0, 31, 0xff, 0xe1, 0, 5, 0x67, 100, 0, 31, 9, 1, 0, 2, 0x68, 5, 0xfd, 0xf8, 0xf8, 0];
        assert_eq!(configuration(&headers).unwrap(), expected);
        assert_eq!(configuration(&[0, 0, 1, 0x67, 66, 0, 31]), None);
    }
}
