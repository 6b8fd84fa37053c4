//! What becomes of pictures that are not as an encoder wants them: interlaced, turned, anamorphic, of other formats, changing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod oracle;
mod stages;

use std::collections::BTreeSet;

use libav::{H264Profile, RateControl, Rotation, VideoCodec, VideoFilterSettings, fit};
use oracle::make;
use stages::{decode, encode, filter, scaled, settings};

/// Decodes what `arguments` make, filters it with `settings`, and gives SSIM of the worst frame against ffmpeg's `chain`.
fn filtered(
    arguments: &[&str],
    codec: VideoCodec,
    chain: &str,
    settings_of: impl Fn(&mut VideoFilterSettings),
) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), "in.mov", arguments);
    let source = oracle::stream(&path, "v:0");
    let mut wanted = scaled(320, 180, source.time_base);
    settings_of(&mut wanted);
    let frames = filter(decode(&source, codec), &wanted);
    assert_eq!(frames.len(), source.packets.len(), "one picture for each");
    let mut times: Vec<Option<i64>> = source.packets.iter().map(|p| p.pts).collect();
    times.sort_unstable();
    assert_eq!(frames.iter().map(|f| f.pts()).collect::<Vec<_>>(), times);
    for frame in &frames {
        assert_eq!(
            (frame.width(), frame.height(), frame.pixel_format()),
            (wanted.width, wanted.height, "yuv420p")
        );
        assert_eq!(frame.sample_aspect_ratio(), (1, 1));
        assert!(!frame.colour().full_range);
    }
    // As raw pictures: what an encoder would lose is not counted.
    let raw: Vec<u8> = frames.iter().flat_map(|f| (0..3).flat_map(|p| f.plane(p).unwrap())).collect();
    let out = folder.path().join("out.yuv");
    std::fs::write(&out, raw).unwrap();
    let size = format!("{}x{}", wanted.width, wanted.height);
    oracle::ssim_raw(
        &out,
        &size,
        &path,
        &format!("{chain},scale={}:{}:flags=bicubic:out_range=tv", wanted.width, wanted.height),
    )
    .1
}

const PICTURE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=1"];

#[test]
fn interlaced_pictures_become_progressive_one_for_one() {
    let moving = "testsrc2=size=640x360:rate=50:duration=1,tinterlace=mode=interleave_top,fieldorder=tff";
    let arguments = ["-f", "lavfi", "-i", moving, "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2"];
    let chain = "bwdif=mode=send_frame:deint=interlaced";
    let score = filtered(&arguments, VideoCodec::Mpeg2, chain, |s| s.deinterlace = true);
    assert!(score > 0.99, "{score}");
    let combed = filtered(&arguments, VideoCodec::Mpeg2, chain, |_| ());
    assert!(combed < score - 0.005, "{combed} without: the test can tell");
}

#[test]
fn pictures_are_turned_to_stand_upright() {
    let arguments = [&PICTURE[..], &["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"]].concat();
    for (rotation, chain) in [
        (Rotation::Clockwise90, "transpose=clock"),
        (Rotation::Clockwise270, "transpose=cclock"),
        (Rotation::Half, "hflip,vflip"),
    ] {
        let (width, height) = fit((640, 360), (1, 1), rotation, 320);
        let score = filtered(&arguments, VideoCodec::Mjpeg, chain, |s| {
            (s.rotation, s.width, s.height) = (rotation, width, height);
        });
        assert!(score > 0.99, "{rotation:?}: {score}");
    }
}

#[test]
fn anamorphic_and_odd_pictures_get_square_samples_and_even_sides() {
    let wide = ["-f", "lavfi", "-i", "testsrc2=size=360x288:rate=25:duration=1,setsar=16/11"];
    let arguments = [&wide[..], &["-c:v", "mpeg4", "-q:v", "2"]].concat();
    let (width, height) = fit((360, 288), (16, 11), Rotation::None, 1080);
    assert_eq!((width, height), (524, 288));
    let score = filtered(&arguments, VideoCodec::Mpeg4, "null", |s| (s.width, s.height) = (width, height));
    assert!(score > 0.99, "{score}");
    let odd = ["-f", "lavfi", "-i", "testsrc2=size=321x181:rate=25:duration=1"];
    let arguments = [&odd[..], &["-c:v", "libx264", "-pix_fmt", "yuv444p", "-crf", "5"]].concat();
    let (width, height) = fit((321, 181), (1, 1), Rotation::None, 1080);
    assert_eq!((width, height), (318, 180));
    let score = filtered(&arguments, VideoCodec::H264, "null", |s| (s.width, s.height) = (width, height));
    assert!(score > 0.99, "{score}");
}

