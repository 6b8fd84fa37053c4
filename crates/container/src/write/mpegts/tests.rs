//! What must hold of any segment, by an independent reading of its packets.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    AudioInfo, Timescale, TrackFlags, VideoInfo,
    codec::{AacConfig, AvcConfig, CodecConfig, OpusConfig},
};

/// A picture of 16x16 in Baseline, four-byte lengths, one SPS and one PPS.
const AVCC: &[u8] = &[
    1, 66, 192, 10, 255, 225, 0, 21, 103, 66, 192, 10, 218, 123, 1, 16, 0, 0, 3, 0, 16, 0, 0, 3, 3, 0, 241,
    34, 106, 1, 0, 4, 104, 206, 15, 200,
];

fn track(kind: TrackKind, codec: CodecConfig) -> Track {
    Track {
        number: 1,
        kind,
        codec,
        timescale: Timescale::MPEG,
        language: Some("en".to_owned()),
        name: None,
        flags: TrackFlags::default(),
        video: (kind == TrackKind::Video).then(VideoInfo::default),
        audio: (kind == TrackKind::Audio).then(AudioInfo::default),
        default_duration_ns: None,
        codec_delay_ns: 0,
        strip_prefix: Bytes::new(),
        deflated: false,
    }
}

fn video() -> Track {
    avc(AVCC)
}

fn avc(record: &[u8]) -> Track {
    track(TrackKind::Video, CodecConfig::Avc(AvcConfig::parse(&Bytes::copy_from_slice(record)).unwrap()))
}

fn aac_of(config: &'static [u8]) -> Track {
    track(TrackKind::Audio, CodecConfig::Aac(AacConfig::parse(&Bytes::from_static(config)).unwrap()))
}

fn aac() -> Track {
    aac_of(&[0x12, 0x10])
}

fn sample(pts: i64, dts: i64, duration: u32, sync: bool, data: Vec<u8>) -> Sample {
    Sample { pts, dts, duration, sync, data: data.into() }
}

/// NAL units of these sizes behind four-byte lengths.
fn picture(nals: &[usize]) -> Vec<u8> {
    let mut data = Vec::new();
    for &len in nals {
        data.extend_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
        data.extend((0..len).map(|i| if i == 0 { 0x41 } else { u8::try_from(i % 251).unwrap() | 4 }));
    }
    data
}

/// What a reader makes of a segment.
#[derive(Default)]
struct Read {
    /// Elementary bytes with PES headers, one entry a PES.
    pes: BTreeMap<u16, Vec<Vec<u8>>>,
    /// Packets with payload, by PID.
    counts: BTreeMap<u16, usize>,
    clocks: Vec<(u16, i64)>,
}

fn read(segment: &[u8]) -> Read {
    assert_eq!(segment.len() % 188, 0);
    let mut read = Read::default();
    let mut counters = BTreeMap::new();
    for packet in segment.chunks(188) {
        assert_eq!(packet[0], 0x47);
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let mut body = 4;
        let mut discontinuity = false;
        if has_adaptation {
            let len = usize::from(packet[4]);
            body = 5 + len;
            assert!(body <= 188 && (has_payload || body == 188), "adaptation field of {len}");
            if len > 0 {
                discontinuity = packet[5] & 0x80 != 0;
                let mut used = 6;
                if packet[5] & 0x10 != 0 {
                    let mut field = [0; 8];
                    field[2..].copy_from_slice(&packet[6..12]);
                    read.clocks.push((pid, i64::from_be_bytes(field) >> 15));
                    used = 12;
                }
                assert!(packet[used..body].iter().all(|&b| b == 0xff), "stuffing");
            }
        }
        let counter = packet[3] & 0x0f;
        if has_payload {
            assert!(body < 188, "a payload without a byte");
            let expected = counters.get(&pid).map_or(0, |c| (c + 1) % 16);
            assert_eq!(counter, expected, "counter of {pid:#x}");
            counters.insert(pid, counter);
            *read.counts.entry(pid).or_default() += 1;
        } else {
            assert_eq!(counter, counters.get(&pid).copied().unwrap_or(15));
        }
        if pid >= 0x1000 || pid == 0 {
            assert!(discontinuity);
            continue;
        }
        if has_payload {
            let list = read.pes.entry(pid).or_default();
            if packet[1] & 0x40 != 0 {
                list.push(Vec::new());
            }
            list.last_mut().unwrap().extend_from_slice(&packet[body..]);
        }
    }
    for (pid, count) in &read.counts {
        assert!(*pid < 0x100 || *pid >= 0x1000 || count % 16 == 0, "{count} packets of {pid:#x}");
    }
    read
}

