//! Records cut out of clips that ffmpeg 5.1 made, against what ffprobe says of the same clips.
//!
//! Video clips: `ffmpeg -f lavfi -i testsrc2=size=176x144:rate=24000/1001:duration=0.6 OPTIONS clip.mp4`, audio clips:
//! `ffmpeg -f lavfi -i sine=sample_rate=48000:duration=0.3 OPTIONS clip.mp4`, with the options that stand beside each
//! record; facts: `ffprobe -show_streams clip.mp4` (`has_b_frames` is the reordering depth).

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::Rational;

fn unhex(text: &str) -> Bytes {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect::<Vec<_>>().into()
}

/// What ffprobe says.
struct Facts {
    codec: &'static str,
    size: (u32, u32),
    /// Only where the bitstream calls it fixed: `ffmpeg -c:v libx264` does not unless told to.
    rate: Option<(u32, u32)>,
    depth: u8,
    has_b_frames: u32,
}

const NTSC_FILM: Option<(u32, u32)> = Some((24_000, 1_001));
const PAL: Option<(u32, u32)> = Some((25, 1));
const QCIF: (u32, u32) = (176, 144);

// -c:v libx264 -profile:v baseline -pix_fmt yuv420p
const AVC_BASELINE: &str = "0142c00bffe100156742c00bd902c4ec04400000fa40002ee003c50a9201000568cb83cb20";
// -c:v libx264 -profile:v main -bf 2 -pix_fmt yuv420p
const AVC_MAIN: &str = "014d400bffe10016674d400beca16276022000007d2000177001e28532c001000568ebe3cb20";
// 174x100, 25 frames a second: -c:v libx264 -profile:v high -bf 3 -pix_fmt yuv420p -vf setsar=4/3
// -color_primaries bt709 -color_trc bt709 -colorspace bt709
const AVC_HIGH: &str = "0164000bffe1001d6764000bacd942cfea7c39a808080a000003000200000300641e28532c\
    01000668ebe3cb22c0fdf8f800";
// -c:v libx264 -profile:v high10 -pix_fmt yuv420p10le
const AVC_HIGH_10: &str =
    "016e000bffe10017676e000ba6cd942c4ec04400000fa40002ee003c50a65801000668ebe3cb22c0fdfafa00";
// -c:v libx264 -pix_fmt yuv444p
const AVC_HIGH_444: &str =
    "01f4000bffe1001767f4000b919b28589d808800001f480005dc0078a14cb001000668ebe3c44844fff8f800";
// -c:v libx264 -pix_fmt yuv422p -x264-params keyint=1
const AVC_INTRA_422: &str = "017a100bffe10013677a100bbcb8589d808800001f480005dc002001000568ee0f2c8bfef8f800";
// -c:v libx264 -pix_fmt yuv420p -flags +ildct+ilme -x264-params interlaced=1
const AVC_INTERLACED: &str =
    "01640015ffe1001767640015acd942cafcb808800001f480005dc00f8a14cb01000668fba3cb22c0fdf8f800";
// -c:v libx264 -x264-params force-cfr=1 -pix_fmt yuv420p
const AVC_CONSTANT: &str =
    "0164000bffe100176764000bacd942c4ec04400000fa40002ee023c50a658001000668ebe3cb22c0fdf8f800";
// -c:v libx265 -x265-params info=0:keyint=8:open-gop=1:bframes=3 -pix_fmt yuv420p
const HEVC_8: &str = "0101600000009000000000003cf000fcfdf8f800000f03\
    a00001001840010c01ffff01600000030090000003000003003c959409\
    a10001002842010101600000030090000003000003003ca0162024596565924caf01680800001f480002ee0040\
    a2000100074401c172b46240";
// 178x102, 25 frames a second: -c:v libx265 -x265-params info=0:bframes=4:b-pyramid=1:colorprim=bt2020:
// transfer=smpte2084:colormatrix=bt2020nc:scaling-list=default -pix_fmt yuv420p10le
const HEVC_10: &str = "0102200000009000000000001ef000fcfdfafa00000f03\
    a00001001840010c01ffff02200000030090000003000003001e959809\
    a10001002d42010102200000030090000003000003001ea0172069c94d96566924e5780b5091009040000003004000000642\
    a2000100074401c172b46240";
