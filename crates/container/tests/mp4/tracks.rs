//! What tracks are: codecs, flags, languages, names, rotation, chapters, covers.

use bytes::Bytes;
use container::{
    Movie, TrackKind,
    codec::{CodecConfig, TextFormat},
};

use crate::writer::{
    TestSample, TestTrack, UPRIGHT, audio_entry, boxed, film, film_with, full, index, joined, open,
    video_entry, words,
};

fn four() -> Vec<TestSample> {
    vec![TestSample::default(); 4]
}

fn one(track: TestTrack) -> container::Track {
    open(&film(&[track])).unwrap().tracks.remove(0)
}

fn with_entry(track: TestTrack, entry: Vec<u8>) -> container::Track {
    one(TestTrack { entries: vec![entry], ..track })
}

/// An `esds` of this object type and specific info.
fn esds(object_type: u8, specific: &[u8]) -> Vec<u8> {
    let len = |n: usize| u8::try_from(n).unwrap();
    let decoder = joined(&[
        vec![object_type, 0x15],
        vec![0; 11],
        vec![5, 0x80, 0x80, 0x80, len(specific.len())],
        specific.to_vec(),
    ]);
    let es = joined(&[vec![0, 1, 0, 4, len(decoder.len())], decoder, vec![6, 1, 2]]);
    full(b"esds", 0, 0, &joined(&[vec![3, 0x80, 0x80, 0x80, len(es.len())], es]))
}

#[test]
fn aac_takes_rate_and_channels_from_its_record() {
    let track =
        with_entry(TestTrack::audio(four()), audio_entry(b"mp4a", 1, 16, 22_050, &esds(0x40, &[0x11, 0x90])));
    assert_eq!(track.codec.rfc6381().as_deref(), Some("mp4a.40.2"));
    let audio = track.audio.unwrap();
    assert_eq!((audio.sample_rate, audio.channels), (48_000, 2));
}

#[test]
fn mp3_and_other_streams_in_mp4a_are_told_apart() {
    let codec = |object_type| {
        with_entry(TestTrack::audio(four()), audio_entry(b"mp4a", 2, 16, 44_100, &esds(object_type, &[])))
            .codec
    };
    assert_eq!(codec(0x6b), CodecConfig::Mp3(None));
    assert_eq!(codec(0xa9).name(), "mp4a.A9");
}

#[test]
fn a_quicktime_sound_entry_keeps_its_record_in_a_wave() {
    let wave = boxed(b"wave", &joined(&[boxed(b"frma", b"mp4a"), esds(0x40, &[0x12, 0x10]), vec![0; 4]]));
    let mut entry = audio_entry(b"mp4a", 2, 16, 44_100, &joined(&[words(&[1_024, 0, 0, 2]), wave]));
    entry[17] = 1; // version 1
    let track = with_entry(TestTrack::audio(four()), entry);
    assert_eq!(track.codec.name(), "aac");
    assert_eq!(track.audio.unwrap().sample_rate, 44_100);
}

#[test]
fn a_quicktime_sound_entry_of_version_2_has_a_float_rate() {
    let rate = 96_000f64.to_bits().to_be_bytes().to_vec();
    let more = joined(&[words(&[72]), rate, words(&[6, 0x7f00_0000, 24, 12, 18, 1])]);
    let mut entry = audio_entry(b"lpcm", 3, 16, 0, &more);
    entry[17] = 2;
    let samples = vec![TestSample { size: 18, duration: 1, ..TestSample::default() }; 40];
    let track = TestTrack { entries: vec![entry], per_chunk: vec![40], ..TestTrack::audio(samples) };
    let movie = open(&film(&[track])).unwrap();
    let audio = movie.tracks[0].audio.clone().unwrap();
    assert_eq!((audio.sample_rate, audio.channels, audio.bit_depth), (96_000, 6, 24));
    assert_eq!(index(&movie).tables[0].iter().map(|s| s.size).collect::<Vec<_>>(), [720]);
}

#[test]
fn a_broken_record_makes_its_track_unknown_and_not_the_file() {
    for (kind, record) in [(b"avc1", b"avcC"), (b"hvc1", b"hvcC"), (b"vp09", b"vpcC"), (b"av01", b"av1C")] {
        let broken = TestTrack {
            entries: vec![video_entry(kind, &boxed(record, &[1, 2]))],
            ..TestTrack::video(four())
        };
        let movie = open(&film(&[broken, TestTrack::audio(four())])).unwrap();
        assert_eq!(movie.tracks[0].kind, TrackKind::Video);
        assert!(matches!(&movie.tracks[0].codec, CodecConfig::Other { id, .. } if id.as_bytes() == kind));
    }
}

