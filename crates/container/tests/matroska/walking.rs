//! Blocks of every shape, walked with every window.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    Movie,
    matroska::{Block, Payload, WalkOptions},
};
use proptest::prelude::*;

use crate::{
    ebml::{self, Part, id},
    support::{everything, index, open, seen, walk, walk_counted},
};

/// A file of these clusters.
fn file_of(clusters: &[Vec<u8>]) -> Bytes {
    let mut parts = vec![Part::Bytes(ebml::info()), Part::Bytes(ebml::tracks())];
    parts.extend(clusters.iter().cloned().map(Part::Bytes));
    ebml::film(&parts, true).0.into()
}

/// What stays the same however a file is walked.
fn places(blocks: &[Block]) -> Vec<(usize, i64, bool, ByteRange, u64, u64)> {
    let facts = |b: &Block| (b.track, b.sample.pts, b.sample.sync, b.sample.bytes, b.element, b.cluster);
    blocks.iter().map(facts).collect()
}

fn walk_with(movie: &Movie, file: &Bytes, payload: Payload, window: u64) -> Vec<Block> {
    walk_counted(movie, file, everything(movie, payload, window)).unwrap().0
}

/// Walks with every kind of payload and many windows; all must say the same.
fn walk_every_way(file: &Bytes) -> Vec<Block> {
    let movie = open(file.clone()).unwrap();
    let whole = walk_with(&movie, file, Payload::Whole, 8 << 20);
    for window in [1, 16, 64, 100, 257, 4096] {
        for payload in [Payload::None, Payload::Prefix(5), Payload::Whole] {
            let blocks = walk_with(&movie, file, payload, window);
            assert_eq!(places(&blocks), places(&whole), "{payload:?}, window {window}");
            for (block, wanted) in blocks.iter().zip(&whole) {
                let wanted = wanted.data.as_deref().unwrap();
                match payload {
                    Payload::None => assert_eq!(block.data, None),
                    Payload::Prefix(n) => {
                        let n = wanted.len().min(n as usize);
                        let front = block.data.as_deref().and_then(|data| data.get(..n));
                        assert_eq!(front, Some(&wanted[..n]), "window {window}");
                    }
                    Payload::Whole => assert_eq!(block.data.as_deref(), Some(wanted), "window {window}"),
                }
            }
        }
    }
    for block in &whole {
        let at = |n: u64| usize::try_from(n).unwrap();
        let (start, end) = (at(block.sample.bytes.start()), at(block.sample.bytes.end()));
        assert_eq!(block.data.as_deref(), Some(&file[start..end]));
    }
    whole
}

#[test]
fn blocks_come_in_file_order_with_cluster_times_added() {
    let file = file_of(&ebml::clusters());
    let blocks = walk_every_way(&file);
    let second: Vec<_> = seen(&blocks).into_iter().skip(7).take(7).collect();
    let sound = |pts| (1, pts, true, "sound 1".to_owned());
    assert_eq!(
        second,
        [
            (0, 1000, true, "key 1".to_owned()),
            sound(1000),
            sound(1032),
            sound(1064),
            sound(1096),
            (0, 1600, false, "picture 1".to_owned()),
            (0, 1300, false, "between 1".to_owned()),
        ]
    );
    assert_eq!(blocks.len(), 28);
}

#[test]
fn negative_times_stay_negative() {
    let file = file_of(&[ebml::cluster(5, &[ebml::simple_block(1, -12, 0x80, b"early")])]);
    assert_eq!(seen(&walk(&file)), [(0, -7, true, "early".to_owned())]);
}

#[test]
fn only_the_tracks_asked_for_are_given() {
    let file = file_of(&ebml::clusters());
    let movie = open(file.clone()).unwrap();
    let options = WalkOptions { tracks: vec![1], ..everything(&movie, Payload::None, 64) };
    let blocks = walk_counted(&movie, &file, options).unwrap().0;
    assert_eq!(blocks.iter().map(|b| b.track).collect::<Vec<_>>(), [1; 16]);
}

#[test]
fn blocks_of_tracks_that_are_not_there_are_passed_over() {
    let blocks = [ebml::simple_block(9, 0, 0x80, b"whose"), ebml::simple_block(1, 0, 0x80, b"ours")];
    assert_eq!(
        seen(&walk_every_way(&file_of(&[ebml::cluster(0, &blocks)]))),
        [(0, 0, true, "ours".to_owned())]
    );
}

#[test]
fn block_groups_say_durations_and_references() {
    let block = |body: &[u8]| ebml::element(id::BLOCK, ebml::block_payload(1, 10, 0, body));
    let key = ebml::master(id::BLOCK_GROUP, &[block(b"key"), ebml::uint(id::BLOCK_DURATION, 40)]);
    let other = ebml::master(
        id::BLOCK_GROUP,
        &[
            ebml::uint(id::BLOCK_DURATION, 41),
            ebml::uint(id::REFERENCE_BLOCK, 3),
            ebml::uint(id::DISCARD_PADDING, 5),
            ebml::element(id::BLOCK_ADDITIONS, [1; 40]),
            block(b"other"),
        ],
    );
    let empty = ebml::master(id::BLOCK_GROUP, &[ebml::uint(id::BLOCK_DURATION, 1)]);
    let blocks = walk_every_way(&file_of(&[ebml::cluster(100, &[key, empty, other])]));
    assert_eq!(seen(&blocks), [(0, 110, true, "key".to_owned()), (0, 110, false, "other".to_owned())]);
    assert_eq!(blocks.iter().map(|b| b.sample.duration).collect::<Vec<_>>(), [40, 41]);
}