// -c:v libvpx-vp9 -b:v 100k: vpcC behind version and flags, and the first frame's head
const VP9_8: (&str, &str) = ("01000000000a820202020000", "82498342000af008f60238241c18420007207fd5dbb8fe4f");
// -c:v libvpx-vp9 -b:v 100k -pix_fmt yuv420p10le
const VP9_10: (&str, &str) = ("01000000020aa20202020000", "92498342000578047b011c120e0c290003b87fd5dbb8fe1f");
// -c:v libaom-av1 -cpu-used 8 -b:v 100k: av1C, and the heads of the first samples
const AV1_AOM: (&str, &str) =
    ("81000c000a0b00000003bd7c79b5f20080", "0a0b00000003bd7c79b5f2008032e90e140021180000210820ac80d9d2");
// -c:v libsvtav1 -preset 12 -pix_fmt yuv420p10le; the frame's sequence header differs from the record's
const AV1_SVT: (&str, &str) =
    ("81004c000a0b00000003bd7c7805f08080", "0a0b00000003bd7c79f7f2808032ba16140021d020000042f3ef20dd4c");

type Parse = fn(&Bytes) -> Result<CodecConfig, ContainerError>;

const VIDEO: [(Parse, &str, Facts); 14] = {
    const fn facts(
        codec: &'static str,
        size: (u32, u32),
        rate: Option<(u32, u32)>,
        depth: u8,
        has_b_frames: u32,
    ) -> Facts {
        Facts { codec, size, rate, depth, has_b_frames }
    }
    [
        (avc, AVC_BASELINE, facts("avc1.42C00B", QCIF, None, 8, 0)),
        (avc, AVC_MAIN, facts("avc1.4D400B", QCIF, None, 8, 2)),
        (avc, AVC_HIGH, facts("avc1.64000B", (174, 100), None, 8, 2)),
        (avc, AVC_CONSTANT, facts("avc1.64000B", QCIF, NTSC_FILM, 8, 2)),
        (avc, AVC_HIGH_10, facts("avc1.6E000B", QCIF, None, 10, 2)),
        (avc, AVC_HIGH_444, facts("avc1.F4000B", QCIF, None, 8, 2)),
        (avc, AVC_INTRA_422, facts("avc1.7A100B", QCIF, None, 8, 0)),
        (avc, AVC_INTERLACED, facts("avc1.640015", QCIF, None, 8, 2)),
        (hevc, HEVC_8, facts("hvc1.1.6.L60.90", QCIF, NTSC_FILM, 8, 2)),
        (hevc, HEVC_10, facts("hvc1.2.4.L30.90", (178, 102), PAL, 10, 2)),
        (vp9, VP9_8.0, facts("vp09.00.10.08", (0, 0), None, 8, 0)),
        (vp9, VP9_10.0, facts("vp09.02.10.10", (0, 0), None, 10, 0)),
        (av1, AV1_AOM.0, facts("av01.0.00M.08", QCIF, None, 8, 0)),
        (av1, AV1_SVT.0, facts("av01.0.00M.10", QCIF, None, 10, 0)),
    ]
};

fn avc(record: &Bytes) -> Result<CodecConfig, ContainerError> {
    AvcConfig::parse(record).map(CodecConfig::Avc)
}
fn hevc(record: &Bytes) -> Result<CodecConfig, ContainerError> {
    HevcConfig::parse(record).map(CodecConfig::Hevc)
}
fn vp9(record: &Bytes) -> Result<CodecConfig, ContainerError> {
    Vp9Config::parse(record).map(CodecConfig::Vp9)
}
fn av1(record: &Bytes) -> Result<CodecConfig, ContainerError> {
    Av1Config::parse(record).map(CodecConfig::Av1)
}
fn aac(record: &str) -> AacConfig {
    AacConfig::parse(&unhex(record)).unwrap()
}

fn video_of(config: &CodecConfig) -> VideoInfo {
    let mut info = VideoInfo::default();
    config.fill_video(&mut info);
    info
}

fn audio_of(config: &CodecConfig) -> (u32, u16) {
    let mut info = AudioInfo::default();
    config.fill_audio(&mut info);
    (info.sample_rate, info.channels)
}

