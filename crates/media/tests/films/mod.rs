//! Films built in code: as small or as large as a test wants, every byte known.
//!
//! Pictures are H.264 in form only: a length, a NAL header, and then a hole. What is not written stays a hole in the
//! file, so that a film of gigabytes takes megabytes.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{fs::File, os::unix::fs::FileExt, path::Path};

/// An AVCDecoderConfigurationRecord of a 64x64 Constrained Baseline stream, as x264 made it.
const AVCC: &[u8] = &[
    0x01, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0x00, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44,
    0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x48, 0x99, 0x20, 0x01, 0x00, 0x05,
    0x68, 0xcb, 0x83, 0xcb, 0x20,
];

/// The same of 1080x1080.
const AVCC_LARGE: &[u8] = &[
    0x01, 0x42, 0xc0, 0x20, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x42, 0xc0, 0x20, 0xda, 0x01, 0x10, 0x08, 0x9e,
    0x59, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x18, 0x32, 0xa0,
    0x01, 0x00, 0x04, 0x68, 0xce, 0x0f, 0xc8,
];

/// A film to be built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Film {
    /// Pictures.
    pub(crate) pictures: u32,
    /// Milliseconds of one picture.
    pub(crate) picture_ms: u32,
    /// Every how many pictures a keyframe.
    pub(crate) gop: u32,
    /// Bytes of one picture.
    pub(crate) picture_bytes: u32,
    /// A number in each picture's bytes, so that two films differ.
    pub(crate) seed: u8,
    /// Pixels of width and height, 64 or 1,080.
    pub(crate) side: u32,
}

impl Film {
    /// A minute of 25 pictures a second, a keyframe every two seconds, 4 MB.
    pub(crate) const SMALL: Self =
        Self { pictures: 1_500, picture_ms: 40, gop: 50, picture_bytes: 2_700, seed: 1, side: 64 };

    /// Two hours and a little over 10 GiB: a picture a second.
    pub(crate) const HUGE: Self =
        Self { pictures: 7_200, picture_ms: 1_000, gop: 4, picture_bytes: 1_500_000, seed: 1, side: 64 };

