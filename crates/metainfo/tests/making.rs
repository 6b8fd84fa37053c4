//! Torrents that are made: read back, and refused when others could not use them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use metainfo::{BuildError, Builder, Content, NewFile, PieceLength};
use proptest::prelude::*;

fn file(path: &[&str], length: u64) -> NewFile {
    NewFile { path: path.iter().map(ToString::to_string).collect(), length, executable: false }
}

fn hashes(builder: &Builder) -> Vec<u8> {
    vec![9; builder.layout().unwrap().pieces() as usize * 20]
}

#[test]
fn a_made_torrent_is_read_back_as_it_was_meant() {
    let mut builder =
        Builder::new("Films", Content::Folder(vec![file(&["a", "b.mkv"], 100_000), file(&["c"], 0)]));
    builder.piece_length = PieceLength::Bytes(32_768);
    builder.private = true;
    builder.trackers = vec![
        vec!["http://a.example/announce".into(), "udp://b.example:1".into()],
        vec!["udp://c.example:1".into()],
    ];
    builder.web_seeds = vec!["http://s.example/".into(), "http://t.example/".into()];
    builder.nodes = vec!["router.example:6881".parse().unwrap()];
    builder.comment = Some("for the test".into());
    builder.created_by = Some("headwater".into());
    builder.creation_date = Some(1_700_000_000);
    builder.source = Some("SITE".into());
    let Content::Folder(files) = &mut builder.content else { unreachable!() };
    files[0].executable = true;
    let torrent = builder.build(&hashes(&builder)).unwrap();
    assert_eq!((torrent.trackers(), torrent.web_seeds()), (&builder.trackers[..], &builder.web_seeds[..]));
    assert_eq!((torrent.nodes(), torrent.creation_date()), (&builder.nodes[..], Some(1_700_000_000)));
    assert_eq!((torrent.comment(), torrent.created_by()), (Some("for the test"), Some("headwater")));
    let info = torrent.info();
    assert!(info.is_private());
    assert_eq!((info.name(), info.source(), info.files().folder()), ("Films", Some("SITE"), Some("Films")));
    let paths: Vec<_> = info.files().iter().map(|(_, file)| (file.path(), file.length())).collect();
    assert_eq!(paths, [("a/b.mkv", 100_000), ("c", 0)]);
    assert!(info.files().iter().next().unwrap().1.attributes().executable);
    // Canonical: sorted keys throughout.
    assert!(bencode::Decoder::new().sorted_keys().decode(torrent.bytes()).is_ok());
}

#[test]
fn pieces_are_short_until_there_would_be_too_many() {
    for (total, piece_length) in [
        (1, 16 << 10),
        (64 << 20, 16 << 10),
        ((64 << 20) + 1, 32 << 10),
        (2 << 30, 512 << 10),
        (16 << 30, 4 << 20),
        (1 << 40, 16 << 20),
    ] {
        let builder = Builder::new("a", Content::File { length: total });
        assert_eq!(builder.layout().unwrap().piece_length(), piece_length, "{total}");
    }
}

#[test]
fn what_others_could_not_use_is_refused_before_anything_is_hashed() {
    let refused = |change: &dyn Fn(&mut Builder)| {
        let mut builder = Builder::new("a", Content::File { length: 1 });
        change(&mut builder);
        builder.check().unwrap_err()
    };
    assert!(matches!(refused(&|b| b.content = Content::File { length: 0 }), BuildError::Layout(_)));
    assert!(matches!(refused(&|b| b.content = Content::Folder(Vec::new())), BuildError::Layout(_)));
    for length in [0, 1, 8_192, 20_000] {
        assert!(matches!(
            refused(&|b| b.piece_length = PieceLength::Bytes(length)),
            BuildError::PieceLength { .. }
        ));
    }
    assert!(matches!(refused(&|b| b.name = "..".into()), BuildError::Name { .. }));
    assert!(matches!(refused(&|b| b.name = "a\nb".into()), BuildError::Unsafe { .. }));
    assert!(matches!(refused(&|b| b.trackers = vec![vec!["tracker".into()]]), BuildError::Url { .. }));
    let twice = Builder::new("a", Content::Folder(vec![file(&["x"], 1), file(&["x"], 1)]));
    assert!(matches!(twice.build(&hashes(&twice)), Err(BuildError::Metainfo(_))));
    let short = Builder::new("a", Content::File { length: 1 });
    assert!(matches!(short.build(&[0; 19]), Err(BuildError::Hashes { given: 19, pieces: 1 })));
}

proptest! {
    #[test]
    fn what_is_made_is_read_back(
        lengths in prop::collection::vec(0u64..3_000_000, 1..12), private: bool, comment in prop::option::of(".{0,9}"),
    ) {
        prop_assume!(lengths.iter().any(|length| *length > 0));
        let files = lengths.iter().enumerate().map(|(n, length)| file(&["f", &n.to_string()], *length)).collect();
        let mut builder = Builder::new("é", Content::Folder(files));
        builder.private = private;
        builder.comment = comment.clone();
        let torrent = builder.build(&hashes(&builder)).unwrap();
        prop_assert_eq!(torrent.info().is_private(), private);
        prop_assert_eq!(torrent.comment(), comment.as_deref());
        let read: Vec<u64> = torrent.info().files().iter().map(|(_, file)| file.length()).collect();
        prop_assert_eq!(read, lengths);
        prop_assert_eq!(torrent.info().layout(), builder.layout().unwrap());
    }
}