#[test]
fn video_records_say_what_ffprobe_says() {
    for (parse, record, facts) in VIDEO {
        let config = parse(&unhex(record)).unwrap();
        let info = video_of(&config);
        assert_eq!(config.rfc6381().as_deref(), Some(facts.codec));
        assert_eq!((info.width, info.height), facts.size, "{}", facts.codec);
        assert_eq!(info.frame_rate.map(|r| (r.num, r.den)), facts.rate, "{}", facts.codec);
        assert_eq!(config.bit_depth(), Some(facts.depth), "{}", facts.codec);
        assert_eq!(config.reorder_frames(), Some(facts.has_b_frames), "{}", facts.codec);
        assert!(!config.wants_first_frame(), "{}", facts.codec);
        assert_eq!(info.interlaced, record == AVC_INTERLACED, "{}", facts.codec);
    }
}

#[test]
fn video_records_are_given_back_as_they_came() {
    for (parse, record, facts) in VIDEO {
        let bytes = unhex(record);
        let body = if facts.codec.starts_with("vp09") { bytes.slice(4..) } else { bytes.clone() };
        assert_eq!(parse(&bytes).unwrap().record(), Some(body.clone()), "{}", facts.codec);
        assert_eq!(parse(&body).unwrap(), parse(&bytes).unwrap(), "{}", facts.codec);
    }
}

#[test]
fn colour_and_pixel_shape_come_from_the_vui_where_the_container_is_silent() {
    let high = video_of(&avc(&unhex(AVC_HIGH)).unwrap());
    assert_eq!(high.pixel_aspect, Some(Rational { num: 4, den: 3 }));
    let bt709 = ColorInfo { primaries: 1, transfer: 1, matrix: 1, full_range: false };
    assert_eq!(high.color, Some(bt709));
    let hdr = ColorInfo { primaries: 9, transfer: 16, matrix: 9, full_range: false };
    let ten = hevc(&unhex(HEVC_10)).unwrap();
    assert_eq!(video_of(&ten).color, Some(hdr));
    let mut stated = VideoInfo { color: Some(bt709), ..VideoInfo::default() };
    ten.fill_video(&mut stated);
    assert_eq!(stated.color, Some(bt709));
    let nothing = ColorInfo { primaries: 2, transfer: 2, matrix: 2, full_range: false };
    let mut silent = VideoInfo { color: Some(nothing), ..VideoInfo::default() };
    ten.fill_video(&mut silent);
    assert_eq!(silent.color, Some(hdr));
}

#[test]
fn without_a_bitstream_restriction_the_level_bounds_reordering() {
    // Level 1.1 holds 900 macroblocks of decoded pictures, 77 in each: with the VUI flag cleared, wherever it is.
    let record = unhex(AVC_HIGH);
    let bare = VideoInfo { width: 174, height: 100, ..VideoInfo::default() };
    let found = (8 * 8..record.len() * 8).any(|bit| {
        let mut cleared = record.to_vec();
        cleared[bit / 8] &= !(0x80 >> (bit % 8));
        avc(&cleared.into()).is_ok_and(|c| video_of(&c) == bare && c.reorder_frames() == Some(11))
    });
    assert!(found);
}

#[test]
fn parameter_sets_come_in_the_order_they_are_sent_in() {
    let kinds = |config: &CodecConfig| config.parameter_sets().map(|set| set[0]).collect::<Vec<_>>();
    assert_eq!(kinds(&avc(&unhex(AVC_HIGH)).unwrap()), [0x67, 0x68]);
    assert_eq!(kinds(&hevc(&unhex(HEVC_8)).unwrap()), [0x40, 0x42, 0x44]);
    assert_eq!(kinds(&CodecConfig::Vp8), []);
    assert_eq!(avc(&unhex(AVC_HIGH)).unwrap().nal_length_size(), Some(4));
}

/// NAL units with their lengths.
fn sample(units: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units.iter().map(|unit| unhex(unit)) {
        out.extend(u32::try_from(unit.len()).unwrap().to_be_bytes());
        out.extend(unit);
    }
    out
}

