//! Files cut short anywhere, numbers without measure, nesting without end, and bytes turned at random: an error or what
//! is there, never a panic, a loop, or memory by the file's word.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    Movie,
    matroska::{self, Payload, WalkOptions},
};
use proptest::prelude::*;

use crate::{
    ebml::{self, Part, id},
    support::{everything, open, open_counted, walk_counted},
};

fn rich_file() -> Bytes {
    let lace = ebml::simple_block(2, 0, 0x86, &ebml::ebml_lace(&[vec![1; 30], vec![2; 40], vec![3; 20]]));
    let block = ebml::element(id::BLOCK, ebml::block_payload(1, 0, 0, b"grouped"));
    let group = ebml::master(id::BLOCK_GROUP, &[block, ebml::uint(id::BLOCK_DURATION, 40)]);
    let mut parts = ebml::plain_parts();
    parts[4] = Part::Bytes(ebml::cluster(1000, &[lace, group]));
    let font = [ebml::text(id::FILE_NAME, "a.ttf"), ebml::element(id::FILE_DATA, [1; 50])];
    parts.push(Part::Bytes(ebml::master(id::ATTACHMENTS, &[ebml::master(id::ATTACHED_FILE, &font)])));
    parts[0] = Part::SeekHead(vec![(id::INFO, 1), (id::TRACKS, 2), (id::CUES, 7), (id::ATTACHMENTS, 8)]);
    ebml::film(&parts, true).0.into()
}

/// Opens and walks; only the budgets of the drivers can fail.
fn survive(file: &Bytes) {
    let Ok(movie) = open(file.clone()) else { return };
    assert!(movie.len == file.len() as u64);
    for (payload, window) in [(Payload::Whole, 1 << 20), (Payload::None, 64), (Payload::Prefix(8), 100)] {
        let from = |start: u64| WalkOptions {
            range: ByteRange::new(start, movie.len),
            ..everything(&movie, payload, window)
        };
        for start in [0, everything(&movie, payload, window).range.start()] {
            if let Ok((blocks, _)) = walk_counted(&movie, file, from(start)) {
                for block in blocks {
                    assert!(block.sample.bytes.end() <= movie.len, "{block:?} of {} bytes", movie.len);
                    assert!(block.track < movie.tracks.len());
                }
            }
        }
    }
}

#[test]
fn a_file_cut_short_at_any_byte_gives_what_is_there() {
    let file = rich_file();
    let whole = blocks_of(&open(file.clone()).unwrap(), &file);
    let mut opened = 0;
    for len in 0..file.len() {
        let cut = file.slice(..len);
        survive(&cut);
        if let Ok(movie) = open(cut.clone()) {
            opened += 1;
            let here = blocks_of(&movie, &cut);
            assert!(whole.starts_with(&here), "cut at {len}");
            let complete = whole.iter().filter(|end| **end <= len as u64).count();
            // Only the frames of the block that is cut may be missing.
            assert!(complete - here.len() <= 3, "cut at {len}: {} of {complete} blocks", here.len());
        }
    }
    assert!(opened > file.len() / 3, "only {opened} of {} cuts opened", file.len());
}

/// The ends of all frames.
fn blocks_of(movie: &Movie, file: &Bytes) -> Vec<u64> {
    let blocks = walk_counted(movie, file, everything(movie, Payload::Whole, 1 << 20)).unwrap().0;
    blocks.iter().map(|b| b.sample.bytes.end()).collect()
}

#[test]
fn sizes_beyond_any_file_are_no_reason_to_allocate() {
    for size in [vec![0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], vec![0x08, 0xff, 0xff, 0xff, 0xf0]] {
        for id in
            [id::SEEK_HEAD, id::INFO, id::TRACKS, id::CUES, id::CHAPTERS, id::ATTACHMENTS, id::TAGS, id::VOID]
        {
            let mut parts = ebml::plain_parts();
            parts.insert(3, Part::Bytes(ebml::raw(id, &size, &[])));
            survive(&ebml::film(&parts, true).0.into());
        }
        for id in [id::SIMPLE_BLOCK, id::BLOCK_GROUP, id::TIMESTAMP, id::VOID] {
            let mut parts = ebml::plain_parts();
            parts[4] = Part::Bytes(ebml::cluster(0, &[ebml::raw(id, &size, b"....")]));
            survive(&ebml::film(&parts, true).0.into());
        }
    }
}

