//! What one side writes the other reads, however it is cut up; what nobody wrote is refused and costs nothing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::BytesMut;
use container::{Sample, Timescale};
use proptest::prelude::*;
use worker_protocol::{
    Attempt, AudioCodec, AudioSpec, Decoder, Failure, Fault, FromWorker, H264Profile, Hello, InputTrack,
    OutputTrack, Preset, ProtocolError, Report, Sandbox, ToWorker, Usage, VideoSpec, limits,
};

fn sample() -> impl Strategy<Value = Sample> {
    let data = proptest::collection::vec(any::<u8>(), 0..3_000);
    (any::<i64>(), any::<i64>(), any::<u32>(), any::<bool>(), data)
        .prop_map(|(pts, dts, duration, sync, data)| Sample { pts, dts, duration, sync, data: data.into() })
}

fn input() -> impl Strategy<Value = InputTrack> {
    ("[a-zA-Z0-9_/.]{0,64}", proptest::collection::vec(any::<u8>(), 0..300), 1..=u32::MAX).prop_map(
        |(codec, record, scale)| InputTrack { codec, record, timescale: Timescale::new(scale).unwrap() },
    )
}

fn video() -> impl Strategy<Value = VideoSpec> {
    (input(), any::<i32>(), 1_i64..600, (1_u32..1_024, 1_u32..1_024), 1_u32..limits::BITRATE_MAX, any::<u8>())
        .prop_map(|(input, from, ticks, (width, height), bitrate, level)| VideoSpec {
            timescale: input.timescale,
            input,
            from: from.into(),
            to: i64::from(from) + ticks,
            keyframes: (i64::from(from)..i64::from(from) + ticks).step_by(7).collect(),
            width: width * 2,
            height: height * 2,
            profile: H264Profile::High,
            level,
            bitrate,
            bitrate_max: bitrate,
            preset: Preset::VeryFast,
            rotation: 90,
        })
}

fn audio() -> impl Strategy<Value = AudioSpec> {
    (input(), 1_u32..limits::SAMPLE_RATE_MAX, 1..=limits::CHANNELS_MAX, 0..u64::from(u32::MAX), 0_u32..20)
        .prop_map(|(input, sample_rate, channels, first_frame, frames)| AudioSpec {
            input,
            codec: AudioCodec::Aac,
            sample_rate,
            channels,
            bitrate: 96_000,
            frame_samples: 1_024.min(sample_rate),
            first_frame,
            frames,
        })
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    prop_oneof![
        Just(ToWorker::Hello(Hello::ours())),
        video().prop_map(ToWorker::Video),
        audio().prop_map(ToWorker::Audio),
        sample().prop_map(ToWorker::Sample),
        Just(ToWorker::End),
        Just(ToWorker::Echo),
        Just(ToWorker::Try(Attempt::Fork)),
    ]
}

fn from_worker() -> impl Strategy<Value = FromWorker> {
    let record = proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        (any::<bool>(), any::<bool>(), proptest::collection::vec(".{0,40}", 0..4)).prop_map(
            |(landlock, seccomp, missing)| {
                let sandbox = Sandbox { landlock, seccomp, missing, ..Sandbox::default() };
                FromWorker::Hello(Hello::ours(), Report { sandbox, codecs: Ok("59".to_owned()) })
            }
        ),
        (record, 1..=u32::MAX).prop_map(|(record, scale)| {
            FromWorker::Track(OutputTrack { record, timescale: Timescale::new(scale).unwrap() })
        }),
        sample().prop_map(FromWorker::Sample),
        any::<u64>().prop_map(|cpu_ms| FromWorker::Done(Usage { cpu_ms })),
        ".{0,3000}".prop_map(|text| FromWorker::Failed(Failure::new(Fault::Input, text))),
    ]
}

/// Reads everything in pieces of `chunk` bytes.
fn read<T>(
    bytes: &[u8],
    chunk: usize,
    decode: impl Fn(worker_protocol::frame::Frame) -> Result<T, ProtocolError>,
) -> Result<Vec<T>, ProtocolError> {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(chunk.max(1)) {
        decoder.handle_input(piece);
        while let Some(frame) = decoder.poll_frame()? {
            out.push(decode(frame)?);
        }
    }
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_server_says_arrives_however_it_is_cut(
        messages in proptest::collection::vec(to_worker(), 0..6), chunk in 1_usize..4_000,
    ) {
        let mut out = BytesMut::new();
        for message in &messages {
            message.encode(&mut out).unwrap();
        }
        prop_assert_eq!(read(&out, chunk, ToWorker::decode).unwrap(), messages);
    }

    #[test]
    fn what_the_worker_says_arrives_however_it_is_cut(
        messages in proptest::collection::vec(from_worker(), 0..6), chunk in 1_usize..4_000,
    ) {
        let mut out = BytesMut::new();
        for message in &messages {
            message.encode(&mut out).unwrap();
        }
        prop_assert_eq!(read(&out, chunk, FromWorker::decode).unwrap(), messages);
    }

    #[test]
    fn what_is_read_is_within_its_limits_whatever_comes(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0_u8..12, len in 0_u32..600,
    ) {
        // Mostly whole frames of a kind there is, so that more than the heads is looked at.
        if let Some(head) = bytes.first_chunk_mut::<5>() {
            let [a, b, c, d] = len.to_le_bytes();
            *head = [a, b, c, d, kind];
        }
        for message in read(&bytes, 64, ToWorker::decode).into_iter().flatten() {
            match &message {
                ToWorker::Video(spec) => prop_assert!(spec.check().is_ok()),
                ToWorker::Audio(spec) => prop_assert!(spec.check().is_ok()),
                _ => {}
            }
            let _ = message.encode(&mut BytesMut::new());
        }
        for message in read(&bytes, 64, FromWorker::decode).into_iter().flatten() {
            prop_assert!(message.encode(&mut BytesMut::new()).is_ok());
        }
    }
}