fn payload(pes: &[u8]) -> &[u8] {
    assert_eq!(&pes[..3], &[0, 0, 1]);
    let length = usize::from(u16::from_be_bytes([pes[4], pes[5]]));
    assert!(length == 0 || length + 6 == pes.len());
    &pes[9 + usize::from(pes[8])..]
}

fn annex_b(sample: &Sample, with_sets: bool) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 1, 9, 0xf0];
    if with_sets {
        out.extend_from_slice(&[&[0, 0, 0, 1], &AVCC[8..29], &[0, 0, 0, 1], &AVCC[32..]].concat());
    }
    let mut rest = &sample.data[..];
    while rest.len() >= 4 {
        let len = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(&rest[4..4 + len]);
        rest = &rest[4 + len..];
    }
    out
}

proptest! {
    #[test]
    fn packets_counters_clocks_and_payload_are_right_whatever_the_samples(
        pictures in prop::collection::vec((prop::collection::vec(1_usize..2_000, 1..5), 500_u32..30_000), 0..25),
        frames in prop::collection::vec(1_usize..1_500, 0..60),
        audio_start in -5_000_i64..5_000,
    ) {
        let mut time = 900_000;
        let video_samples: Vec<_> = pictures.iter().enumerate().map(|(i, (nals, duration))| {
            let dts = time;
            time += i64::from(*duration);
            sample(dts + 3_003 * i64::from(i % 2 == 0), dts, *duration, i % 7 == 0, picture(nals))
        }).collect();
        let audio_samples: Vec<_> = (0_i64..).zip(&frames).map(|(i, &len)| {
            let pts = 900_000 + audio_start + 1_920 * i;
            sample(pts, pts, 1_920, true, vec![0x55; len])
        }).collect();
        let (v, a) = (video(), aac());
        let writer = TsWriter::new(&[&v, &a]).unwrap();
        let segment = writer.write_segment(&[&video_samples, &audio_samples]).unwrap();
        prop_assert_eq!(&segment, &writer.write_segment(&[&video_samples, &audio_samples]).unwrap());
        let read = read(&segment);

        let pictures = read.pes.get(&0x100).map_or(&[][..], |list| list);
        prop_assert_eq!(pictures.len(), video_samples.len());
        for (i, (pes, sample)) in pictures.iter().zip(&video_samples).enumerate() {
            prop_assert_eq!(payload(pes), &annex_b(sample, sample.sync || i == 0)[..]);
        }
        let mut heard = Vec::new();
        for pes in read.pes.get(&0x101).map_or(&[][..], |list| list) {
            heard.extend_from_slice(payload(pes));
        }
        let mut rest = &heard[..];
        for sample in &audio_samples {
            let len = (usize::from(rest[3] & 3) << 11) | (usize::from(rest[4]) << 3) | usize::from(rest[5] >> 5);
            prop_assert_eq!(&rest[..2], &[0xff, 0xf1]);
            prop_assert_eq!(&rest[7..len], &sample.data[..]);
            rest = &rest[len..];
        }
        prop_assert!(rest.is_empty());
        prop_assert!(read.clocks.iter().all(|&(pid, _)| pid == 0x100));
        for pair in read.clocks.windows(2) {
            let gap = pair[1].1 - pair[0].1;
            prop_assert!((0..=9_000).contains(&gap), "clock gap of {}", gap);
        }
    }

    #[test]
    fn damaged_pictures_are_written_as_far_as_they_go(
        data in prop::collection::vec(any::<u8>(), 0..600),
        length_size in prop::sample::select(&[0_u8, 1, 3]),
        sync: bool,
    ) {
        let mut record = AVCC.to_vec();
        record[4] = 0xfc | length_size;
        let v = avc(&record);
        let writer = TsWriter::new(&[&v]).unwrap();
        let segment = writer.write_segment(&[&[sample(0, 0, 3_000, sync, data)]]).unwrap();
        read(&segment);
    }

    #[test]
    fn any_times_are_written(times in prop::collection::vec((any::<i64>(), any::<i64>(), any::<u32>()), 0..20)) {
        let samples: Vec<_> =
            times.iter().map(|&(pts, dts, duration)| sample(pts, dts, duration, true, picture(&[5]))).collect();
        let writer = TsWriter::new(&[&video(), &aac()]).unwrap();
        read(&writer.write_segment(&[&samples, &samples]).unwrap());
    }
}