#[test]
fn pictures_of_other_formats_become_eight_bit_and_four_to_two() {
    for format in ["yuv422p10le", "yuv444p10le"] {
        let arguments = [&PICTURE[..], &["-c:v", "libx264", "-pix_fmt", format, "-crf", "5"]].concat();
        let score = filtered(&arguments, VideoCodec::H264, "null", |_| ());
        assert!(score > 0.99, "{format}: {score}");
    }
    // Full range: black is 0.
    let arguments = [&PICTURE[..], &["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj422p"]].concat();
    let score = filtered(&arguments, VideoCodec::Mjpeg, "null", |_| ());
    assert!(score > 0.99, "full range: {score}");
}

/// Pictures with `transfer` and the same in BT.709: the SSIM of the worst frame between what the filter makes and the latter.
fn tone_mapped(transfer: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let picture = "testsrc2=size=640x360:rate=25:duration=0.4,format=yuv420p";
    let bright = format!(
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv,\
         zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=2020:t={transfer}:m=2020_ncl:r=tv:npl=203,format=yuv420p10le"
    );
    let source = ["-f", "lavfi", "-i", picture, "-vf", &bright, "-c:v", "libx265", "-preset", "superfast"];
    let says =
        format!("log-level=none:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited");
    let path = make(folder.path(), "in.mov", &[&source[..], &["-crf", "8", "-x265-params", &says]].concat());
    let plain =
        make(folder.path(), "plain.mov", &["-f", "lavfi", "-i", picture, "-c:v", "mpeg4", "-q:v", "2"]);
    let stream = oracle::stream(&path, "v:0");
    let frames = filter(decode(&stream, VideoCodec::Hevc), &scaled(320, 180, stream.time_base));
    assert!(
        frames.iter().all(|f| (f.colour().primaries, f.colour().transfer, f.colour().matrix) == (1, 1, 1))
    );
    let raw: Vec<u8> = frames.iter().flat_map(|f| (0..3).flat_map(|p| f.plane(p).unwrap())).collect();
    let out = folder.path().join("out.yuv");
    std::fs::write(&out, raw).unwrap();
    oracle::ssim_raw(&out, "320x180", &plain, "scale=320:180:flags=bicubic").1
}

#[test]
fn high_dynamic_range_looks_like_the_picture_it_was_made_of() {
    for transfer in ["smpte2084", "arib-std-b67"] {
        // Shown as they are they are pale: 0.82 on average, at full size, by ffmpeg.
        let score = tone_mapped(transfer);
        assert!(score > 0.9, "{transfer}: {score}");
    }
}

#[test]
fn a_size_that_changes_in_the_middle_is_one_stream_of_one_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut frames = Vec::new();
    let mut times = Vec::new();
    let mut time_base = None;
    for (part, size) in ["640x360", "320x240", "640x360"].iter().enumerate() {
        let picture = format!("testsrc2=size={size}:rate=25:duration=0.4");
        let name = format!("{part}.mov");
        let shift = format!("setpts=PTS+{part}*10/25/TB");
        let more = ["-vf", &shift, "-c:v", "mpeg4", "-bf", "0", "-q:v", "3"];
        let path = make(folder.path(), &name, &[&["-f", "lavfi", "-i", &picture][..], &more].concat());
        let mut stream = oracle::stream(&path, "v:0");
        // Each file begins at 0 for ffprobe: its edit list holds the shift.
        let begin = i64::try_from(part * 10).unwrap() * stream.packets[0].duration;
        for packet in &mut stream.packets {
            let at = packet.pts.unwrap();
            packet.pts = Some(if at >= begin { at } else { at + begin });
            times.push(packet.pts.unwrap());
        }
        time_base = Some(stream.time_base);
        frames.extend(decode(&stream, VideoCodec::Mpeg4));
    }
    let frames = filter(frames, &scaled(320, 180, time_base.unwrap()));
    assert_eq!(frames.iter().map(|f| f.pts().unwrap()).collect::<Vec<_>>(), times);
    assert!(frames.iter().all(|f| (f.width(), f.height()) == (320, 180)));
}