#[test]
fn parameter_sets_in_the_samples_make_the_record_that_was_left_out() {
    for record in [AVC_BASELINE, AVC_MAIN, AVC_HIGH, AVC_HIGH_10, AVC_HIGH_444, AVC_INTRA_422] {
        let whole = unhex(record);
        let mut stripped =
            CodecConfig::Avc(AvcConfig::parse(&[&whole[..5], &[0xe0, 0]].concat().into()).unwrap());
        assert!(stripped.wants_first_frame());
        stripped.complete_from_frame(b"\0\0\0\x02\x09\x10").unwrap();
        assert!(stripped.wants_first_frame());
        let full = avc(&whole).unwrap();
        let frame: Vec<u8> = full
            .parameter_sets()
            .flat_map(|s| [&u32::try_from(s.len()).unwrap().to_be_bytes()[..], s].concat())
            .collect();
        stripped.complete_from_frame(&frame).unwrap();
        assert_eq!(stripped, full);
    }
    for record in [HEVC_8, HEVC_10] {
        let whole = unhex(record);
        let mut bare = whole[..23].to_vec();
        bare[22] = 0;
        let mut stripped = CodecConfig::Hevc(HevcConfig::parse(&bare.into()).unwrap());
        assert!(stripped.wants_first_frame());
        let full = hevc(&whole).unwrap();
        let frame: Vec<u8> = full
            .parameter_sets()
            .flat_map(|s| [&u32::try_from(s.len()).unwrap().to_be_bytes()[..], s].concat())
            .collect();
        stripped.complete_from_frame(&frame).unwrap();
        assert!(!stripped.wants_first_frame());
        assert_eq!(video_of(&stripped), video_of(&full));
        assert_eq!(stripped.rfc6381(), full.rfc6381());
    }
}

#[test]
fn h264_starts_at_idr_and_owns_up_to_recovery_points() {
    // The first NAL bytes of a clip made with -c:v libx264 -x264-params open-gop=1:keyint=8:bframes=3
    let config = avc(&unhex(AVC_HIGH)).unwrap();
    let is = |units: &[&str]| config.random_access(&sample(units));
    assert_eq!(is(&["0605ffffa6dc45e9", "6588840057e9d7ad71924c44"]), RandomAccess::Clean);
    assert_eq!(is(&["419a246c467fbcb34355a19c"]), RandomAccess::No);
    assert_eq!(is(&["019e6174429fef87d7d8be35"]), RandomAccess::No);
    assert_eq!(is(&["060601c480", "41889a037fd4d44633d757db"]), RandomAccess::RecoveryPoint);
    // A recovery point at a P slice; one that takes frames to recover; an intra slice without a message.
    assert_eq!(is(&["060601c480", "419a246c467fbcb3"]), RandomAccess::RecoveryPoint);
    assert_eq!(is(&["0606014480", "419a246c467fbcb3"]), RandomAccess::No);
    assert_eq!(is(&["0910", "41889a037fd4d446"]), RandomAccess::RecoveryPoint);
    assert_eq!(is(&["0910", "67640015", "68eb"]), RandomAccess::Unknown);
    // A message of 691 bytes of which only 60 were read, then nothing.
    let cut = [&[0, 0, 2, 0xb0, 6, 5, 0xff, 0xff, 0xac], &[0x41; 60][..]].concat();
    assert_eq!(config.random_access(&cut), RandomAccess::Unknown);
    assert_eq!(config.random_access(&[]), RandomAccess::Unknown);
    // The deciding NAL unit itself may be cut short.
    assert_eq!(config.random_access(&[0, 0, 9, 9, 0x65]), RandomAccess::Clean);
}

#[test]
fn hevc_tells_idr_from_cra_and_leading_pictures_from_others() {
    // The first NAL bytes of the clip of HEVC_8, in decode order.
    let config = hevc(&unhex(HEVC_8)).unwrap();
    let is = |unit: &str| {
        let bytes = sample(&["460110", unit]);
        (config.random_access(&bytes), config.leading(&bytes))
    };
    assert_eq!(is("2801af1d62ed029c"), (RandomAccess::Clean, Leading::No));
    assert_eq!(is("0201d02149e1118e"), (RandomAccess::No, Leading::No));
    assert_eq!(is("2a01ac2049089c61"), (RandomAccess::OpenGop, Leading::No));
    assert_eq!(is("1201e0c225555f71"), (RandomAccess::No, Leading::Skipped));
    assert_eq!(is("1001e0a6f5d7d22c"), (RandomAccess::No, Leading::Skipped));
    assert_eq!(is("0c01e0a6f5d7d22c"), (RandomAccess::No, Leading::Decodable));
    assert_eq!(is("4e01"), (RandomAccess::Unknown, Leading::Unknown));
}

