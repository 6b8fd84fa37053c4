//! Torrents as they are met: real shapes, hostile ones, damaged ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bencode::{DictWriter, encode_dict};
use bytes::Bytes;
use metainfo::{FileIndex, Info, LayoutError, Metainfo, MetainfoError, NameProblem, PieceIndex, limits};
use proptest::prelude::*;

const PIECE: u64 = 16_384;

/// An info dictionary of `files`: path, length, attributes.
fn folder(files: &[(&[&[u8]], u64, &str)]) -> Vec<u8> {
    let total: u64 = files.iter().map(|(_, length, attr)| if attr.contains('l') { 0 } else { *length }).sum();
    info_with(total, |info| {
        info.bytes("name", "folder");
        info.list("files", |list| {
            for (path, length, attr) in files {
                list.dict(|file| {
                    file.int("length", *length);
                    file.list("path", |list| path.iter().for_each(|part| list.bytes(part)));
                    if !attr.is_empty() {
                        file.bytes("attr", attr);
                    }
                });
            }
        });
    })
}

/// An info dictionary with hashes for `total` bytes, and what `fill` puts in first.
fn info_with(total: u64, fill: impl FnOnce(&mut DictWriter<'_>)) -> Vec<u8> {
    encode_dict(|info| {
        fill(info);
        info.bytes("name", "a.mkv");
        info.int("piece length", PIECE);
        info.bytes("pieces", vec![7; usize::try_from(total.div_ceil(PIECE)).unwrap() * 20]);
    })
}

fn single(length: u64, fill: impl FnOnce(&mut DictWriter<'_>)) -> Vec<u8> {
    info_with(length, |info| {
        fill(info);
        info.int("length", length);
    })
}

fn parse(info: Vec<u8>) -> Result<Info, MetainfoError> {
    Info::parse(Bytes::from(info))
}

fn paths(info: &Info) -> Vec<&str> {
    info.files().iter().map(|(_, file)| file.path()).collect()
}

#[test]
fn a_torrent_of_a_folder_is_read_whole() {
    let info = folder(&[
        (&[b"Season 1", b"e1.mkv"], 40_000, ""),
        (&[b".pad", b"9152"], 9_152, "p"),
        (&[b"empty.nfo"], 0, ""),
        (&[b"run.sh"], 10, "x"),
        (&[b"link"], 0, "l"),
    ]);
    let torrent = encode_dict(|dict| {
        dict.bytes("announce", "http://ignored.example/announce");
        dict.list("announce-list", |tiers| {
            tiers.list(|tier| {
                tier.bytes("http://a.example/announce");
                tier.bytes(" udp://b.example:80 ");
                tier.bytes("http://a.example/announce");
            });
            tiers.list(|_| {});
            tiers.list(|tier| tier.bytes("not an address"));
            tiers.list(|tier| tier.bytes("wss://c.example"));
        });
        dict.list("url-list", |list| list.bytes("http://seed.example/dir/"));
        dict.list("nodes", |list| {
            list.list(|pair| {
                pair.bytes("router.example");
                pair.int(6881);
            });
            list.list(|pair| pair.bytes("no port"));
        });
        dict.int("creation date", 1_700_000_000);
        dict.bytes("comment", "caf\u{e9}");
        dict.bytes("created by", "maker 1.0");
        dict.raw("info", &info);
    });
    let torrent = Metainfo::parse([&torrent[..], b"\n"].concat()).unwrap();
    assert_eq!(
        torrent.trackers(),
        [vec!["http://a.example/announce", "udp://b.example:80"], vec!["wss://c.example"]]
    );
    assert_eq!(torrent.web_seeds(), ["http://seed.example/dir/"]);
    assert_eq!(torrent.nodes()[0].to_string(), "router.example:6881");
    assert_eq!(torrent.nodes().len(), 1);
    assert_eq!(torrent.creation_date(), Some(1_700_000_000));
    assert_eq!((torrent.comment(), torrent.created_by()), (Some("café"), Some("maker 1.0")));
    let read = torrent.info();
    assert_eq!(&read.raw()[..], info);
    assert_eq!(read.layout().pieces(), 4);
    assert_eq!(read.piece_hash(PieceIndex(3)), [7; 20]);
    let files = read.files();
    assert_eq!(paths(read), ["Season 1/e1.mkv", ".pad/9152", "empty.nfo", "run.sh", "link"]);
    assert_eq!(files.stored_path(FileIndex(0)).unwrap(), "folder/Season 1/e1.mkv");
    assert_eq!(
        files.iter().map(|(_, file)| file.is_stored()).collect::<Vec<_>>(),
        [true, false, true, true, false]
    );
    assert!(files.get(FileIndex(3)).unwrap().attributes().executable);
    let slices: Vec<_> =
        files.slices(39_999..49_200).map(|slice| (slice.file.0, slice.range, slice.offset)).collect();
    assert_eq!(slices, [(0, 39_999..40_000, 39_999), (1, 0..9_152, 40_000), (3, 0..10, 49_152)]);
    assert_eq!(files.at(49_152), Some(FileIndex(3)));
    assert_eq!(files.at(49_162), None);
    assert_eq!(files.pieces(FileIndex(0), &read.layout()), 0..3);
    assert_eq!(files.pieces(FileIndex(2), &read.layout()), 0..0);
}

#[test]
fn announce_counts_where_there_is_no_usable_list() {
    for list in [&b"le"[..], b"llel1:xee", b"i1e"] {
        let torrent = encode_dict(|dict| {
            dict.bytes("announce", "udp://t.example:1/announce");
            dict.raw("announce-list", list);
            dict.bytes("url-list", "http://seed.example/a.mkv");
            dict.raw("info", single(1, |_| {}));
        });
        let torrent = Metainfo::parse(torrent).unwrap();
        assert_eq!(torrent.trackers(), [["udp://t.example:1/announce"]]);
        assert_eq!(torrent.web_seeds(), ["http://seed.example/a.mkv"]);
    }
}

#[test]
fn an_info_hash_is_of_the_bytes_received_even_when_keys_are_unsorted() {
    let info = b"d4:name1:a6:lengthi5e12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
    let torrent = [b"d4:info", &info[..], b"8:announce10:udp://a:1/e"].concat();
    let torrent = Metainfo::parse(torrent).unwrap();
    assert_eq!(&torrent.info().raw()[..], info);
    assert_eq!(torrent.trackers(), [["udp://a:1/"]]);
}

#[test]
fn private_is_whatever_is_not_plainly_public() {
    for (value, private) in
        [(&b"i1e"[..], true), (b"i0e", false), (b"i-1e", true), (b"1:1", true), (b"le", true)]
    {
        assert_eq!(parse(single(1, |info| info.raw("private", value))).unwrap().is_private(), private);
    }
    assert!(!parse(single(1, |_| {})).unwrap().is_private());
}

#[test]
fn names_come_from_utf_8_fields_then_from_any_bytes() {
    let utf8 = single(1, |info| {
        info.bytes("name", b"\xc4\xe3");
        info.bytes("name.utf-8", "你.mkv");
    });
    assert_eq!(paths(&parse(utf8).unwrap()), ["你.mkv"]);
    let old = single(1, |info| info.bytes("name", b"Caf\xe9"));
    assert_eq!(parse(old).unwrap().name(), "Café");
    let nameless = encode_dict(|info| {
        info.int("length", 1);
        info.int("piece length", PIECE);
        info.bytes("pieces", [0; 20]);
    });
    let nameless = parse(nameless).unwrap();
    assert_eq!(paths(&nameless), [nameless.info_hash().to_string()]);
    let files = info_with(1, |info| {
        info.list("files", |list| {
            list.dict(|file| {
                file.int("length", 1);
                file.list("path", |path| path.bytes(b"\xff"));
                file.list("path.utf-8", |path| path.bytes("ÿ.txt"));
            });
        });
    });
    assert_eq!(paths(&parse(files).unwrap()), ["ÿ.txt"]);
}

#[test]
fn paths_that_lead_out_are_refused_and_the_error_names_them() {
    for (path, problem) in [
        (&[&b".."[..], b"a"][..], NameProblem::Traversal),
        (&[b"a", b"..", b"..", b"b"], NameProblem::Traversal),
        (&[b"../../etc/passwd"], NameProblem::Traversal),
        (&[b"..\\evil.exe"], NameProblem::Traversal),
        (&[b"/etc/passwd"], NameProblem::Absolute),
        (&[b"C:\\Windows\\x"], NameProblem::Absolute),
        (&[b"a\0b"], NameProblem::Nul),
        (&[b"", b"."], NameProblem::Empty),
        (&[], NameProblem::Empty),
        (&[&[b'x'; 5_000]], NameProblem::TooLong),
        (&[&[b'x'; 200][..]; 20], NameProblem::TooLong),
        (&[&b"x"[..]; 65], NameProblem::TooDeep),
    ] {
        match parse(folder(&[(path, 1, "")])) {
            Err(MetainfoError::Name { problem: found, .. }) => assert_eq!(found, problem, "{path:?}"),
            other => panic!("{path:?}: {other:?}"),
        }
    }
    for name in [&b".."[..], b"/", b"../x", b"a\0"] {
        let error = parse(single(1, |info| info.bytes("name", name))).unwrap_err();
        assert!(matches!(error, MetainfoError::Name { .. }), "{error}");
    }
    let error = parse(folder(&[(&[b"a\n", b".."], 1, "")])).unwrap_err();
    assert_eq!(error.to_string(), r#"the name "a\\n/.." is refused: it leads out of its folder"#);
}

#[test]
fn the_same_path_twice_is_refused_unless_our_renaming_made_it() {
    for files in [
        &[(&[&b"a"[..]][..], 1, ""), (&[b"b"], 1, ""), (&[b"a"], 1, "")][..],
        &[(&[b"a"], 1, ""), (&[b"a!", b"x"], 1, ""), (&[b"a", b"b"], 1, "")],
        &[(&[b"a", b"b", b"c"], 1, ""), (&[b"a", b"b"], 1, "")],
    ] {
        let outcome = parse(folder(files));
        assert!(matches!(outcome, Err(MetainfoError::Duplicate { .. })), "{outcome:?}");
    }
    let info = parse(folder(&[
        (&[b"a_b"], 1, ""),
        (&[b"a\x01b"], 1, ""),
        (&[b"a\x02b"], 1, ""),
        (&[b"A_B"], 1, ""),
        (&[b".pad", b"1"], 1, "p"),
        (&[b".pad", b"1"], 1, "p"),
    ]))
    .unwrap();
    let mut names = paths(&info);
    assert_eq!((names[0], names[3]), ("a_b", "A_B"));
    names.truncate(4);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn lengths_that_do_not_add_up_are_refused() {
    let error = |info| parse(info).unwrap_err();
    let length = |value: &[u8]| error(info_with(1, |info| info.raw("length", value)));
    assert!(matches!(length(b"i-1e"), MetainfoError::Length { length: Some(-1), .. }));
    assert!(matches!(length(b"1:5"), MetainfoError::Length { length: None, .. }));
    assert!(matches!(length(b"i0e"), MetainfoError::Layout(LayoutError::Empty)));
    assert!(matches!(
        length(b"i9223372036854775807e"),
        MetainfoError::Layout(LayoutError::TooManyPieces { .. })
    ));
    assert!(matches!(length(b"i16385e"), MetainfoError::PieceCount { stated: 1, wanted: 2, .. }));
    assert!(matches!(error(info_with(1, |_| {})), MetainfoError::Missing { key: "length or files" }));
    let huge = info_with(1, |info| {
        info.list("files", |list| {
            for name in ["a", "b", "c"] {
                list.dict(|file| {
                    file.int("length", i64::MAX);
                    file.list("path", |path| path.bytes(name));
                });
            }
        });
    });
    assert_eq!(error(huge), MetainfoError::Overflow);
    let piece_length = |value: u64| error(single(1, |info| info.int("piece length", value)));
    for refused in [0, u64::from(metainfo::PIECE_LENGTH_MAX) + 1, 1 << 62] {
        assert!(matches!(piece_length(refused), MetainfoError::Layout(LayoutError::PieceLength { .. })));
    }
    assert!(matches!(
        error(single(1, |info| info.bytes("pieces", [0; 21]))),
        MetainfoError::PieceHashes { length: 21 }
    ));
}

#[test]
fn two_to_the_31_pieces_are_refused_without_being_counted_out() {
    let info = info_with(1, |info| {
        info.int("length", 1u64 << 45);
        info.int("piece length", 1 << 14);
    });
    let error = parse(info).unwrap_err();
    assert_eq!(
        error.to_string(),
        "35184372088832 bytes in pieces of 16384 are 2147483648 pieces: more than 4194304"
    );
}

#[test]
fn too_many_files_are_refused() {
    let many = info_with(1, |info| {
        info.list("files", |list| {
            for n in 0..=limits::FILES_MAX {
                list.dict(|file| {
                    file.int("length", 1);
                    file.list("path", |path| path.bytes(n.to_string()));
                });
            }
        });
    });
    assert_eq!(parse(many).unwrap_err(), MetainfoError::TooManyFiles);
}

#[test]
fn many_files_are_read_quickly() {
    let files = 100_000;
    let many = info_with(files, |info| {
        info.list("files", |list| {
            for n in 0..files {
                list.dict(|file| {
                    file.int("length", 1);
                    file.list("path", |path| {
                        path.bytes(format!("folder {}", n % 100));
                        path.bytes(n.to_string());
                    });
                });
            }
        });
    });
    let info = parse(many).unwrap();
    assert_eq!(info.files().slices(0..u64::MAX).count(), 100_000);
}

#[test]
fn a_symbolic_link_is_counted_and_never_has_bytes() {
    let info = parse(folder(&[(&[b"a"], 5, ""), (&[b"b"], 99, "l"), (&[b"c"], 5, "")])).unwrap();
    assert_eq!(info.layout().total(), 10);
    assert!(!info.files().get(FileIndex(1)).unwrap().is_stored());
    assert_eq!(info.files().get(FileIndex(2)).unwrap().range(), 5..10);
}

#[test]
fn a_hybrid_torrent_is_used_through_its_v1_side() {
    let info = parse(single(1, |info| {
        info.int("meta version", 2);
        info.dict("file tree", |_| {});
    }))
    .unwrap();
    assert!(info.info_hash_v2().is_some());
    assert!(parse(single(1, |_| {})).unwrap().info_hash_v2().is_none());
}

#[test]
fn a_v2_torrent_is_not_yet_and_its_info_hash_is_told() {
    let info = encode_dict(|info| {
        info.dict("file tree", |_| {});
        info.int("meta version", 2);
        info.bytes("name", "new");
        info.int("piece length", PIECE);
    });
    let error = Metainfo::parse(encode_dict(|dict| dict.raw("info", &info))).unwrap_err();
    let MetainfoError::V2Only { info_hash, name } = &error else { panic!("{error}") };
    assert_eq!(name, "new");
    assert!(error.to_string().contains(&info_hash.to_string()), "{error}");
}

#[test]
fn what_is_no_torrent_says_why() {
    for (bytes, says) in [
        (&b""[..], "bencode: at byte 0: the input ends within a value"),
        (b"<!DOCTYPE html>", "bencode: at byte 0: byte 0x3c begins no value"),
        (b"le", "the torrent is not what it has to be"),
        (b"de", "the torrent has no info"),
        (b"d4:infoi1ee", "info is not what it has to be"),
        (b"d4:infodee", "the torrent has no pieces"),
    ] {
        assert_eq!(Metainfo::parse(Bytes::from_static(bytes)).unwrap_err().to_string(), says);
    }
}

#[test]
fn metadata_from_peers_and_a_magnet_make_a_torrent() {
    let info = parse(single(20_000, |_| {})).unwrap();
    let made =
        Metainfo::from_info(info, vec![vec!["udp://t.example:1".into()]], vec!["http://s.example/".into()]);
    let read = Metainfo::parse(made.bytes().clone()).unwrap();
    assert_eq!(read.info().info_hash(), made.info().info_hash());
    assert_eq!((read.trackers(), read.web_seeds()), (made.trackers(), made.web_seeds()));
    let magnet = read.magnet();
    assert_eq!(magnet.to_string().parse::<metainfo::Magnet>().unwrap(), magnet);
    assert_eq!(magnet.name.as_deref(), Some("a.mkv"));
}

/// What must be true of everything that is let through.
fn check(info: &Info) {
    let files = info.files();
    let mut offset = 0;
    for (_, file) in files.iter() {
        assert_eq!(file.offset(), offset);
        offset += file.length();
        for component in file.path().split('/') {
            assert!(!["", ".", ".."].contains(&component) && component.len() <= limits::NAME_BYTES_MAX);
            assert!(!component.contains(['\0', '\\']) && !component.contains(char::is_control));
        }
        assert!(file.path().len() <= limits::PATH_BYTES_MAX && !file.path().starts_with('/'));
    }
    assert_eq!(offset, info.layout().total());
    assert_eq!(info.piece_hashes().len(), info.layout().pieces() as usize * 20);
    let slices: u64 = files.slices(0..u64::MAX).map(|slice| slice.range.end - slice.range.start).sum();
    assert_eq!(slices, offset);
    let mut stored: Vec<_> =
        files.iter().filter(|(_, file)| file.is_stored()).map(|(_, file)| file.path()).collect();
    let count = stored.len();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len(), count);
}

fn some_torrent() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        "[a-z]{1,3}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..5),
        Just(b"..".to_vec()),
        Just(b"CON".to_vec()),
        Just(vec![b'x'; 300]),
    ];
    let file = (
        prop::collection::vec(part, 0..3),
        0u64..40_000,
        prop_oneof![4 => Just(""), 1 => Just("p"), 1 => Just("lx")],
    );
    prop::collection::vec(file, 1..8).prop_map(|files| {
        let parts: Vec<Vec<&[u8]>> =
            files.iter().map(|(path, ..)| path.iter().map(Vec::as_slice).collect()).collect();
        let files: Vec<_> = parts
            .iter()
            .zip(&files)
            .map(|(path, (_, length, attr))| (path.as_slice(), *length, *attr))
            .collect();
        let info = folder(&files);
        encode_dict(|dict| {
            dict.bytes("announce", "udp://t.example:1");
            dict.raw("info", info);
        })
    })
}

proptest! {
    #[test]
    fn whatever_is_let_through_is_safe(torrent in some_torrent()) {
        if let Ok(torrent) = Metainfo::parse(torrent) {
            check(torrent.info());
        }
    }

    #[test]
    fn damaged_torrents_are_read_or_refused(
        torrent in some_torrent(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut torrent = torrent;
        for (at, byte) in damage {
            let at = at.index(torrent.len());
            torrent[at] = byte;
        }
        if let Ok(torrent) = Metainfo::parse(torrent) {
            check(torrent.info());
        }
    }

    #[test]
    fn bytes_of_the_torrent_and_of_files_are_the_same(
        lengths in prop::collection::vec(0u64..5_000, 1..20), at in 0u64..100_000, length in 0u64..20_000,
    ) {
        prop_assume!(lengths.iter().sum::<u64>() > 0);
        let names: Vec<String> = (0..lengths.len()).map(|n| n.to_string()).collect();
        let parts: Vec<[&[u8]; 1]> = names.iter().map(|name| [name.as_bytes()]).collect();
        let files: Vec<_> = parts.iter().zip(&lengths).map(|(path, length)| (&path[..], *length, "")).collect();
        let info = parse(folder(&files)).unwrap();
        let total = info.layout().total();
        let mut next = at.min(total);
        for slice in info.files().slices(at..at + length) {
            prop_assert_eq!(slice.offset, next);
            prop_assert!(slice.range.start < slice.range.end);
            prop_assert_eq!(info.files().at(next), Some(slice.file));
            next += slice.range.end - slice.range.start;
        }
        prop_assert_eq!(next, (at + length).min(total).max(at.min(total)));
    }
}
