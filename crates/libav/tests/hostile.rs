//! Damaged packets and records, thrown at every decoder and what follows it: errors, never a panic or a crash.
//!
//! Chance comes from a seed that a failure names. Rounds are few, so that the whole takes seconds; more with
//! `LIBAV_HOSTILE_ROUNDS`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod oracle;

use libav::{
    AudioCodec, AudioConverter, AudioConverterSettings, AudioDecoder, AudioDecoderSettings, Colour, Error,
    Fault, H264Profile, H264Settings, Packet, Preset, RateControl, Rotation, TimeBase, VideoCodec,
    VideoDecoder, VideoDecoderSettings, VideoEncoder, VideoFilter, VideoFilterSettings,
};
use oracle::{Found, Stream, make};

/// Pictures are at most as large as this while damaged: a header may ask for more, and is refused.
const SAMPLES_MAX: u64 = 1 << 20;

/// xorshift64*: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % end.max(1)
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self.below(6) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {
                let at = self.below(bytes.len());
                let length = self.below(64);
                let noise = (0..length).map(|_| self.below(256).to_le_bytes()[0]).collect::<Vec<_>>();
                bytes.splice(at..at, noise);
            }
            2 => {
                let at = self.below(bytes.len());
                let end = (at + 1 + self.below(16)).min(bytes.len());
                bytes[at..end].fill([0, 0xff][self.below(2)]);
            }
            // Headers are at the front.
            3 => {
                let at = self.below(bytes.len().min(32));
                bytes[at] ^= 1 << self.below(8);
            }
            _ => {
                for _ in 0..1 + self.below(8) {
                    let at = self.below(bytes.len());
                    bytes[at] ^= 1 << self.below(8);
                }
            }
        }
    }

    /// The packets of a stream, some damaged, lost, doubled or out of order.
    fn damaged(&mut self, packets: &[Found]) -> Vec<Found> {
        let mut out = packets.to_vec();
        for _ in 0..1 + self.below(6) {
            let at = self.below(out.len());
            match self.below(8) {
                0 => drop(out.remove(at)),
                1 => out.insert(at, out[self.below(out.len())].clone()),
                2 => out[at].pts = [None, Some(i64::MAX), Some(i64::MIN), Some(-1)][self.below(4)],
                _ => self.damage(&mut out[at].data),
            }
            if out.is_empty() {
                return packets.to_vec();
            }
        }
        out
    }
}