#[test]
fn vp9_and_av1_records_are_made_from_the_first_frame() {
    for (record, frame) in [VP9_8, VP9_10] {
        let mut config = CodecConfig::Vp9(Vp9Config::default());
        assert!(config.wants_first_frame() && config.rfc6381().is_none() && config.record().is_none());
        config.complete_from_frame(&unhex(frame)).unwrap();
        assert_eq!(config.record(), Some(unhex(record).slice(4..)));
        assert_eq!((video_of(&config).width, video_of(&config).height), QCIF);
        assert_eq!(config.random_access(&unhex(frame)), RandomAccess::Clean);
        assert_eq!(config.random_access(&unhex("86004092f0712500")), RandomAccess::No);
    }
    let (record, frame) = AV1_AOM;
    let mut config = CodecConfig::Av1(Av1Config::default());
    config.complete_from_frame(&unhex(frame)).unwrap();
    assert_eq!(config.record(), Some(unhex(record)));
    for (_, frame) in [AV1_AOM, AV1_SVT] {
        assert_eq!(config.random_access(&unhex(frame)), RandomAccess::Clean);
        // With the temporal delimiter that MPEG-TS and raw streams keep.
        assert_eq!(config.random_access(&[&[0x12, 0], unhex(frame).as_ref()].concat()), RandomAccess::Clean);
    }
    assert_eq!(config.random_access(&unhex("32dc0929077020000011a3a0")), RandomAccess::No);
    assert_eq!(config.random_access(&unhex("1a01b8329a022902")), RandomAccess::No);
    assert_eq!(CodecConfig::Vp8.random_access(&[0x10]), RandomAccess::Clean);
    assert_eq!(CodecConfig::Vp8.random_access(&[0x11]), RandomAccess::No);
}

#[test]
fn vp9_says_its_colour_when_it_is_not_the_usual_one() {
    let hdr = Vp9Config::parse(&unhex("0232a2091009 0000")).unwrap();
    assert_eq!(hdr.rfc6381().as_deref(), Some("vp09.02.50.10.01.09.16.09.00"));
    let private = Vp9Config::from_webm_private(&unhex("010100 02011f 030108")).unwrap();
    assert!(!private.is_complete());
    let mut config = CodecConfig::Vp9(private);
    config.complete_from_frame(&unhex(VP9_8.1)).unwrap();
    assert_eq!(config.rfc6381().as_deref(), Some("vp09.00.31.08"));
}

#[test]
fn aac_signalled_in_every_way_has_the_rate_and_frame_length_that_come_out() {
    let cases = [
        // -c:a aac -ac 2; -ac 6; then quad (a programme config element) at 44.1 kHz
        ("119056e500", "mp4a.40.2", 1_024, (48_000, 2)),
        ("11b056e500", "mp4a.40.2", 1_024, (48_000, 6)),
        ("12000504040021100d4c61766335392e33372e31303056e500", "mp4a.40.2", 1_024, (44_100, 4)),
        // By hand: 960 samples a frame; SBR explicit; PS explicit; SBR and PS in the way that old decoders pass over
        ("1194", "mp4a.40.2", 960, (48_000, 2)),
        ("2b118800", "mp4a.40.5", 2_048, (48_000, 2)),
        ("eb098800", "mp4a.40.29", 2_048, (48_000, 2)),
        ("131056e598", "mp4a.40.5", 2_048, (48_000, 2)),
        ("130856e59d4880", "mp4a.40.29", 2_048, (48_000, 2)),
        // SBR with 960 samples; a rate written out (44,000 Hz); 7.1
        ("2b118a00", "mp4a.40.5", 1_920, (48_000, 2)),
        ("178055f010", "mp4a.40.2", 1_024, (44_000, 2)),
        ("11b8", "mp4a.40.2", 1_024, (48_000, 8)),
    ];
    for (record, codec, samples, out) in cases {
        let config = CodecConfig::Aac(aac(record));
        assert_eq!(config.rfc6381().as_deref(), Some(codec), "{record}");
        assert_eq!(config.frame_samples_constant(), Some(samples), "{record}");
        assert_eq!(config.frame_samples(&[0x21]), Some(samples), "{record}");
        assert_eq!(audio_of(&config), out, "{record}");
        assert_eq!(config.record(), Some(unhex(record)), "{record}");
    }
    assert_eq!(aac("2b118800").core_rate(), 24_000);
    for refused in ["", "11", "1186", "0190"] {
        assert!(AacConfig::parse(&unhex(refused)).is_err(), "{refused}");
    }
}

