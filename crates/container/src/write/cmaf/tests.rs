//! Headers read back box by box.

use proptest::prelude::*;

use super::*;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The body of the first box of this kind.
fn child<'b>(mut bytes: &'b [u8], kind: &[u8; 4]) -> &'b [u8] {
    loop {
        let size = u32_at(bytes, 0) as usize;
        if &bytes[4..8] == kind {
            return &bytes[8..size];
        }
        bytes = &bytes[size..];
    }
}

/// What a player makes of a header: base time, samples, payload bytes, and whether `data_offset` meets the payload.
fn read(header: &[u8]) -> (u64, Vec<FragmentSample>, u64, bool) {
    let styp_len = u32_at(header, 0) as usize;
    let moof = &header[styp_len..];
    let moof_len = u32_at(moof, 0) as usize;
    let traf = child(&moof[8..moof_len], b"traf");
    let (tfhd, tfdt, trun) = (child(traf, b"tfhd"), child(traf, b"tfdt"), child(traf, b"trun"));
    assert_eq!((tfdt[0], trun[0]), (1, 1));
    let mut at = 8;
    let mut default = |flag: u32| {
        let is_there = u32_at(tfhd, 0) & flag != 0;
        at += if is_there { 4 } else { 0 };
        is_there.then(|| u32_at(tfhd, at - 4))
    };
    let (duration, size, flags) = (default(8), default(0x10), default(0x20));
    assert_eq!(at, tfhd.len());
    let mut at = 12;
    let mut field = |flag: u32| {
        let is_there = u32_at(trun, 0) & flag != 0;
        at += if is_there { 4 } else { 0 };
        is_there.then(|| u32_at(trun, at - 4))
    };
    let mut first_flags = field(4);
    let samples: Vec<_> = (0..u32_at(trun, 4))
        .map(|_| {
            let duration = field(0x100).or(duration).unwrap();
            let size = field(0x200).or(size).unwrap();
            let flags = field(0x400).or(first_flags.take()).or(flags).unwrap();
            let composition_offset = field(0x800).unwrap_or(0).cast_signed();
            FragmentSample { size, duration, composition_offset, sync: flags & 0x1_0000 == 0 }
        })
        .collect();
    assert_eq!(at, trun.len());
    let mdat = &moof[moof_len..];
    let payload = match u32_at(mdat, 0) {
        1 => u64::from_be_bytes(mdat[8..16].try_into().unwrap()) - 16,
        size => u64::from(size) - 8,
    };
    let meets = u32_at(trun, 8) as usize == moof.len();
    (u64::from_be_bytes(tfdt[4..12].try_into().unwrap()), samples, payload, meets)
}

fn samples() -> impl Strategy<Value = Vec<FragmentSample>> {
    let one = |sizes: std::ops::Range<u32>,
               durations: std::ops::Range<u32>,
               offsets: std::ops::Range<i32>| {
        (sizes, durations, offsets, any::<bool>()).prop_map(|(size, duration, composition_offset, sync)| {
            FragmentSample { size, duration, composition_offset, sync }
        })
    };
    prop_oneof![
        prop::collection::vec(one(0..u32::MAX, 0..u32::MAX, i32::MIN..i32::MAX), 0..40),
        prop::collection::vec(one(0..3, 1..3, 0..2), 0..6),
        (0_usize..200).prop_map(|n| vec![
            FragmentSample {
                size: 9,
                duration: 1_024,
                composition_offset: 0,
                sync: true
            };
            n
        ]),
        prop::collection::vec(one(0..u32::MAX, 1..9, -4..4), 1..20).prop_map(|mut gop| {
            gop.iter_mut().enumerate().for_each(|(i, s)| s.sync = i == 0);
            gop
        }),
    ]
}

proptest! {
    #[test]
    fn a_header_is_as_long_as_said_and_says_what_was_given(samples in samples(), base: u64, sequence: u32) {
        let header = media_header(sequence, 1, base, &samples);
        prop_assert_eq!(header.len(), media_header_len(&samples));
        let payload: u64 = samples.iter().map(|s| u64::from(s.size)).sum();
        prop_assert_eq!(read(&header), (base, samples, payload, true));
    }
}

#[test]
fn one_gop_of_equal_durations_takes_two_fields_a_sample() {
    let gop: Vec<_> = (0..150)
        .map(|n| FragmentSample { size: n, duration: 1_001, composition_offset: 7, sync: n == 0 })
        .collect();
    assert_eq!(media_header_len(&gop), 32 + 8 + 16 + 8 + 16 + 8 + 20 + 20 + 4 + 150 * 8 + 8);
}