#[test]
fn clocks_fill_the_gaps_of_slow_pictures_and_of_audio_alone() {
    let slow: Vec<_> =
        (10..14).map(|i| sample(i * 90_000, i * 90_000, 90_000, i == 10, picture(&[900]))).collect();
    let read_back = read(&TsWriter::new(&[&video()]).unwrap().write_segment(&[&slow]).unwrap());
    assert!(read_back.clocks.len() >= 40, "{}", read_back.clocks.len());
    let frames: Vec<_> = (100..300).map(|i| sample(i * 1_920, i * 1_920, 1_920, true, vec![1; 40])).collect();
    let read_back = read(&TsWriter::new(&[&aac()]).unwrap().write_segment(&[&frames]).unwrap());
    for pair in read_back.clocks.windows(2) {
        assert!((1..=9_000).contains(&(pair[1].1 - pair[0].1)));
    }
    assert!(read_back.clocks.len() >= 42);
}

#[test]
fn a_jump_in_audio_time_begins_a_pes_of_its_own() {
    let frames: Vec<_> =
        [0, 1_920, 9_000, 10_920].iter().map(|&pts| sample(pts, pts, 1_920, true, vec![1; 100])).collect();
    let v = video();
    let segment = TsWriter::new(&[&v, &aac()]).unwrap().write_segment(&[&[], &frames]).unwrap();
    assert_eq!(read(&segment).pes[&0x101].len(), 2);
}

#[test]
fn a_delimiter_in_the_sample_is_not_written_twice() {
    let mut data = vec![0, 0, 0, 2, 9, 0x10];
    data.extend(picture(&[30]));
    let segment =
        TsWriter::new(&[&video()]).unwrap().write_segment(&[&[sample(0, 0, 3_000, true, data)]]).unwrap();
    let read = read(&segment);
    let es = payload(&read.pes[&0x100][0]);
    assert_eq!(&es[..10], &[0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1]);
    assert_eq!(es.windows(5).filter(|w| *w == [0, 0, 0, 1, 9]).count(), 1);
}

#[test]
fn codecs_without_a_mapping_are_refused_by_name() {
    let head = Bytes::from_static(&[0, 2, 1, 56, 0, 0, 187, 128, 0, 0, 0]);
    let opus = track(TrackKind::Audio, CodecConfig::Opus(OpusConfig::parse(&head).unwrap()));
    let error = TsWriter::new(&[&opus]).unwrap_err().to_string();
    assert_eq!(error, "opus cannot be carried in MPEG-TS");
    let eld = aac_of(&[0xf8, 0xe6, 0x40, 0x00]);
    let error = TsWriter::new(&[&eld]).unwrap_err().to_string();
    assert_eq!(error, "AAC of object type 39 cannot be carried in MPEG-TS");
    let long = sample(0, 0, 1_920, true, vec![0; 9_000]);
    let error = TsWriter::new(&[&aac()]).unwrap().write_segment(&[&[long]]).unwrap_err().to_string();
    assert_eq!(error, "an AAC frame over 8,184 bytes cannot be carried in MPEG-TS");
    assert!(TsWriter::new(&[]).is_err());
    assert!(TsWriter::new(&[&video(), &video()]).is_err());
}