#[test]
fn aac_without_a_record_is_made_from_rate_and_channels() {
    assert_eq!(AacConfig::from_parts(2, 48_000, 2, None).unwrap().record(), unhex("1190"));
    let he = AacConfig::from_parts(2, 24_000, 2, Some(48_000)).unwrap();
    assert_eq!((he.rfc6381().as_str(), he.frame_samples()), ("mp4a.40.5", 2_048));
    assert_eq!(AacConfig::from_parts(2, 44_000, 2, None).unwrap().core_rate(), 44_000);
    assert!(AacConfig::from_parts(2, 48_000, 9, None).is_none());
}

#[test]
fn esds_object_types_are_told_apart() {
    let of = |kind, specific: &str| CodecConfig::from_object_type(kind, &unhex(specific)).unwrap();
    assert_eq!(of(0x40, "1190").name(), "aac");
    assert_eq!(of(0x67, "1190").name(), "aac");
    assert_eq!(of(0x6b, ""), CodecConfig::Mp3(None));
    assert_eq!(of(0x69, "").rfc6381().as_deref(), Some("mp4a.6B"));
    assert_eq!(of(0xa9, "").name(), "mp4a.A9");
    // MPEG-4 object type 34 is layer III.
    assert_eq!(of(0x40, "f8443000"), CodecConfig::Mp3(None));
}

#[test]
fn opus_headers_of_matroska_become_the_boxes_of_mp4() {
    // -c:a libopus -ac 2, then -ac 6: OpusHead from .mkv, dOps from .mp4
    let pairs = [
        ("4f707573486561640102380180bb0000000000", "000201380000bb80000000", 2),
        (
            "4f707573486561640106380180bb0000000001040200040102 0305",
            "000601380000bb800000010402000401020305",
            6,
        ),
    ];
    for (head, dops, channels) in pairs {
        let config = OpusConfig::from_opus_head(&unhex(head)).unwrap();
        assert_eq!(config.dops(), unhex(dops));
        assert_eq!(OpusConfig::parse(&unhex(dops)).unwrap(), config);
        assert_eq!(config.pre_skip(), 312);
        let config = CodecConfig::Opus(config);
        assert_eq!(audio_of(&config), (48_000, channels));
        // Packets of those clips: 20 ms each.
        assert_eq!(config.frame_samples(&unhex("fcb4065aa7b5")), Some(960));
        assert_eq!(config.frame_samples(&unhex("fc02fffefc02")), Some(960));
    }
    // RFC 6716 §3.1: SILK 60 ms twice, CELT 2.5 ms 48 times, 20 ms 7 times (too long), none.
    assert_eq!(OpusConfig::frame_samples(&[0b0001_1001]), Some(5_760));
    assert_eq!(OpusConfig::frame_samples(&[0b1000_0011, 48]), Some(5_760));
    assert_eq!(OpusConfig::frame_samples(&[0b1111_1011, 7]), None);
    assert_eq!(OpusConfig::frame_samples(&[0xfb]), None);
    assert_eq!(OpusConfig::frame_samples(&[]), None);
}

#[test]
fn flac_streaminfo_is_found_in_either_container() {
    // -c:a flac -ac 2 -strict -2: dfLa with version and flags
    let streaminfo = "12001200 0000fc00 0511 0bb802f000003840 e5f051c128e84992c0cba99724092b51";
    let dfla = unhex(&format!("00000000 80000022 {streaminfo}"));
    let matroska = unhex(&format!("664c6143 00000022 {streaminfo} 84000004 00000000"));
    let config = CodecConfig::Flac(FlacConfig::parse(&dfla).unwrap());
    assert_eq!(CodecConfig::Flac(FlacConfig::parse(&matroska).unwrap()), config);
    assert_eq!(config.record(), Some(dfla.slice(4..)));
    assert_eq!(FlacConfig::parse(&dfla.slice(4..)).unwrap().streaminfo(), &unhex(streaminfo));
    assert_eq!(audio_of(&config), (48_000, 2));
    assert_eq!(config.frame_samples_constant(), Some(4_608));
    // The first and the last frame.
    assert_eq!(config.frame_samples(&unhex("fff85a8800374e000000a6")), Some(4_608));
    assert_eq!(config.frame_samples(&unhex("fff82a8803594af4e3f4c9")), Some(576));
    // A block size written in 8 and in 16 bits, behind a frame number of two bytes.
    assert_eq!(config.frame_samples(&unhex("fff86a88c28063")), Some(100));
    assert_eq!(config.frame_samples(&unhex("fff87a88c280270f")), Some(10_000));
    assert_eq!(config.frame_samples(&unhex("0b77")), None);
}