    fn avcc(self) -> &'static [u8] {
        if self.side == 64 { AVCC } else { AVCC_LARGE }
    }

    fn keyframe(self, n: u32) -> bool {
        n.is_multiple_of(self.gop)
    }

    /// The beginning of a picture: length of its NAL unit, the unit's header, and some bytes of its own.
    fn picture_head(self, n: u32) -> Vec<u8> {
        let header = if self.keyframe(n) { 0x65 } else { 0x41 };
        let mut head = (self.picture_bytes - 4).to_be_bytes().to_vec();
        head.extend([header, self.seed]);
        head.extend(n.to_be_bytes());
        head
    }

    /// Writes it as Matroska: a cluster per GOP, Cues at the end, found through the SeekHead.
    pub(crate) fn matroska(self, path: &Path) {
        let info =
            [uint(0x2a_d7b1, 1_000_000), float(0x4489, f64::from(self.pictures * self.picture_ms))].concat();
        let video = [uint(0xb0, self.side.into()), uint(0xba, self.side.into())].concat();
        let track = [
            uint(0xd7, 1),
            uint(0x73c5, 1),
            uint(0x83, 1),
            element(0x86, b"V_MPEG4/ISO/AVC"),
            element(0x63a2, self.avcc()),
            uint(0x23_e383, u64::from(self.picture_ms) * 1_000_000),
            element(0xe0, &video),
        ]
        .concat();
        let after_seek = [element(0x1549_a966, &info), element(0x1654_ae6b, &element(0xae, &track))].concat();
        let seek_entry = |place: u64| {
            let seek =
                [element(0x53ab, &0x1c53_bb6b_u32.to_be_bytes()), element(0x53ac, &place.to_be_bytes())]
                    .concat();
            element(0x114d_9b74, &element(0x4dbb, &seek))
        };
        let first_cluster = (seek_entry(0).len() + after_seek.len()) as u64;

        let block_head = 4 + 8; // Element with an 8-byte size, then track, time and flags.
        let block_bytes = 1 + 8 + 4 + u64::from(self.picture_bytes);
        let stamp = |n: u32| uint(0xe7, u64::from(n * self.picture_ms));
        let mut cues = Vec::new();
        let mut at = first_cluster;
        let ebml =
            element(0x1a45_dfa3, &[element(0x4282, b"matroska"), uint(0x4287, 4), uint(0x4285, 2)].concat());
        let segment_start = ebml.len() as u64 + 4 + 8;
        let file = File::create(path).unwrap();
        for first in (0..self.pictures).step_by(self.gop as usize) {
            let pictures = self.gop.min(self.pictures - first);
            let stamp = stamp(first);
            let payload = stamp.len() as u64 + u64::from(pictures) * block_bytes;
            let mut head = head(0x1f43_b675, payload);
            head.extend(&stamp);
            let track_place = [uint(0xf7, 1), element(0xf1, &at.to_be_bytes())].concat();
            let time = uint(0xb3, u64::from(first * self.picture_ms));
            cues.extend(element(0xbb, &[time, element(0xb7, &track_place)].concat()));
            file.write_all_at(&head, segment_start + at).unwrap();
            at += head.len() as u64;
            for n in first..first + pictures {
                let mut block = self::head(0xa3, 4 + u64::from(self.picture_bytes));
                let relative = u16::try_from((n - first) * self.picture_ms).unwrap();
                block.push(0x81);
                block.extend(relative.to_be_bytes());
                block.push(if self.keyframe(n) { 0x80 } else { 0 });
                assert!(block.len() <= block_head + 1);
                block.extend(self.picture_head(n));
                file.write_all_at(&block, segment_start + at).unwrap();
                at += block_bytes;
            }
        }
        let cues_place = at;
        let cues = element(0x1c53_bb6b, &cues);
        let front =
            [ebml, head(0x1853_8067, at + cues.len() as u64), seek_entry(cues_place), after_seek].concat();
        file.write_all_at(&front, 0).unwrap();
        file.write_all_at(&cues, segment_start + cues_place).unwrap();
    }

    /// Writes it as MP4 with `moov` at the end; a chunk per GOP.
    pub(crate) fn mp4(self, path: &Path) {
        let ftyp = boxed(b"ftyp", &[b"isom\0\0\x02\0isomiso2avc1mp41".as_slice()]);
        let file = File::create(path).unwrap();
        file.write_all_at(&ftyp, 0).unwrap();
        let payload = u64::from(self.pictures) * u64::from(self.picture_bytes);
        let mut at = ftyp.len() as u64;
        let mdat = [1_u32.to_be_bytes().as_slice(), b"mdat", &(payload + 16).to_be_bytes()].concat();
        file.write_all_at(&mdat, at).unwrap();
        at += 16;
        let mut chunks = Vec::new();
        for n in 0..self.pictures {
            if self.keyframe(n) {
                chunks.push(at);
            }
            file.write_all_at(&self.picture_head(n), at).unwrap();
            at += u64::from(self.picture_bytes);
        }
        file.write_all_at(&self.moov(&chunks), at).unwrap();
    }

    fn moov(self, chunks: &[u64]) -> Vec<u8> {
        let duration = self.pictures * self.picture_ms;
        let be = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
        let matrix = be(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
        let mvhd = boxed(
            b"mvhd",
            &[
                &be(&[0, 0, 0, 1_000, duration, 0x1_0000, 0x100_0000, 0, 0]),
                &matrix,
                &be(&[0, 0, 0, 0, 0, 0, 2]),
            ],
        );
        let tkhd = boxed(
            b"tkhd",
            &[&be(&[3, 0, 0, 1, 0, duration, 0, 0, 0, 0]), &matrix, &be(&[self.side << 16, self.side << 16])],
        );
        let mdhd = boxed(b"mdhd", &[&be(&[0, 0, 0, 1_000, duration, 0x55c4_0000])]);
        let hdlr = boxed(b"hdlr", &[&be(&[0, 0]), b"vide", &be(&[0, 0, 0]), b"\0"]);
        let vmhd = boxed(b"vmhd", &[&be(&[1, 0, 0])]);
        let dinf = boxed(b"dinf", &[&boxed(b"dref", &[&be(&[0, 1]), &boxed(b"url ", &[&be(&[1])])])]);
        let entry = boxed(
            b"avc1",
            &[
                &be(&[0, 1, 0, 0, 0, 0, self.side << 16 | self.side, 0x48_0000, 0x48_0000, 0, 1 << 16]),
                &[0; 30],
                &be(&[0x18_ffff]),
                &boxed(b"avcC", &[self.avcc()]),
            ],
        );
        let stsd = boxed(b"stsd", &[&be(&[0, 1]), &entry]);
        let stts = boxed(b"stts", &[&be(&[0, 1, self.pictures, self.picture_ms])]);
        let sync: Vec<u32> = (0..self.pictures).filter(|n| self.keyframe(*n)).map(|n| n + 1).collect();
        let stss = boxed(b"stss", &[&be(&[0, u32::try_from(sync.len()).unwrap()]), &be(&sync)]);
        let full = self.pictures / self.gop;
        let rest = self.pictures % self.gop;
        let mut runs = vec![1, self.gop, 1];
        if rest > 0 {
            runs.extend([full + 1, rest, 1]);
        }
        let stsc = boxed(b"stsc", &[&be(&[0, u32::try_from(runs.len() / 3).unwrap()]), &be(&runs)]);
        let stsz = boxed(b"stsz", &[&be(&[0, self.picture_bytes, self.pictures])]);
        let places: Vec<u8> = chunks.iter().flat_map(|c| c.to_be_bytes()).collect();
        let co64 = boxed(b"co64", &[&be(&[0, u32::try_from(chunks.len()).unwrap()]), &places]);
        let stbl = boxed(b"stbl", &[&stsd, &stts, &stss, &stsc, &stsz, &co64]);
        let minf = boxed(b"minf", &[&vmhd, &dinf, &stbl]);
        let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
        boxed(b"moov", &[&mvhd, &boxed(b"trak", &[&tkhd, &mdia])])
    }
}

/// Element ID and an 8-byte size.
fn head(id: u32, len: u64) -> Vec<u8> {
    let mut out: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
    out.extend((len | 1 << 56).to_be_bytes());
    out
}

fn element(id: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = head(id, payload.len() as u64);
    out.extend(payload);
    out
}

fn uint(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

fn float(id: u32, value: f64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

fn boxed(kind: &[u8; 4], payload: &[&[u8]]) -> Vec<u8> {
    let payload = payload.concat();
    let mut out = u32::try_from(payload.len() + 8).unwrap().to_be_bytes().to_vec();
    out.extend(kind);
    out.extend(payload);
    out
}
