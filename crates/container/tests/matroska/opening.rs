//! Where the parts of a file may stand, and what is read of them.

use bytes::Bytes;
use container::{MovieOpener, Rational, TrackKind};

use crate::{
    ebml::{self, Part, id},
    support::{index, open, open_counted, run},
};

fn plain() -> (Bytes, Vec<u64>) {
    let (file, places) = ebml::film(&ebml::plain_parts(), true);
    (file.into(), places)
}

#[test]
fn a_plain_file_gives_tracks_and_cues() {
    let (file, places) = plain();
    let movie = open(file.clone()).unwrap();
    assert_eq!(movie.title.as_deref(), Some("Small"));
    assert_eq!(movie.stated_duration_ns, Some(10_000_000_000));
    assert_eq!(movie.tracks.iter().map(|t| t.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(movie.tracks[0].kind, TrackKind::Video);
    assert_eq!(movie.tracks[1].audio.as_ref().unwrap().sample_rate, 48_000);
    assert_eq!(movie.tracks[1].default_duration_ns, Some(32_000_000));
    let index = index(&movie);
    assert_eq!(index.first_cluster, Some(places[3]));
    assert_eq!(index.clusters_end, places[7]);
    let cues: Vec<_> = index.cues.iter().map(|cue| (cue.track, cue.time, cue.cluster)).collect();
    assert_eq!(cues, [(0, 0, places[3]), (0, 1000, places[4]), (0, 2000, places[5]), (0, 3000, places[6])]);
}

#[test]
fn cues_are_found_wherever_they_and_the_seek_head_stand() {
    let plain = ebml::plain_parts();
    let (info, tracks, cluster) = (plain[1].clone(), plain[2].clone(), plain[3].clone());
    let cues = |part| Part::Cues(vec![(0, 1, part)]);
    let seek = Part::SeekHead;
    let void = Part::Bytes(ebml::element(id::VOID, [0; 300]));
    let crc = Part::Bytes(ebml::element(id::CRC, [1, 2, 3, 4]));
    let layouts = [
        (
            "cues before the clusters, no SeekHead",
            vec![info.clone(), tracks.clone(), cues(3), cluster.clone()],
        ),
        (
            "cues before the clusters, with a SeekHead",
            vec![
                seek(vec![(id::CUES, 3)]),
                info.clone(),
                tracks.clone(),
                cues(5),
                void.clone(),
                cluster.clone(),
            ],
        ),
        (
            "SeekHead that names a SeekHead at the end",
            vec![
                seek(vec![(id::SEEK_HEAD, 5)]),
                info.clone(),
                tracks.clone(),
                cluster.clone(),
                cues(3),
                seek(vec![(id::CUES, 4), (id::SEEK_HEAD, 0), (id::SEEK_HEAD, 5)]),
            ],
        ),
        (
            "no SeekHead, cues last",
            vec![crc, void, info.clone(), tracks.clone(), cluster.clone(), cluster.clone(), cues(4)],
        ),
        (
            "tracks and information after the clusters",
            vec![
                seek(vec![(id::CUES, 2), (id::TRACKS, 3), (id::INFO, 4)]),
                cluster.clone(),
                cues(1),
                tracks.clone(),
                info.clone(),
            ],
        ),
        (
            "all of it twice",
            vec![
                seek(vec![(id::CUES, 6), (id::CUES, 7)]),
                info.clone(),
                info,
                tracks.clone(),
                tracks,
                cluster,
                cues(5),
                cues(5),
            ],
        ),
    ];
    for (name, parts) in layouts {
        for known in [true, false] {
            let (file, places) = ebml::film(&parts, known);
            let movie = open(file).unwrap_or_else(|error| panic!("{name}: {error}"));
            let cluster = parts.iter().position(|part| match part {
                Part::Bytes(bytes) => bytes.starts_with(&id::CLUSTER.to_be_bytes()),
                _ => false,
            });
            let cluster = places[cluster.unwrap()];
            assert_eq!(movie.tracks.len(), 2, "{name}");
            assert_eq!(index(&movie).first_cluster, Some(cluster), "{name}");
            let cues: Vec<_> = index(&movie).cues.iter().map(|cue| cue.track).collect();
            // A Segment that was never finished is not searched for an index that nothing names.
            let unsearched = !known && name == "no SeekHead, cues last";
            assert_eq!(cues.is_empty(), unsearched, "{name}, size of the Segment known: {known}");
        }
    }
}

#[test]
fn files_without_cues_open() {
    let mut parts = ebml::plain_parts();
    parts.truncate(7);
    for known in [true, false] {
        let (file, places) = ebml::film(&parts, known);
        let movie = open(file).unwrap();
        assert_eq!(index(&movie).cues, []);
        assert_eq!(index(&movie).first_cluster, Some(places[3]));
        assert_eq!(index(&movie).clusters_end, movie.len);
    }
}

#[test]
fn a_live_file_of_unknown_sizes_opens() {
    let mut parts = ebml::plain_parts();
    for part in &mut parts[3..7] {
        let Part::Bytes(bytes) = part else { panic!("a cluster") };
        let head = 4 + bytes[4].leading_zeros() as usize + 1;
        *bytes = ebml::unknown(id::CLUSTER, &bytes[head..]);
    }
    parts.remove(0);
    parts.pop();
    let (file, places) = ebml::film(&parts, false);
    let movie = open(file).unwrap();
    assert_eq!(index(&movie).first_cluster, Some(places[2]));
    assert_eq!(index(&movie).cues, []);
}

#[test]
fn cues_past_the_end_are_absent_cues() {
    let (file, places) = plain();
    let movie = open(file.slice(..usize::try_from(places[7]).unwrap() + 20)).unwrap();
    assert_eq!(index(&movie).cues, []);
    assert_eq!(movie.tracks.len(), 2);
    let movie = open(file.slice(..usize::try_from(places[5]).unwrap())).unwrap();
    assert_eq!(index(&movie).cues, []);
    assert!(index(&movie).segment.end() <= movie.len);
}

#[test]
fn a_seek_head_that_lies_costs_nothing_but_what_it_names() {
    let mut parts = ebml::plain_parts();
    // Names a cluster as Cues, Cues as Tracks, and itself.
    parts[0] = Part::SeekHead(vec![(id::CUES, 4), (id::TRACKS, 7), (id::SEEK_HEAD, 0), (id::CHAPTERS, 99)]);
    let (file, places) = ebml::film(&parts, true);
    let movie = open(file).unwrap();
    assert_eq!(movie.tracks.len(), 2);
    assert_eq!(index(&movie).first_cluster, Some(places[3]));
}

#[test]
fn broken_chapters_or_cues_cost_only_themselves() {
    let mut parts = ebml::plain_parts();
    parts.insert(3, Part::Bytes(ebml::element(id::CHAPTERS, [0x45, 0xb9, 0x8f, 0xb6])));
    parts[8] = Part::Bytes(ebml::element(id::CUES, [0xbb, 0x8f, 0xb3, 0x8f, 1]));
    parts[0] = Part::SeekHead(vec![(id::CUES, 8), (id::CHAPTERS, 3)]);
    let movie = open(ebml::film(&parts, true).0).unwrap();
    assert_eq!((movie.tracks.len(), movie.chapters.len(), index(&movie).cues.len()), (2, 0, 0));
}

#[test]
fn opening_reads_the_head_and_the_cues_and_no_media() {
    let mut parts = ebml::plain_parts();
    for part in &mut parts[3..7] {
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        blocks.resize(40, ebml::simple_block(1, 0, 0x80, &[7; 50_000]));
        *part = Part::Bytes(ebml::cluster(0, &blocks));
    }
    let file = Bytes::from(ebml::film(&parts, true).0);
    let (movie, reads) = open_counted(&file).unwrap();
    assert_eq!(index(&movie).cues.len(), 4);
    assert!(file.len() > 8_000_000 && reads.bytes <= 48 << 10 && reads.count <= 4, "{reads:?}");
}

#[test]
fn attachments_are_named_and_not_read() {
    let font = |name: &str, len: usize| {
        let data = ebml::element(id::FILE_DATA, vec![9; len]);
        let head = [ebml::text(id::FILE_NAME, name), ebml::text(id::FILE_MEDIA_TYPE, "font/ttf")];
        ebml::master(id::ATTACHED_FILE, &[head.concat(), data])
    };
    for last in [false, true] {
        let fonts = [font("a.ttf", 700_000), font("b.ttf", 300_000), font("empty.ttf", 0)];
        let fonts = Part::Bytes(ebml::master(id::ATTACHMENTS, &fonts));
        let mut parts = ebml::plain_parts();
        let place = if last { 8 } else { 3 };
        parts.insert(place, fonts);
        let cues = if last { 7 } else { 8 };
        parts[0] = Part::SeekHead(vec![(id::CUES, cues), (id::ATTACHMENTS, place)]);
        let file = Bytes::from(ebml::film(&parts, true).0);
        let (movie, reads) = open_counted(&file).unwrap();
        let names: Vec<_> = movie.attachments.iter().map(|a| (a.name.as_str(), a.bytes.len())).collect();
        assert_eq!(names, [("a.ttf", 700_000), ("b.ttf", 300_000), ("empty.ttf", 0)]);
        for attachment in &movie.attachments {
            let place = usize::try_from(attachment.bytes.start()).unwrap();
            let bytes = &file[place..place + usize::try_from(attachment.bytes.len()).unwrap()];
            assert!(bytes.iter().all(|byte| *byte == 9), "{}", attachment.name);
        }
        assert!(reads.bytes < 34 << 10, "{reads:?}");
        assert_eq!(
            (movie.tracks.len(), index(&movie).cues.len()),
            (2, if last { 4 } else { index(&movie).cues.len() })
        );
        assert!(index(&movie).first_cluster.is_some());
    }
}

#[test]
fn chapters_come_in_time_order_with_their_titles() {
    let atom = |start: u64, title: &str| {
        let display = ebml::master(id::CHAPTER_DISPLAY, &[ebml::text(id::CHAP_STRING, title)]);
        ebml::master(id::CHAPTER_ATOM, &[ebml::uint(id::CHAPTER_TIME_START, start), display])
    };
    let edition = ebml::master(id::EDITION_ENTRY, &[atom(5_000_000_000, "Second"), atom(0, "First")]);
    let mut parts = ebml::plain_parts();
    parts.insert(3, Part::Bytes(ebml::master(id::CHAPTERS, &[edition])));
    let movie = open(ebml::film(&parts, true).0).unwrap();
    let chapters: Vec<_> = movie.chapters.iter().map(|c| (c.start_ns, c.title.as_str())).collect();
    assert_eq!(chapters, [(0, "First"), (5_000_000_000, "Second")]);
}

#[test]
fn hundreds_of_fonts_are_passed_over_in_small_reads() {
    let fonts: Vec<_> = (0..300)
        .map(|n| {
            let name = ebml::text(id::FILE_NAME, &format!("font {n}.ttf"));
            ebml::master(id::ATTACHED_FILE, &[name, ebml::element(id::FILE_DATA, vec![0; 20_000])])
        })
        .collect();
    let mut parts = ebml::plain_parts();
    parts.insert(3, Part::Bytes(ebml::master(id::ATTACHMENTS, &fonts)));
    let file = Bytes::from(ebml::film(&parts, true).0);
    let (movie, reads) = open_counted(&file).unwrap();
    assert_eq!(movie.attachments.len(), 300);
    assert!(reads.bytes < 200 << 10, "{reads:?}");
}

#[test]
fn the_first_look_is_the_first_read() {
    let (file, _) = plain();
    let mut opener = MovieOpener::new(file.len() as u64);
    let reads = run(&mut opener, &file, 10, |_| true).unwrap();
    assert_eq!(reads.count, 1);
}

fn open_tracks(entries: &[Vec<u8>]) -> container::Movie {
    let parts = [Part::Bytes(ebml::info()), Part::Bytes(ebml::master(id::TRACKS, entries))];
    open(ebml::film(&parts, true).0).unwrap()
}

#[test]
fn languages_names_and_flags_are_read() {
    let movie = open_tracks(&[
        ebml::track(1, 2, "A_AC3", &[ebml::text(id::LANGUAGE, "ger"), ebml::text(id::NAME, "Stereo")]),
        ebml::track(
            2,
            2,
            "A_AC3",
            &[
                ebml::text(id::LANGUAGE, "eng"),
                ebml::text(id::LANGUAGE_BCP47, "pt-BR"),
                ebml::uint(id::FLAG_DEFAULT, 0),
            ],
        ),
        ebml::track(
            3,
            17,
            "S_TEXT/UTF8",
            &[ebml::uint(id::FLAG_FORCED, 1), ebml::uint(id::FLAG_COMMENTARY, 1)],
        ),
        ebml::track(4, 17, "S_TEXT/UTF8", &[ebml::text(id::LANGUAGE, "und")]),
    ]);
    let languages: Vec<_> = movie.tracks.iter().map(|t| t.language.as_deref()).collect();
    // English is what the specification says of a track that says nothing.
    assert_eq!(languages, [Some("de"), Some("pt-BR"), Some("en"), None]);
    assert_eq!(movie.tracks[0].name.as_deref(), Some("Stereo"));
    let flags = |n: usize| movie.tracks[n].flags;
    assert!(flags(0).default && !flags(1).default && !flags(0).forced);
    assert!(flags(2).forced && flags(2).commentary && flags(2).default);
}

#[test]
fn pictures_are_cropped_shaped_and_turned() {
    let video = ebml::master(
        id::VIDEO,
        &[
            ebml::uint(id::PIXEL_WIDTH, 720),
            ebml::uint(id::PIXEL_HEIGHT, 592),
            ebml::uint(id::CROP_TOP, 10),
            ebml::uint(id::CROP_BOTTOM, 6),
            ebml::uint(id::DISPLAY_WIDTH, 16),
            ebml::uint(id::DISPLAY_HEIGHT, 9),
            ebml::master(id::PROJECTION, &[ebml::float(id::PROJECTION_ROLL, -90.0)]),
        ],
    );
    let movie = open_tracks(&[ebml::track(1, 1, "V_VP9", &[video])]);
    let video = movie.tracks[0].video.as_ref().unwrap();
    assert_eq!((video.width, video.height, video.rotation), (720, 576, 90));
    assert_eq!(video.pixel_aspect, Some(Rational { num: 64, den: 45 }));
}

#[test]
fn what_encodings_did_to_frames_is_told() {
    let encoding = |algorithm: u64, settings: &[u8]| {
        let compression = ebml::master(
            id::CONTENT_COMPRESSION,
            &[
                ebml::uint(id::CONTENT_COMP_ALGO, algorithm),
                ebml::element(id::CONTENT_COMP_SETTINGS, settings),
            ],
        );
        ebml::master(id::CONTENT_ENCODINGS, &[ebml::master(id::CONTENT_ENCODING, &[compression])])
    };
    let movie = open_tracks(&[
        ebml::track(1, 1, "V_VP9", &[encoding(3, &[0, 0, 1])]),
        ebml::track(2, 17, "S_TEXT/UTF8", &[encoding(0, &[])]),
        ebml::track(3, 2, "A_AC3", &[encoding(2, &[])]),
    ]);
    assert_eq!(&movie.tracks[0].strip_prefix[..], [0, 0, 1]);
    assert!(!movie.tracks[0].deflated && movie.tracks[1].deflated);
    assert!(movie.tracks[2].codec.name().contains("A_AC3"), "{:?}", movie.tracks[2].codec);
}

#[test]
fn one_broken_codec_record_does_not_take_the_file_down() {
    let movie = open_tracks(&[
        ebml::track(1, 1, "V_MPEG4/ISO/AVC", &[ebml::element(id::CODEC_PRIVATE, [1, 2, 3])]),
        ebml::track(2, 1, "V_MPEGH/ISO/HEVC", &[]),
        ebml::track(3, 2, "A_AC3", &[]),
    ]);
    assert_eq!(movie.tracks.len(), 3);
    assert!(movie.tracks[0].codec.name().contains("V_MPEG4/ISO/AVC"), "{:?}", movie.tracks[0].codec);
    assert!(movie.tracks[1].codec.name().contains("V_MPEGH/ISO/HEVC"), "{:?}", movie.tracks[1].codec);
}

#[test]
fn a_segment_far_behind_the_header_is_found_once() {
    let void = ebml::element(id::VOID, [0; 20_000]);
    let segment = ebml::element(id::SEGMENT, ebml::tracks());
    let head = ebml::ebml_header("matroska");
    let movie = open([&head[..], &void, &void, &segment].concat()).unwrap();
    assert_eq!(movie.tracks.len(), 2);
    assert!(open([&head[..], &void].concat()).is_err());
    assert!(open([&head[..], &void.repeat(9), &segment].concat()).is_err());
}

#[test]
fn other_document_types_are_refused_by_name() {
    let body = ebml::element(id::SEGMENT, ebml::info());
    let error = open([ebml::ebml_header("mattress"), body].concat()).unwrap_err();
    assert!(error.to_string().contains("mattress"), "{error}");
    let movie =
        open([ebml::ebml_header("webm"), ebml::element(id::SEGMENT, ebml::tracks())].concat()).unwrap();
    assert_eq!(movie.tracks.len(), 2);
}