#[test]
fn ac3_boxes_are_made_from_the_first_syncframe() {
    // -c:a ac3 -ac 6: dac3, and the first frame's head
    let frame = unhex("0b77b50b1e40ebf8403eff99ff0841fc");
    let mut config = CodecConfig::Ac3(None);
    config.complete_from_frame(&frame).unwrap();
    assert_eq!(config.record(), Some(unhex("103de0")));
    assert_eq!(CodecConfig::Ac3(Some(Ac3Config::parse(&unhex("103de0")).unwrap())), config);
    assert_eq!(audio_of(&config), (48_000, 6));
    assert_eq!(config.frame_samples(&frame), Some(1_536));
    assert_eq!(config.rfc6381().as_deref(), Some("ac-3"));
}

#[test]
fn eac3_boxes_are_made_from_the_first_access_unit() {
    // -c:a eac3 -ac 6: dec3, and the first frame's head of 1792 bytes
    let frame = unhex("0b77037f3f87c00020f820000200400004001fcc7e0107e1f87e10fa1beff9d5");
    let mut config = CodecConfig::Eac3(None);
    config.complete_from_frame(&frame).unwrap();
    assert_eq!(config.record(), Some(unhex("0e00200f00")));
    assert_eq!(CodecConfig::Eac3(Some(Eac3Config::parse(&unhex("0e00200f00")).unwrap())), config);
    assert_eq!(audio_of(&config), (48_000, 6));
    assert_eq!(config.frame_samples(&frame), Some(1_536));
}

#[test]
fn ac3_and_eac3_under_each_others_name_are_put_right() {
    let mut config = CodecConfig::Ac3(None);
    config.complete_from_frame(&unhex("0b77037f3f87c00020f820000200400004001fcc7e0107e1f87e10fa1b")).unwrap();
    assert_eq!(config.name(), "eac3");
    let mut config = CodecConfig::Eac3(None);
    config.complete_from_frame(&unhex("0b77b50b1e40ebf8403eff99ff0841fc")).unwrap();
    assert_eq!(config.name(), "ac3");
    let mut config = CodecConfig::Eac3(None);
    assert!(config.complete_from_frame(b"RIFF").is_err());
    assert_eq!(config, CodecConfig::Eac3(None));
}

/// An E-AC-3 syncframe with nothing behind its header, in 32 bytes.
fn syncframe(kind: u32, id: u32, blocks: u32, acmod: u32, chanmap: Option<u32>, joc: Option<u32>) -> Vec<u8> {
    let mut bits = bits::Packer::default();
    bits.put(16, 0x0b77).put(2, kind).put(3, id).put(11, 15).put(2, 0).put(2, blocks);
    bits.put(3, acmod).put(1, 1).put(5, 16).put(5, 27).put(1, 0);
    if kind == 1 {
        bits.put(1, u32::from(chanmap.is_some()));
        bits.put(if chanmap.is_some() { 16 } else { 0 }, chanmap.unwrap_or(0));
    }
    // Mixing metadata: downmix levels, no low-frequency level, no scales, mixdef 0, no configuration; no info.
    bits.put(1, 1).put(if acmod & 1 == 1 { 14 } else { 8 }, 0).put(1, 0);
    if kind == 0 {
        bits.put(2, 0).put(2, 0).put(1, 0);
    }
    bits.put(1, 0);
    if kind == 0 && blocks != 3 {
        bits.put(1, 0);
    }
    bits.put(1, u32::from(joc.is_some()));
    if let Some(objects) = joc {
        bits.put(6, 1).put(7, 0).put(1, 1).put(8, objects);
    }
    let mut bytes = bits.into_bytes().to_vec();
    bytes.resize(32, 0);
    bytes
}