#[test]
fn an_encrypted_entry_says_what_it_hides() {
    let sinf = boxed(b"sinf", &boxed(b"frma", b"avc1"));
    let track = with_entry(TestTrack::video(four()), video_entry(b"encv", &sinf));
    assert_eq!(track.codec.name(), "encv.avc1");
}

#[test]
fn pixel_shape_colour_and_fields_come_from_the_entry() {
    let boxes = joined(&[
        boxed(b"pasp", &words(&[64, 45])),
        boxed(b"colr", b"nclx\0\x09\0\x10\0\x09\x80"),
        boxed(b"clap", &words(&[0; 8])),
        boxed(b"fiel", &[2, 9]),
    ]);
    let video = with_entry(TestTrack::video(four()), video_entry(b"xvid", &boxes)).video.unwrap();
    let aspect = video.pixel_aspect.unwrap();
    assert_eq!((video.width, video.height, aspect.num, aspect.den), (320, 180, 64, 45));
    let color = video.color.unwrap();
    assert_eq!((color.primaries, color.transfer, color.matrix, color.full_range), (9, 16, 9, true));
    assert!(video.interlaced);
}

#[test]
fn the_matrix_turns_clockwise() {
    const ONE: i32 = 0x1_0000;
    for ([a, b, c, d], degrees) in [
        ([ONE, 0, 0, ONE], 0),
        ([0, ONE, -ONE, 0], 90),
        ([-ONE, 0, 0, -ONE], 180),
        ([0, -ONE, ONE, 0], 270),
        ([-ONE, 0, 0, ONE], 0),
    ] {
        let mut matrix = UPRIGHT;
        [matrix[0], matrix[1], matrix[3], matrix[4]] = [a, b, c, d];
        let video = one(TestTrack { matrix, ..TestTrack::video(four()) });
        assert_eq!(video.video.unwrap().rotation, degrees);
    }
}

#[test]
fn languages_are_packed_macintosh_or_extended() {
    let language = |packed: u16, more: &[u8]| {
        one(TestTrack { language: packed, more_mdia: more.to_vec(), ..TestTrack::video(four()) }).language
    };
    let pack = |code: &[u8; 3]| code.iter().fold(0u16, |sum, c| sum << 5 | u16::from(c - 0x60));
    assert_eq!(language(pack(b"deu"), &[]).as_deref(), Some("de"));
    assert_eq!(language(pack(b"und"), &[]), None);
    assert_eq!(language(0x7fff, &[]), None);
    assert_eq!(language(11, &[]).as_deref(), Some("ja"));
    assert_eq!(language(pack(b"por"), &full(b"elng", 0, 0, b"pt-BR\0")).as_deref(), Some("pt-BR"));
}

#[test]
fn an_enabled_track_is_the_default_of_its_group() {
    let audio =
        |number, tkhd_flags| TestTrack { number, tkhd_flags, alternate_group: 1, ..TestTrack::audio(four()) };
    let movie = open(&film(&[TestTrack::video(four()), audio(2, 2), audio(3, 3), audio(4, 3)])).unwrap();
    let defaults: Vec<_> = movie.tracks.iter().map(|track| track.flags.default).collect();
    assert_eq!(defaults, [true, false, true, false]);
}

#[test]
fn names_and_roles_are_read() {
    let udta = boxed(
        b"udta",
        &joined(&[
            boxed(b"name", b"Director"),
            full(b"kind", 0, 0, b"urn:mpeg:dash:role:2011\0commentary\0"),
            boxed(b"tagc", b"public.accessibility.describes-video\0"),
            vec![0; 4],
        ]),
    );
    let track = one(TestTrack { more: udta, ..TestTrack::audio(four()) });
    assert_eq!(track.name.as_deref(), Some("Director"));
    assert!(track.flags.commentary && track.flags.visual_impaired && !track.flags.forced);
    assert_eq!(one(TestTrack::audio(four())).name, None, "a program's handler is no name");
}

#[test]
fn text_tracks_know_their_format_and_whether_they_are_forced() {
    let text = |handler: &[u8; 4], entry: Vec<u8>| {
        one(TestTrack { handler: *handler, entries: vec![entry], ..TestTrack::video(four()) })
    };
    let mut body = vec![0; 38];
    body[8] = 0x80;
    let track = text(b"sbtl", boxed(b"tx3g", &body));
    assert_eq!((track.kind, &track.codec), (TrackKind::Subtitle, &CodecConfig::Text(TextFormat::Tx3g)));
    assert!(track.flags.forced);
    let track = text(b"text", boxed(b"wvtt", &[0; 16]));
    assert_eq!(track.codec, CodecConfig::Text(TextFormat::WebVtt));
    let track = text(b"subt", boxed(b"stpp", &[0; 16]));
    assert_eq!((track.kind, track.codec.name()), (TrackKind::Subtitle, "stpp"));
}

