//! PAT and PMT (§2.4.4): one programme, the same for every segment.

use super::{packet::PACKET_LEN, stream::ElementaryStream};

const PMT_PID: u16 = 0x1000;
const PROGRAMME: u16 = 1;
const PAT_TABLE: u8 = 0;
const PMT_TABLE: u8 = 2;
/// Header, an adaptation field of two bytes, a pointer field, and the section; the rest is stuffing.
const SECTION_MAX: usize = PACKET_LEN - 4 - 2 - 1;

/// PAT and PMT as packets. Sixteen streams with their descriptors would not fit one packet; a section that does not fit
/// leaves the descriptors out.
pub(super) fn packets(streams: &[ElementaryStream], clock_stream: usize) -> Vec<u8> {
    let mut pat = Vec::new();
    pat.extend_from_slice(&PROGRAMME.to_be_bytes());
    pat.extend_from_slice(&(0xe000 | PMT_PID).to_be_bytes());

    let pmt = |with_descriptors: bool| {
        let clock_pid = streams.get(clock_stream).map_or(0x1fff, ElementaryStream::pid);
        let mut pmt = Vec::new();
        pmt.extend_from_slice(&(0xe000 | clock_pid).to_be_bytes());
        pmt.extend_from_slice(&[0xf0, 0]);
        for stream in streams {
            let descriptors: &[u8] = if with_descriptors { &stream.descriptors } else { &[] };
            pmt.push(stream.stream_type);
            pmt.extend_from_slice(&(0xe000 | stream.pid()).to_be_bytes());
            pmt.extend_from_slice(&[0xf0, u8::try_from(descriptors.len()).unwrap_or(0)]);
            pmt.extend_from_slice(descriptors);
        }
        section(PMT_TABLE, PROGRAMME, &pmt)
    };
    let mut pmt_section = pmt(true);
    if pmt_section.len() > SECTION_MAX {
        pmt_section = pmt(false);
    }
    let mut out = packet(0, &section(PAT_TABLE, 1, &pat));
    out.extend(packet(PMT_PID, &pmt_section));
    out
}

fn section(table: u8, id: u16, body: &[u8]) -> Vec<u8> {
    const AFTER_LENGTH: usize = 5;
    const CRC_LEN: usize = 4;
    const VERSION_0_CURRENT: u8 = 0xc1;
    let length = u16::try_from(AFTER_LENGTH + body.len() + CRC_LEN).unwrap_or(0);
    let mut out = vec![table];
    out.extend_from_slice(&(0xb000 | length).to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[VERSION_0_CURRENT, 0, 0]);
    out.extend_from_slice(body);
    let crc = crc32(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

/// One packet: counter 0, and the flag that says that it may not follow on from the counter before.
fn packet(pid: u16, section: &[u8]) -> Vec<u8> {
    const START: u16 = 0x4000;
    const DISCONTINUITY: u8 = 0x80;
    let mut out = Vec::with_capacity(PACKET_LEN);
    out.push(0x47);
    out.extend_from_slice(&(START | pid).to_be_bytes());
    out.extend_from_slice(&[0x30, 1, DISCONTINUITY, 0]);
    out.extend_from_slice(section);
    out.resize(PACKET_LEN, 0xff);
    out
}

/// CRC-32 of annex A: polynomial 0x04c11db7, not reflected.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The check value of CRC-32/MPEG-2.
        assert_eq!(super::crc32(b"123456789"), 0x0376_e6e7);
    }
}
