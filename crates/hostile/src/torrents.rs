//! Torrents, info dictionaries and magnets, as users and peers bring them.

use bencode::{Decoder, Item, Value};
use bytes::Bytes;
use metainfo::{FileIndex, Info, Magnet, Metainfo, limits};

/// Bencode, walked to every leaf, with either rule on keys.
pub(crate) fn bencode(data: &[u8]) {
    let strict = Decoder::new().sorted_keys().decode(data);
    if let Ok((value, rest)) = bencode::decode_prefix(data) {
        assert_eq!(value.raw().len() + rest.len(), data.len());
        assert_eq!(walk(&value), value.raw().len(), "the parts of a value are not the whole");
        let _ = value.as_dict().and_then(|dict| dict.get("info"));
    } else {
        assert!(strict.is_err(), "strict reading takes what lenient reading refuses");
    }
}

/// Resume data of one small torrent, as a state directory may hold it.
pub(crate) fn resume(data: &[u8]) {
    let file =
        |name: &str, length| storage::FileEntry { path: vec!["t".into(), name.into()], length, pad: false };
    let files = vec![file("a", 60_000), file("b", 0), file("c", 40_000)];
    let layout = metainfo::PieceLayout::new(100_000, 32_768).expect("lengths of a torrent");
    let hashes = Bytes::from_static(&[3; 80]);
    let contents =
        storage::Contents::new(metainfo::InfoHash([7; 20]), layout, files, hashes).expect("a torrent");
    assert!(storage::is_read_back(data, &contents), "what was read is not what would be written");
}

/// How many bytes the parts of `value` have.
fn walk(value: &Value<'_>) -> usize {
    match value.item() {
        Item::Integer(_) | Item::Bytes(_) => value.raw().len(),
        Item::List(list) => 2 + list.iter().map(|item| walk(&item)).sum::<usize>(),
        Item::Dict(dict) => {
            let prefix = |key: &[u8]| key.len().checked_ilog10().unwrap_or(0) as usize + 2;
            2 + dict.iter().map(|(key, value)| prefix(key) + key.len() + walk(&value)).sum::<usize>()
        }
    }
}

/// A `.torrent`, and the same bytes as metadata from peers.
pub(crate) fn metainfo(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(torrent) = Metainfo::parse(bytes.clone()) {
        look(torrent.info());
        let magnet = torrent.magnet();
        assert_eq!(magnet.to_string().parse().as_ref(), Ok(&magnet), "a torrent's magnet is not read back");
        let again = Metainfo::from_info(
            torrent.info().clone(),
            torrent.trackers().to_vec(),
            torrent.web_seeds().to_vec(),
        );
        let again = Metainfo::parse(again.bytes().clone()).expect("what was read is written");
        assert_eq!(again.info().info_hash(), torrent.info().info_hash());
    }
    if let Ok(info) = Info::parse(bytes) {
        look(&info);
    }
}

/// What must be true of every torrent that is let through.
fn look(info: &Info) {
    let (files, layout) = (info.files(), info.layout());
    let mut offset = 0;
    for (index, file) in files.iter() {
        assert_eq!(file.offset(), offset, "files do not join");
        offset += file.length();
        let path = files.stored_path(index).expect("a file of the list");
        for part in path.split('/') {
            assert!(!["", ".", ".."].contains(&part) && part.len() <= limits::NAME_BYTES_MAX, "{path:?}");
            assert!(!part.contains(|c: char| c.is_control() || c == '\\'), "{path:?}");
        }
        let pieces = files.pieces(index, &layout);
        assert!(pieces.end <= layout.pieces());
    }
    assert_eq!(offset, layout.total());
    assert_eq!(info.piece_hashes().len(), layout.pieces() as usize * 20);
    let slices: u64 = files.slices(0..u64::MAX).map(|slice| slice.range.end - slice.range.start).sum();
    assert_eq!(slices, layout.total());
    assert!(files.at(layout.total()).is_none() && files.get(FileIndex(u32::MAX)).is_none());
}

/// A magnet link.
pub(crate) fn magnet(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(magnet) = text.parse::<Magnet>() {
        let written = magnet.to_string();
        assert_eq!(written.parse().as_ref(), Ok(&magnet), "{written} is not read back");
        let _ = (magnet.looks_private(), magnet.tiers(), magnet.selects(FileIndex(1)));
    }
}