#[test]
fn several_descriptions_are_told_apart_by_their_samples() {
    let mut samples = four();
    samples[2].description = 1;
    let entries = vec![video_entry(b"xvid", &[]), video_entry(b"divx", &[])];
    let movie = open(&film(&[TestTrack { entries, ..TestTrack::video(samples) }])).unwrap();
    let index = index(&movie);
    assert_eq!(index.tables[0].iter().map(|s| s.description).collect::<Vec<_>>(), [0, 0, 1, 0]);
    assert_eq!(index.descriptions[0].iter().map(CodecConfig::name).collect::<Vec<_>>(), ["xvid", "divx"]);
}

fn opened_with(more: &[u8]) -> Movie {
    open(&film_with(&[TestTrack::video(four())], more).0).unwrap()
}

fn ilst(items: &[Vec<u8>]) -> Vec<u8> {
    let hdlr = full(b"hdlr", 0, 0, b"\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0");
    boxed(b"udta", &full(b"meta", 0, 0, &joined(&[hdlr, boxed(b"ilst", &items.concat())])))
}

#[test]
fn title_and_cover_come_from_the_item_list() {
    let data = |kind: u32, bytes: &[u8]| boxed(b"data", &joined(&[words(&[kind, 0]), bytes.to_vec()]));
    let udta = ilst(&[
        boxed(b"\xa9nam", &data(1, "Größe".as_bytes())),
        boxed(b"covr", &joined(&[data(13, b"\xff\xd8jpeg"), data(14, b"\x89PNG")])),
    ]);
    let (file, _) = film_with(&[TestTrack::video(four())], &udta);
    let movie = open(&file).unwrap();
    assert_eq!(movie.title.as_deref(), Some("Größe"));
    let cover = &movie.attachments[0];
    let place = usize::try_from(cover.bytes.start()).unwrap()..usize::try_from(cover.bytes.end()).unwrap();
    assert_eq!((&file[place], cover.media_type.as_str()), (&b"\xff\xd8jpeg"[..], "image/jpeg"));
    assert_eq!(movie.attachments.len(), 2);
}

#[test]
fn quicktime_titles_are_read_too() {
    let movie = opened_with(&boxed(b"udta", &boxed(b"\xa9nam", b"\0\x04\0\0Film")));
    assert_eq!(movie.title.as_deref(), Some("Film"));
}

#[test]
fn neros_chapters_are_read() {
    let mut body = vec![0, 0, 0, 0, 2];
    for (start, name) in [(0u64, "One"), (15_000_000, "Two")] {
        body.extend(start.to_be_bytes());
        body.push(u8::try_from(name.len()).unwrap());
        body.extend(name.as_bytes());
    }
    let movie = opened_with(&boxed(b"udta", &full(b"chpl", 1, 0, &body)));
    let chapters: Vec<_> = movie.chapters.iter().map(|c| (c.start_ns, c.title.as_str())).collect();
    assert_eq!(chapters, [(0, "One"), (1_500_000_000, "Two")]);
}

#[test]
fn a_chapter_track_gives_chapters_and_is_not_played() {
    let samples = vec![TestSample { size: 7, duration: 2_000, ..TestSample::default() }; 2];
    let text = TestTrack {
        number: 9,
        handler: *b"text",
        entries: vec![boxed(b"text", &[0; 50])],
        ..TestTrack::video(samples)
    };
    let video = TestTrack { more: boxed(b"tref", &boxed(b"chap", &words(&[9]))), ..TestTrack::video(four()) };
    let (file, places) = film_with(&[video, text.clone()], &[]);
    let mut file = file.to_vec();
    for (offset, name) in text.offsets(places[1]).into_iter().zip([b"\0\x05First", b"\0\x05Other"]) {
        let at = usize::try_from(offset).unwrap();
        file[at..at + 7].copy_from_slice(name);
    }
    let movie = open(&Bytes::from(file)).unwrap();
    let chapters: Vec<_> = movie.chapters.iter().map(|c| (c.start_ns, c.end_ns, c.title.as_str())).collect();
    assert_eq!(chapters, [(0, Some(2_000_000_000), "First"), (2_000_000_000, Some(4_000_000_000), "Other")]);
    assert_eq!(movie.tracks[1].kind, TrackKind::Other);
}

#[test]
fn a_rate_rounded_to_milliseconds_is_the_rate_meant() {
    let samples: Vec<_> = (0..48u32)
        .map(|n| TestSample { duration: (n + 1) * 1_000 / 24 - n * 1_000 / 24, ..TestSample::default() })
        .collect();
    let rate = one(TestTrack::video(samples)).video.unwrap().frame_rate.unwrap();
    assert_eq!((rate.num, rate.den), (24, 1));
    let uneven = [40, 60, 20, 90, 41, 11].map(|duration| TestSample { duration, ..TestSample::default() });
    assert_eq!(one(TestTrack::video(uneven.to_vec())).video.unwrap().frame_rate, None);
}