#[test]
fn a_head_that_says_too_much_is_refused_before_its_body_is_waited_for() {
    for (kind, len) in [(3_u8, limits::FRAME_BYTES_MAX + 1), (1, limits::CONTROL_BYTES_MAX + 1), (9, 1 << 30)]
    {
        let mut decoder = Decoder::default();
        decoder.handle_input(&u32::try_from(len).unwrap().to_le_bytes());
        assert_eq!(decoder.poll_frame(), Ok(None));
        decoder.handle_input(&[kind]);
        assert!(matches!(decoder.poll_frame(), Err(ProtocolError::Limit { .. })), "{kind} {len}");
        assert!(decoder.buffer().capacity() < 1 << 16, "nothing was made room for");
    }
}

#[test]
fn another_version_is_refused_by_either_side_with_both_names() {
    let theirs = Hello { protocol: 99, build: "9.9.9".to_owned() };
    let mut out = BytesMut::new();
    ToWorker::Hello(theirs.clone()).encode(&mut out).unwrap();
    // Of a worker, what follows the hello may be anything.
    let mut of_worker = out.clone();
    of_worker.extend_from_slice(b"??");
    let len = u32::try_from(of_worker.len() - 5).unwrap();
    of_worker[..4].copy_from_slice(&len.to_le_bytes());
    for read in [
        read(&out, 7, |frame| match ToWorker::decode(frame)? {
            ToWorker::Hello(hello) => hello.check(),
            other => panic!("{other:?}"),
        }),
        read(&of_worker, 7, |frame| match FromWorker::decode(frame)? {
            FromWorker::Hello(hello, _) => hello.check(),
            other => panic!("{other:?}"),
        }),
    ] {
        let said = read.unwrap_err().to_string();
        assert!(said.contains("99") && said.contains("9.9.9"), "{said}");
    }
    assert_eq!(Hello::ours().check(), Ok(()));
}

#[test]
fn a_build_that_speaks_the_same_protocol_but_is_another_is_refused_too() {
    let hello = Hello { build: "0.0.0-other".to_owned(), ..Hello::ours() };
    assert!(matches!(hello.check(), Err(ProtocolError::Version { .. })));
}

#[test]
fn specs_that_make_no_sense_are_neither_sent_nor_taken() {
    let input =
        InputTrack { codec: "h264".to_owned(), record: Vec::new(), timescale: Timescale::new(25).unwrap() };
    let good = VideoSpec {
        timescale: input.timescale,
        input,
        from: 0,
        to: 100,
        keyframes: vec![0, 50],
        width: 640,
        height: 360,
        profile: H264Profile::High,
        level: 31,
        bitrate: 1_000_000,
        bitrate_max: 1_000_000,
        preset: Preset::VeryFast,
        rotation: 0,
    };
    assert_eq!(good.check(), Ok(()));
    let spoils: [fn(&mut VideoSpec); 13] = [
        |s| s.to = 0,
        |s| (s.from, s.to) = (i64::MIN, i64::MAX),
        |s| s.to = 25 * (limits::SPAN_SECONDS_MAX + 1),
        |s| s.keyframes = vec![50, 50],
        |s| s.keyframes = vec![100],
        |s| s.width = 641,
        |s| s.height = 0,
        |s| (s.width, s.height) = (16_384, 16_384),
        |s| s.rotation = 45,
        |s| s.bitrate = 0,
        |s| s.bitrate_max = limits::BITRATE_MAX + 1,
        |s| s.input.record = vec![0; limits::RECORD_BYTES_MAX + 1],
        |s| s.input.codec = "x".repeat(limits::CODEC_NAME_BYTES_MAX + 1),
    ];
    for spoil in spoils {
        let mut bad = good.clone();
        spoil(&mut bad);
        let mut out = BytesMut::new();
        assert!(ToWorker::Video(bad.clone()).encode(&mut out).is_err(), "{bad:?}");
        assert!(out.is_empty());
    }
}