fn rounds() -> u64 {
    std::env::var("LIBAV_HOSTILE_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(25)
}

/// An error of damaged media, and of nothing else.
fn of_the_input(result: Result<(), Error>, seed: u64) -> bool {
    if let Err(error) = &result {
        // A header that asks for more memory than one allocation may have is answered with ENOMEM.
        let too_much = matches!(error, Error::Failed { code: -12, .. });
        let fine = error.fault() == Fault::Input || matches!(error, Error::Order { .. }) || too_much;
        assert!(fine, "seed {seed}: {error}");
        assert!(error.to_string().len() < 4000, "an error stays a line");
    }
    result.is_ok()
}

/// Decodes, scales and encodes; how many pictures came out.
fn video(
    codec: VideoCodec,
    configuration: &[u8],
    packets: &[Found],
    time_base: TimeBase,
    seed: u64,
) -> usize {
    let opened = VideoDecoder::open(&VideoDecoderSettings {
        codec,
        configuration,
        time_base,
        threads: 2,
        picture_samples_max: SAMPLES_MAX,
    });
    let Ok(mut decoder) = opened else { return 0 };
    let rotation = [Rotation::None, Rotation::Clockwise90][usize::from(seed.is_multiple_of(5))];
    let filter = VideoFilterSettings {
        width: 64,
        height: 36,
        rotation,
        deinterlace: seed.is_multiple_of(2),
        time_base,
        threads: 1,
    };
    let mut filter = VideoFilter::new(&filter).unwrap();
    let mut encoder = VideoEncoder::open(&H264Settings {
        width: 64,
        height: 36,
        time_base,
        frame_rate: (25, 1),
        profile: H264Profile::Baseline,
        level: 30,
        preset: Preset::Ultrafast,
        rate: RateControl::Quality(30.0),
        bits_per_second_max: 1_000_000,
        buffer_bits: 1_000_000,
        keyframe_interval_max: 50,
        b_frames: 0,
        lookahead: Some(0),
        threads: 1,
        colour: Colour::default(),
    })
    .unwrap();
    let mut pictures = 0;
    for step in 0..=packets.len() {
        let last = step == packets.len();
        let sent = if last { decoder.finish() } else { decoder.send(&packets[step].packet()) };
        of_the_input(sent, seed);
        for _ in 0..100 {
            match decoder.receive() {
                Ok(Some(frame)) => {
                    pictures += 1;
                    assert!(u64::from(frame.width()) * u64::from(frame.height()) <= SAMPLES_MAX);
                    of_the_input(filter.send(frame), seed);
                    while let Ok(Some(frame)) = filter.receive() {
                        of_the_input(encoder.send(frame, false), seed);
                        while let Ok(Some(sample)) = encoder.receive() {
                            assert!(!sample.data.is_empty());
                        }
                    }
                }
                Ok(None) => break,
                Err(error) => assert!(!of_the_input(Err(error), seed)),
            }
        }
    }
    pictures
}

fn hostile_video(codec: VideoCodec, arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=0.8"];
    let path = make(folder.path(), "in.mov", &[&picture, arguments].concat());
    let Stream { packets, configuration, time_base, .. } = oracle::stream(&path, "v:0");
    let whole = video(codec, &configuration, &packets, time_base, 1);
    assert_eq!(whole, packets.len(), "undamaged, every picture comes");
    let mut pictures = 0;
    for seed in 1..=rounds() {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut record = configuration.clone();
        if seed.is_multiple_of(4) {
            chance.damage(&mut record);
        }
        pictures += video(codec, &record, &chance.damaged(&packets), time_base, seed);
    }
    assert!(pictures > 0, "damage is small enough for pictures to come through");
}

#[test]
fn damaged_h264_is_an_error() {
    hostile_video(VideoCodec::H264, &["-c:v", "libx264", "-preset", "medium", "-pix_fmt", "yuv420p"]);
}

#[test]
fn damaged_hevc_is_an_error() {
    let more = ["-c:v", "libx265", "-preset", "superfast", "-x265-params", "log-level=none"];
    hostile_video(VideoCodec::Hevc, &more);
}

#[test]
fn damaged_vp9_is_an_error() {
    // MOV does not hold VP9; MP4 written under another name does.
    let more = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-f", "mp4"];
    hostile_video(VideoCodec::Vp9, &more);
}

#[test]
fn damaged_av1_is_an_error() {
    let more = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-f", "mp4"];
    hostile_video(VideoCodec::Av1, &more);
}

#[test]
fn damaged_mpeg2_is_an_error() {
    hostile_video(VideoCodec::Mpeg2, &["-c:v", "mpeg2video", "-bf", "2", "-flags", "+ildct+ilme"]);
}

#[test]
fn damaged_mpeg4_is_an_error() {
    hostile_video(VideoCodec::Mpeg4, &["-c:v", "mpeg4", "-bf", "2"]);
}

#[test]
fn damaged_motion_jpeg_is_an_error() {
    hostile_video(VideoCodec::Mjpeg, &["-c:v", "mjpeg", "-pix_fmt", "yuvj422p"]);
}

#[test]
fn damaged_prores_is_an_error() {
    hostile_video(VideoCodec::ProRes, &["-c:v", "prores_ks"]);
}

/// Decodes and converts; how many samples came out.
fn audio(
    codec: AudioCodec,
    configuration: &[u8],
    packets: &[Found],
    time_base: TimeBase,
    seed: u64,
) -> usize {
    let settings = AudioDecoderSettings { codec, configuration, time_base, sample_rate: 0, channels: 0 };
    let Ok(mut decoder) = AudioDecoder::open(&settings) else { return 0 };
    let mut converter =
        AudioConverter::new(&AudioConverterSettings { sample_rate: 44_100, channels: 2 }).unwrap();
    let (mut at, mut rate, mut samples) = (0, 0, 0);
    for step in 0..=packets.len() {
        let last = step == packets.len();
        let sent = if last { decoder.finish() } else { decoder.send(&packets[step].packet()) };
        of_the_input(sent, seed);
        for _ in 0..100 {
            match decoder.receive() {
                Ok(Some(block)) => {
                    if block.sample_rate != rate {
                        (at, rate) = (0, block.sample_rate);
                    }
                    assert!(block.samples.iter().all(|s| s.abs() <= 16.0));
                    // Another layout begins anew: any start is fine for it, the one expected as well.
                    of_the_input(converter.send(at, &block), seed);
                    at += i64::try_from(block.frames()).unwrap();
                    samples +=
                        std::iter::from_fn(|| converter.receive()).map(|b| b.samples.len()).sum::<usize>();
                }
                Ok(None) => break,
                Err(error) => assert!(!of_the_input(Err(error), seed)),
            }
        }
    }
    of_the_input(converter.finish(), seed);
    samples
}

fn hostile_audio(codec: AudioCodec, arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let sound = ["-f", "lavfi", "-i", "anoisesrc=d=1:a=0.3:seed=7:r=48000"];
    let path = make(folder.path(), "in.mp4", &[&sound, arguments].concat());
    let Stream { packets, configuration, time_base, .. } = oracle::stream(&path, "a:0");
    assert!(audio(codec, &configuration, &packets, time_base, 1) > 80_000, "undamaged, all sound comes");
    let mut samples = 0;
    for seed in 1..=rounds() {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut record = configuration.clone();
        if seed.is_multiple_of(4) {
            chance.damage(&mut record);
        }
        samples += audio(codec, &record, &chance.damaged(&packets), time_base, seed);
    }
    assert!(samples > 0, "damage is small enough for sound to come through");
}

#[test]
fn damaged_aac_is_an_error() {
    hostile_audio(AudioCodec::Aac, &["-c:a", "aac", "-ac", "2"]);
}

#[test]
fn damaged_ac3_is_an_error() {
    hostile_audio(AudioCodec::Ac3, &["-c:a", "ac3", "-ac", "6"]);
}

#[test]
fn damaged_eac3_is_an_error() {
    hostile_audio(AudioCodec::Eac3, &["-c:a", "eac3", "-ac", "6"]);
}

#[test]
fn damaged_mp3_is_an_error() {
    hostile_audio(AudioCodec::Mp3, &["-c:a", "libmp3lame", "-ac", "2"]);
}

#[test]
fn damaged_opus_is_an_error() {
    hostile_audio(AudioCodec::Opus, &["-c:a", "libopus", "-ac", "2"]);
}

#[test]
fn damaged_flac_is_an_error() {
    hostile_audio(AudioCodec::Flac, &["-c:a", "flac", "-ac", "2", "-strict", "-2"]);
}

#[test]
fn damaged_alac_is_an_error() {
    hostile_audio(AudioCodec::Alac, &["-c:a", "alac", "-ac", "2"]);
}

#[test]
fn noise_is_an_error_for_every_decoder() {
    let names =
        ["h264", "hevc", "av1", "vp8", "vp9", "V_MPEG1", "V_MPEG2", "V_MPEG4/ISO/ASP", "V_MPEG4/MS/V3"];
    let mut chance = Chance(7);
    let time_base = TimeBase::per_second(1000);
    let mut noise =
        |length: usize| (0..length).map(|_| chance.below(256).to_le_bytes()[0]).collect::<Vec<_>>();
    for name in names.into_iter().chain(["V_MJPEG", "V_PRORES", "V_THEORA"]) {
        let packets: Vec<Found> = (0..20)
            .map(|n| Found { data: noise(500), pts: Some(n), dts: None, duration: 1, keyframe: n == 0 })
            .collect();
        video(VideoCodec::named(name).unwrap(), &noise(40), &packets, time_base, 3);
        video(VideoCodec::named(name).unwrap(), &[], &packets, time_base, 4);
    }
    for name in
        ["aac", "mp3", "ac3", "eac3", "flac", "opus", "vorbis", "A_MPEG/L2", "A_DTS", "A_TRUEHD", "A_ALAC"]
    {
        let packets: Vec<Found> = (0..20)
            .map(|n| Found { data: noise(500), pts: Some(n), dts: None, duration: 1, keyframe: true })
            .collect();
        audio(AudioCodec::named(name).unwrap(), &noise(40), &packets, time_base, 3);
        audio(AudioCodec::named(name).unwrap(), &[], &packets, time_base, 4);
    }
}

#[test]
fn a_packet_and_a_record_that_are_too_large_are_refused_by_name() {
    let time_base = TimeBase::per_second(1000);
    let settings = |configuration| VideoDecoderSettings {
        codec: VideoCodec::H264,
        configuration,
        time_base,
        threads: 1,
        picture_samples_max: 0,
    };
    let large = vec![0; (1 << 20) + 1];
    let error = VideoDecoder::open(&settings(&large)).err().unwrap();
    assert_eq!(error.to_string(), "configuration record bytes 1048577: more than 1048576");
    let data = vec![0; libav::PACKET_BYTES_MAX + 1];
    let packet = Packet { data: &data, pts: Some(0), dts: None, duration: 0, keyframe: true };
    let error = VideoDecoder::open(&settings(&[])).unwrap().send(&packet).unwrap_err();
    assert_eq!(error.to_string(), "packet bytes 67108865: more than 67108864");
}