#[test]
fn what_is_not_a_block_is_passed_over() {
    let children = [
        ebml::element(id::VOID, [0; 20]),
        ebml::element(id::ENCRYPTED_BLOCK, [1; 30]),
        ebml::element(id::CRC, [0; 4]),
        ebml::element(0x4d80, [0x1f, 0x43, 0xb6, 0x75, 0x80]),
        ebml::simple_block(1, 0, 0x80, b"frame"),
    ];
    assert_eq!(walk_every_way(&file_of(&[ebml::cluster(0, &children)])).len(), 1);
}

#[test]
fn clusters_of_unknown_size_end_where_the_next_begins() {
    let unknown: Vec<_> = ebml::clusters()
        .iter()
        .map(|cluster| ebml::unknown(id::CLUSTER, &cluster[4 + cluster[4].leading_zeros() as usize + 1..]))
        .collect();
    let mut parts = vec![Part::Bytes(ebml::info()), Part::Bytes(ebml::tracks())];
    parts.extend(unknown.into_iter().map(Part::Bytes));
    parts.push(Part::Cues(vec![(0, 1, 2)]));
    parts.push(Part::Bytes(ebml::element(id::TAGS, [])));
    for known in [true, false] {
        let file = Bytes::from(ebml::film(&parts, known).0);
        let texts = |file: &Bytes| seen(&walk_every_way(file));
        assert_eq!(texts(&file), texts(&file_of(&ebml::clusters())), "size of the Segment known: {known}");
    }
}

#[test]
fn a_range_gives_the_blocks_that_begin_in_it() {
    let file = file_of(&ebml::clusters());
    let movie = open(file.clone()).unwrap();
    let all = walk(&file);
    let start = index(&movie).first_cluster.unwrap();
    for end in start..movie.len {
        for (payload, window) in [(Payload::Whole, 1 << 20), (Payload::None, 16)] {
            let range = ByteRange::new(start, end);
            let options = WalkOptions { range, tracks: Vec::new(), payload, window };
            let blocks = walk_counted(&movie, &file, options).unwrap().0;
            let wanted = all.iter().filter(|b| b.element < end).count();
            assert_eq!(blocks.len(), wanted, "to byte {end}, {payload:?}");
        }
    }
}

#[test]
fn a_range_that_begins_anywhere_goes_on_at_the_next_cluster() {
    let file = file_of(&ebml::clusters());
    let movie = open(file.clone()).unwrap();
    let all = walk(&file);
    let first = index(&movie).first_cluster.unwrap();
    for start in first..movie.len {
        for (payload, window) in [(Payload::Whole, 1 << 20), (Payload::None, 16)] {
            let range = ByteRange::new(start, movie.len);
            let options = WalkOptions { range, tracks: Vec::new(), payload, window };
            let blocks = walk_counted(&movie, &file, options).unwrap().0;
            let wanted: Vec<_> = all.iter().filter(|b| b.cluster >= start).cloned().collect();
            assert_eq!(places(&blocks), places(&wanted), "from byte {start}, {payload:?}");
        }
    }
}

#[test]
fn a_corrupt_cluster_costs_no_other() {
    let mut clusters = ebml::clusters();
    let len = clusters[1].len();
    clusters[1][len - 60..len - 30].fill(0);
    let file = file_of(&clusters);
    let blocks = walk_every_way(&file);
    let of = |second: i64| blocks.iter().filter(|b| b.sample.pts / 1000 == second).count();
    assert_eq!((of(0), of(2), of(3)), (7, 7, 7));
    assert!(of(1) < 7);
}

#[test]
fn a_block_that_makes_no_sense_costs_only_itself() {
    let bad_lace = ebml::simple_block(1, 0, 0x86, &[3, 0xc0, 0x81, 0x81, 1, 2]);
    let too_short = ebml::element(id::SIMPLE_BLOCK, [0x81, 0]);
    let no_track = ebml::element(id::SIMPLE_BLOCK, [0, 0, 0, 0, 0]);
    let good = ebml::simple_block(1, 3, 0x80, b"good");
    let file = file_of(&[ebml::cluster(0, &[bad_lace, too_short, no_track, good])]);
    assert_eq!(seen(&walk_every_way(&file)), [(0, 3, true, "good".to_owned())]);
}