#[test]
fn nesting_without_end_is_refused_or_passed_over() {
    for id in [id::TRACK_ENTRY, id::CHAPTER_ATOM, id::BLOCK_GROUP, id::SEEK, id::CUE_POINT, id::VIDEO] {
        let mut nested = Vec::new();
        for _ in 0..2_000 {
            nested = ebml::element(id, nested);
        }
        let edition = ebml::element(id::EDITION_ENTRY, &nested);
        for (place, parent, inner) in [
            (3, id::CHAPTERS, &edition),
            (3, id::TRACKS, &nested),
            (3, id::SEEK_HEAD, &nested),
            (3, id::CUES, &nested),
            (4, id::CLUSTER, &nested),
        ] {
            let mut parts = ebml::plain_parts();
            parts.insert(place, Part::Bytes(ebml::element(parent, inner)));
            survive(&ebml::film(&parts, true).0.into());
        }
    }
}

#[test]
fn a_seek_head_of_thousands_is_a_bounded_number_of_reads() {
    let mut parts = ebml::plain_parts();
    parts[0] = Part::SeekHead((0..5_000).map(|n| (id::CUES, n % 8)).collect());
    let file = Bytes::from(ebml::film(&parts, true).0);
    let (movie, reads) = open_counted(&file).unwrap();
    assert_eq!(movie.tracks.len(), 2);
    assert!(reads.count < 200, "{reads:?}");
}

#[test]
fn garbage_full_of_cluster_ids_ends() {
    let mut parts = ebml::plain_parts();
    let ids = [0x1f, 0x43, 0xb6, 0x75].repeat(20_000);
    parts[4] = Part::Bytes(ebml::element(id::CLUSTER, ids));
    survive(&ebml::film(&parts, true).0.into());
    let ids = [0x1f, 0x43, 0xb6, 0x75, 0x81, 0].repeat(10_000);
    parts[4] = Part::Bytes(ids);
    survive(&ebml::film(&parts, false).0.into());
}

#[test]
fn times_at_the_end_of_time_saturate() {
    let mut parts = ebml::plain_parts();
    parts[4] =
        Part::Bytes(ebml::cluster(u64::MAX, &[ebml::simple_block(2, i16::MAX, 0x84, &[3, 1, 2, 3, 4])]));
    parts[1] = Part::Bytes(ebml::master(
        id::INFO,
        &[ebml::uint(id::TIMESTAMP_SCALE, u64::MAX), ebml::float(id::DURATION, f64::INFINITY)],
    ));
    survive(&ebml::film(&parts, true).0.into());
    parts[1] = Part::Bytes(ebml::master(id::INFO, &[ebml::uint(id::TIMESTAMP_SCALE, 0)]));
    survive(&ebml::film(&parts, true).0.into());
}

#[test]
fn packed_subtitles_do_not_unpack_without_end() {
    // 16 MiB of zeros: stored blocks cannot do this, so a run of matches made by hand would; the limit is the test.
    let packed = matroska_bomb();
    let error = matroska::inflate(&packed, 77).unwrap_err();
    assert!(error.to_string().contains("byte 77"), "{error}");
    assert!(matroska::inflate(b"no zlib", 5).is_err());
    // "hi" as a stored block.
    let hi = [0x78, 0x01, 0x01, 2, 0, 0xfd, 0xff, b'h', b'i', 0x01, 0x3b, 0x00, 0xd2];
    assert_eq!(&matroska::inflate(&hi, 0).unwrap()[..], b"hi");
}

/// A zlib stream of zeros beyond the limit, in stored blocks.
fn matroska_bomb() -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    for _ in 0..=container::limits::INFLATED_BYTES_MAX / 0xffff {
        out.extend([0, 0xff, 0xff, 0, 0]);
        out.extend(std::iter::repeat_n(0, 0xffff));
    }
    out
}

#[test]
fn the_fuzzing_entry_takes_anything() {
    matroska::fuzz_open_and_walk(&rich_file());
    matroska::fuzz_open_and_walk(&Bytes::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn bytes_turned_at_random_are_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let mut file = rich_file().to_vec();
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        if shorten {
            file.truncate(cut.index(file.len()));
        }
        survive(&file.into());
    }

    #[test]
    fn garbage_behind_a_header_is_survived(garbage in prop::collection::vec(any::<u8>(), 0..400)) {
        let file = [ebml::ebml_header("matroska"), ebml::unknown(id::SEGMENT, [ebml::tracks(), garbage].concat())];
        survive(&file.concat().into());
    }
}