#[test]
fn eac3_dependent_substreams_add_their_channels_and_atmos_is_noticed() {
    // 5.1 with back surrounds in a dependent substream: Ls, Rs, Lrs/Rrs of chanmap.
    let unit = [syncframe(0, 0, 3, 7, None, Some(16)), syncframe(1, 0, 3, 6, Some(0x1a00), None)].concat();
    let config = Eac3Config::from_frame(&unit).unwrap();
    assert_eq!(config.joc_objects(), Some(16));
    assert_eq!(config.substreams()[0].channels(), 8);
    assert_eq!(Eac3Config::frame_samples(&unit), Some(1_536));
    let record = config.record();
    let again = Eac3Config::parse(&record).unwrap();
    assert_eq!((again.joc_objects(), again.substreams()), (Some(16), config.substreams()));
    // Six syncframes of one block are one access unit of 1536 samples.
    let blocks = syncframe(0, 0, 0, 7, None, None).repeat(6);
    assert_eq!(Eac3Config::frame_samples(&blocks), Some(1_536));
    assert_eq!(Eac3Config::from_frame(&blocks).unwrap().access_unit_samples(), 1_536);
    assert_eq!(Eac3Config::frame_samples(&blocks[..32]), Some(256));
    assert!(Eac3Config::from_frame(&syncframe(1, 0, 3, 7, None, None)).is_err());
}

#[test]
fn mp3_frames_tell_rate_and_length() {
    // -c:a libmp3lame -ac 2; then a header of MPEG-2 layer III at 22.05 kHz, mono
    let of = |frame: &str| {
        let mut config = CodecConfig::Mp3(None);
        config.complete_from_frame(&unhex(frame)).unwrap();
        (config.rfc6381().unwrap(), config.frame_samples_constant().unwrap(), audio_of(&config))
    };
    assert_eq!(of("fffb9464000001ee"), ("mp4a.6B".to_owned(), 1_152, (48_000, 2)));
    assert_eq!(of("fff350c4"), ("mp4a.69".to_owned(), 576, (22_050, 1)));
    assert!(Mp3Config::from_frame(b"ID3\x04").is_err());
}

#[test]
fn errors_name_the_offset_in_the_record() {
    let cut = unhex(AVC_MAIN).slice(..20);
    let error = AvcConfig::parse(&cut).unwrap_err().to_string();
    assert_eq!(error, "codec configuration at byte 6: the record ends inside a parameter set");
    let mut tall = unhex(HEVC_8).to_vec();
    tall[22] = 200;
    assert!(HevcConfig::parse(&tall.into()).is_err());
}

/// Every record and frame above, to be damaged.
fn seeds() -> Vec<Bytes> {
    let video = VIDEO.iter().map(|(_, record, _)| unhex(record));
    let frames = [VP9_8.1, VP9_10.1, AV1_AOM.1, AV1_SVT.1, "2b118800", "130856e59d4880", "fffb9464000001ee"];
    let more = ["12000504040021100d4c61766335392e33372e31303056e500", "0b77037f3f87c00020f82000020040000400"];
    let unit = [syncframe(0, 0, 3, 7, None, Some(16)), syncframe(1, 0, 3, 6, Some(0x1a00), None)].concat();
    video.chain(frames.iter().chain(&more).map(|text| unhex(text))).chain([unit.into()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        fuzz_all(&bytes);
    }

    #[test]
    fn no_damage_makes_a_parser_panic(
        seed in proptest::sample::select(seeds()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = seed.to_vec();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        fuzz_all(&bytes);
    }

    #[test]
    fn what_a_frame_is_does_not_change_with_how_much_of_it_was_read(
        seed in proptest::sample::select(seeds()), end in any::<prop::sample::Index>(),
    ) {
        for config in [avc(&unhex(AVC_HIGH)).unwrap(), hevc(&unhex(HEVC_8)).unwrap()] {
            let part = config.random_access(&seed[..end.index(seed.len())]);
            prop_assert!(part == RandomAccess::Unknown || part == config.random_access(&seed));
        }
    }
}

#[test]
fn large_hostile_records_are_done_with_at_once() {
    let start = std::time::Instant::now();
    for fill in [0, 1, 3, 0x41, 0x80, 0xff] {
        fuzz_all(&vec![fill; 1 << 20]);
    }
    let zeros_in_an_sps = [unhex("01640015ffe1ffff6764001500").as_ref(), &[0; 65_536]].concat();
    fuzz_all(&zeros_in_an_sps);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