#[test]
fn hopping_reads_headers_and_not_payloads() {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    blocks.resize(50, ebml::simple_block(1, 0, 0x80, &[7; 100_000]));
    let file = file_of(&[ebml::cluster(0, &blocks)]);
    let movie = open(file.clone()).unwrap();
    let (walked, reads) = walk_counted(&movie, &file, everything(&movie, Payload::None, 64)).unwrap();
    assert_eq!(walked.len(), 50);
    assert!(reads.bytes < 8 << 10 && reads.count <= 60, "{reads:?}");
    let (_, reads) = walk_counted(&movie, &file, everything(&movie, Payload::Whole, 8 << 20)).unwrap();
    assert_eq!(reads.count, 1);
    let (_, reads) = walk_counted(&movie, &file, everything(&movie, Payload::Whole, 1 << 20)).unwrap();
    assert!(reads.count <= 7 && reads.bytes < 6_000_000, "{reads:?}");
}

/// Frames that differ in length and in content.
fn frames(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(n, size)| vec![u8::try_from(n % 250).unwrap() + 1; *size]).collect()
}

#[test]
fn laces_of_every_kind_are_undone_with_a_time_for_each_frame() {
    let sizes = [300, 255, 0, 1, 510, 254, 70];
    let (xiph, ebml_) = (ebml::xiph_lace(&frames(&sizes)), ebml::ebml_lace(&frames(&sizes)));
    let fixed = ebml::fixed_lace(&frames(&[90; 7]));
    for (flags, body, sizes) in [(0x82, xiph, sizes), (0x86, ebml_, sizes), (0x84, fixed, [90; 7])] {
        let after = ebml::simple_block(1, 500, 0x80, b"after");
        let file = file_of(&[ebml::cluster(1000, &[ebml::simple_block(2, 0, flags, &body), after])]);
        let blocks = walk_every_way(&file);
        let lengths: Vec<_> = blocks.iter().map(|b| b.sample.bytes.len()).collect();
        let wanted: Vec<_> = sizes.iter().map(|n| *n as u64).chain([5]).collect();
        assert_eq!(lengths, wanted, "flags {flags:#x}");
        // Track 2 has frames of 32 ms.
        let times: Vec<_> = blocks.iter().map(|b| b.sample.pts).collect();
        assert_eq!(times, [1000, 1032, 1064, 1096, 1128, 1160, 1192, 1500], "flags {flags:#x}");
        for (block, frame) in blocks.iter().zip(frames(&sizes.map(|n| n))) {
            assert_eq!(block.data.as_deref(), Some(&frame[..]));
        }
    }
}

#[test]
fn a_lace_larger_than_the_window_ends_the_walk_no_earlier_than_any_other() {
    let body = ebml::ebml_lace(&frames(&[3000; 200]));
    let file = file_of(&[ebml::cluster(0, &[ebml::simple_block(2, 0, 0x86, &body)])]);
    assert_eq!(walk_every_way(&file).len(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn laces_come_back_as_they_were_written(
        sizes in prop::collection::vec(0_usize..2000, 2..40),
        kind in 0_u8..2,
        window in 64_u64..4000,
    ) {
        let frames = frames(&sizes);
        let (flags, body) =
            if kind == 0 { (0x82, ebml::xiph_lace(&frames)) } else { (0x86, ebml::ebml_lace(&frames)) };
        let file = file_of(&[ebml::cluster(0, &[ebml::simple_block(2, 0, flags, &body)])]);
        let movie = open(file.clone()).unwrap();
        let blocks = walk_with(&movie, &file, Payload::Whole, window);
        let data: Vec<_> = blocks.iter().map(|b| b.data.as_deref().unwrap().to_vec()).collect();
        prop_assert_eq!(data, frames);
    }

    #[test]
    fn any_blocks_come_back_as_they_were_written(
        blocks in prop::collection::vec((1_u64..3, any::<i16>(), any::<bool>(), 0_usize..300), 0..60),
        per_cluster in 1_usize..20,
        window in 1_u64..2000,
    ) {
        let clusters: Vec<_> = blocks
            .chunks(per_cluster)
            .enumerate()
            .map(|(n, blocks)| {
                let blocks: Vec<_> = blocks
                    .iter()
                    .map(|(track, time, key, len)| {
                        ebml::simple_block(*track, *time, if *key { 0x80 } else { 0 }, &vec![0x55; *len])
                    })
                    .collect();
                ebml::cluster(n as u64 * 100, &blocks)
            })
            .collect();
        let file = file_of(&clusters);
        let movie = open(file.clone()).unwrap();
        let wanted: Vec<_> = blocks
            .iter()
            .enumerate()
            .map(|(n, (track, time, key, len))| {
                let cluster = i64::try_from(n / per_cluster).unwrap() * 100;
                (usize::try_from(*track).unwrap() - 1, cluster + i64::from(*time), *key, *len as u64)
            })
            .collect();
        for payload in [Payload::None, Payload::Prefix(16), Payload::Whole] {
            let walked = walk_with(&movie, &file, payload, window);
            let walked: Vec<_> =
                walked.iter().map(|b| (b.track, b.sample.pts, b.sample.sync, b.sample.bytes.len())).collect();
            prop_assert_eq!(&walked, &wanted);
        }
    }
}