#[test]
fn the_stream_says_what_was_asked_and_the_same_request_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&PICTURE[..], &["-c:v", "mpeg4", "-bf", "0", "-q:v", "2"]].concat();
    let path = make(folder.path(), "in.mov", &arguments);
    let source = oracle::stream(&path, "v:0");
    for (profile, level, name) in [
        (H264Profile::Baseline, 30, "Constrained Baseline"),
        (H264Profile::Main, 31, "Main"),
        (H264Profile::High, 41, "High"),
    ] {
        let mut wanted = settings(320, 180, source.time_base);
        // With more threads one run in a hundred differed (see the settings).
        (wanted.profile, wanted.level, wanted.threads) = (profile, level, 1);
        let made = || {
            let frames = filter(decode(&source, VideoCodec::Mpeg4), &scaled(320, 180, source.time_base));
            encode(frames, &wanted, &BTreeSet::new())
        };
        let (configuration, samples) = made();
        let (again, same) = made();
        assert_eq!(again, configuration);
        let differs = samples.iter().zip(&same).position(|(a, b)| a != b);
        assert_eq!((differs, same.len()), (None, samples.len()), "{name}: the same again");
        let out = folder.path().join("out.h264");
        oracle::write_annex_b(&out, &configuration, &samples);
        let fields = oracle::stream_fields(&out);
        assert_eq!(fields["profile"], name);
        assert_eq!(fields["level"], level.to_string());
        assert_eq!((&*fields["width"], &*fields["height"]), ("320", "180"));
        assert_eq!(
            configuration[1..4],
            samples_sps(&configuration)[1..4],
            "the record repeats the parameter set"
        );
    }
}

fn samples_sps(configuration: &[u8]) -> &[u8] {
    &configuration[8..]
}

#[test]
fn the_rate_stays_under_its_limit_where_pictures_are_hard() {
    let folder = tempfile::tempdir().unwrap();
    let noise = "nullsrc=size=320x180:rate=25:duration=4,geq=random(1)*255:128:128";
    let arguments = ["-f", "lavfi", "-i", noise, "-c:v", "mpeg4", "-bf", "0", "-q:v", "2"];
    let path = make(folder.path(), "in.mov", &arguments);
    let source = oracle::stream(&path, "v:0");
    let mut wanted = settings(320, 180, source.time_base);
    wanted.rate = RateControl::Average(500_000);
    (wanted.bits_per_second_max, wanted.buffer_bits) = (750_000, 750_000);
    let frames = filter(decode(&source, VideoCodec::Mpeg4), &scaled(320, 180, source.time_base));
    let (_, samples) = encode(frames, &wanted, &BTreeSet::new());
    let bits: Vec<usize> = samples.iter().map(|s| s.data.len() * 8).collect();
    // Any second holds at most what flows in during it, and a full buffer.
    let worst = bits.windows(25).map(|w| w.iter().sum::<usize>()).max().unwrap();
    assert!(worst < 1_600_000, "{worst} bits in a second");
    let mean = bits.iter().sum::<usize>() / 4;
    assert!((300_000..=900_000).contains(&mean), "{mean} bits a second");
}

#[test]
fn pictures_that_do_not_fit_the_encoder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), "in.mov", &[&PICTURE[..], &["-c:v", "mpeg4", "-bf", "0"]].concat());
    let source = oracle::stream(&path, "v:0");
    let mut encoder = libav::VideoEncoder::open(&settings(320, 180, source.time_base)).unwrap();
    let mut frames = decode(&source, VideoCodec::Mpeg4).into_iter();
    let error = encoder.send(frames.next().unwrap(), true).unwrap_err();
    assert_eq!(error.to_string(), "picture 640x360 yuv420p: cannot be");
    let small = filter(frames.collect(), &scaled(320, 180, source.time_base));
    let mut backwards = small.into_iter().rev();
    encoder.send(backwards.next().unwrap(), true).unwrap();
    assert!(encoder.send(backwards.next().unwrap(), false).is_err(), "time does not run backwards");
    assert!(libav::VideoEncoder::open(&settings(321, 180, source.time_base)).is_err());
}
