//! What a torrent's state directory remembers of it (a bencoded dictionary, version 1), and what of that is believed.
//!
//! A piece is claimed only after its bytes were flushed, so a claim holds over a crash at any point. A file that no
//! longer looks as it did when it was saved is doubted: its pieces are checked. While a torrent is downloading, its
//! unfinished files are written after each save; then times up to [`WRITTEN_AFTER_SAVE`] past it are believed as well.

use std::{
    io::{self, Write},
    path::Path,
};

use bytes::Bytes;
use metainfo::{Bitfield, PieceIndex};

use crate::{
    Contents, PartialPiece, StorageError,
    files::{Files, OnDisk, Stamp},
};

/// The form of the file.
const VERSION: u64 = 1;

/// A torrent of 4 million pieces and as many files needs less.
const BYTES_MAX: u64 = 128 << 20;

/// Nanoseconds. Saves come every few seconds while anything is written; a disk may need long for one.
const WRITTEN_AFTER_SAVE: i64 = 60 * 1_000_000_000;

/// Bytes of a file's record: length, time, flags.
const FILE_BYTES: usize = 17;

const FLAG_THERE: u8 = 1;
const FLAG_OPEN: u8 = 2;
const FLAG_UNWANTED: u8 = 4;

/// One file as it was saved; the last is the file of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileRecord {
    /// What it looked like; `None` when it was not there.
    pub(crate) stamp: Option<Stamp>,
    /// Whether it was being written.
    pub(crate) open: bool,
    pub(crate) unwanted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Nanoseconds since 1970.
    pub(crate) saved_at: i64,
    pub(crate) claimed: Bitfield,
    pub(crate) partial: Vec<PartialPiece>,
    pub(crate) files: Vec<FileRecord>,
    pub(crate) extra: Bytes,
}

impl Record {
    pub(crate) fn encode(&self, contents: &Contents) -> Vec<u8> {
        let mut files = Vec::with_capacity(self.files.len() * FILE_BYTES);
        for file in &self.files {
            let stamp = file.stamp.unwrap_or(Stamp { length: 0, modified: 0 });
            files.extend(stamp.length.to_be_bytes());
            files.extend(stamp.modified.to_be_bytes());
            let flag = |set: bool, flag: u8| if set { flag } else { 0 };
            files.push(
                flag(file.stamp.is_some(), FLAG_THERE)
                    | flag(file.open, FLAG_OPEN)
                    | flag(file.unwanted, FLAG_UNWANTED),
            );
        }
        bencode::encode_dict(|dict| {
            dict.bytes("claimed", self.claimed.as_bytes());
            dict.bytes("extra", &self.extra);
            dict.bytes("files", &files);
            dict.bytes("info_hash", contents.info_hash().as_bytes());
            dict.list("partial", |list| {
                for partial in &self.partial {
                    list.list(|pair| {
                        pair.int(partial.piece.0);
                        let mut blocks = Bitfield::none(contents.layout().blocks(partial.piece));
                        for block in &partial.blocks {
                            blocks.insert(PieceIndex(*block));
                        }
                        pair.bytes(blocks.as_bytes());
                    });
                }
            });
            dict.int("piece_length", contents.layout().piece_length());
            dict.int("saved_at", self.saved_at);
            dict.int("total", contents.layout().total());
            dict.int("version", VERSION);
        })
    }

    /// Reads a record of this torrent; `None` for one of another, of another version, or damaged.
    pub(crate) fn decode(bytes: &[u8], contents: &Contents) -> Option<Self> {
        let value = bencode::decode(bytes).ok()?;
        let dict = value.as_dict()?;
        let layout = contents.layout();
        let ours = dict.get_u64("version")? == VERSION
            && dict.get_bytes("info_hash")? == contents.info_hash().as_bytes()
            && dict.get_u64("total")? == layout.total()
            && dict.get_u64("piece_length")? == u64::from(layout.piece_length());
        let files = dict.get_bytes("files")?;
        if !ours || files.len() != (contents.files().len() + 1) * FILE_BYTES {
            return None;
        }
        let files = files.chunks_exact(FILE_BYTES).map(|record| {
            let flags = record[16];
            let stamp = Stamp {
                length: u64::from_be_bytes(record[..8].try_into().ok()?),
                modified: i64::from_be_bytes(record[8..16].try_into().ok()?),
            };
            Some(FileRecord {
                stamp: (flags & FLAG_THERE != 0).then_some(stamp),
                open: flags & FLAG_OPEN != 0,
                unwanted: flags & FLAG_UNWANTED != 0,
            })
        });
        let mut partial = Vec::new();
        for pair in dict.get_list("partial")?.iter() {
            let mut pair = pair.as_list()?.iter();
            let piece = layout.piece(u32::try_from(pair.next()?.as_u64()?).ok()?)?;
            let blocks = Bitfield::from_bytes(pair.next()?.as_bytes()?, layout.blocks(piece))?;
            let blocks: Vec<u32> = blocks.iter().map(|block| block.0).collect();
            // One record per piece, in any order, so no more than there are pieces.
            if partial.len() >= layout.pieces() as usize || pair.next().is_some() {
                return None;
            }
            partial.push(PartialPiece { piece, blocks });
        }
        Some(Self {
            saved_at: dict.get_i64("saved_at")?,
            claimed: Bitfield::from_bytes(dict.get_bytes("claimed")?, layout.pieces())?,
            partial,
            files: files.collect::<Option<_>>()?,
            extra: Bytes::copy_from_slice(dict.get_bytes("extra")?),
        })
    }

    /// Reads a record from a file; `None` when there is none that can be used.
    pub(crate) fn load(path: &Path, contents: &Contents) -> io::Result<Option<Self>> {
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if file.metadata()?.len() > BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, BYTES_MAX), &mut bytes)?;
        let record = Self::decode(&bytes, contents);
        if record.is_none() {
            tracing::warn!(path = %path.display(), "resume data cannot be read: the files will be checked");
        }
        Ok(record)
    }

    /// Puts the record into a file, wholly or not at all.
    pub(crate) fn save(&self, path: &Path, contents: &Contents) -> io::Result<()> {
        let fresh = path.with_extension("resume.new");
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(&self.encode(contents))?;
        file.sync_data()?;
        std::fs::rename(&fresh, path)?;
        // The name as well; some file systems cannot, and then it is theirs to keep the order.
        if let Some(folder) = path.parent() {
            let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

/// Whether what is read of arbitrary resume data is written and read again the same; for the fuzzer.
#[must_use]
pub fn is_read_back(bytes: &[u8], contents: &Contents) -> bool {
    let Some(record) = Record::decode(bytes, contents) else { return true };
    Record::decode(&record.encode(contents), contents) == Some(record)
}

/// What is believed of a torrent when it is opened.
#[derive(Debug)]
pub(crate) struct Believed {
    pub(crate) have: Bitfield,
    pub(crate) doubtful: Bitfield,
    pub(crate) partial: Vec<PartialPiece>,
    /// A file with claimed pieces is gone.
    pub(crate) gone: Option<StorageError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Belief {
    Trusted,
    Doubted,
    Absent,
    Gone,
}

/// Compares the record with what is on disk.
pub(crate) fn believe(record: Option<&Record>, files: &Files) -> Result<Believed, StorageError> {
    let contents = &files.contents;
    let layout = contents.layout();
    let mut beliefs = Vec::with_capacity(contents.files().len() + 1);
    for number in 0..=files.parts_number() {
        let saved = record.map(|record| (record, record.files.get(number).copied().unwrap_or_default()));
        beliefs.push(match (files.stamp(number)?, saved) {
            (None, Some((_, FileRecord { stamp: Some(_), .. }))) => Belief::Gone,
            (None, _) => Belief::Absent,
            (Some(_), None) => Belief::Doubted,
            (Some(now), Some((record, saved))) if is_as_saved(now, saved, record.saved_at) => Belief::Trusted,
            (Some(_), Some(_)) => Belief::Doubted,
        });
    }
    let places = files.read_places();
    let of_piece = |piece: PieceIndex| {
        let spans = files.map.spans(layout.range(piece));
        let beliefs = spans.filter(|span| !contents.files()[span.file.as_usize()].pad).map(|span| {
            let number = span.file.as_usize();
            let own = (beliefs[number], number);
            // What was put aside is as good as the file of parts; only pieces of several files are there.
            let aside = places.on_disk[number] == OnDisk::Absent && own.0 != Belief::Gone;
            if aside && files.map.part_offset(span.range.start).is_some() {
                (beliefs[files.parts_number()], files.parts_number())
            } else {
                own
            }
        });
        let worst = |belief: &Belief| match belief {
            Belief::Trusted => 0,
            Belief::Doubted => 1,
            Belief::Absent => 2,
            Belief::Gone => 3,
        };
        beliefs.max_by_key(|(belief, _)| worst(belief)).unwrap_or((Belief::Trusted, 0))
    };
    let mut believed = Believed {
        have: Bitfield::none(layout.pieces()),
        doubtful: Bitfield::none(layout.pieces()),
        partial: Vec::new(),
        gone: None,
    };
    for piece in layout.all() {
        let claimed = record.is_some_and(|record| record.claimed.has(piece));
        match of_piece(piece) {
            (Belief::Trusted, _) if claimed => {
                believed.have.insert(piece);
            }
            (Belief::Doubted, _) => {
                believed.doubtful.insert(piece);
            }
            (Belief::Gone | Belief::Absent, number) if claimed && believed.gone.is_none() => {
                let gone = files.error(&places, number, "looking", &io::ErrorKind::NotFound.into());
                believed.gone = Some(gone);
            }
            _ => {}
        }
    }
    for partial in record.map(|record| record.partial.as_slice()).unwrap_or_default() {
        let piece = partial.piece;
        let known = believed.have.has(piece) || believed.doubtful.has(piece);
        if !known && of_piece(piece).0 == Belief::Trusted {
            believed.partial.push(partial.clone());
        }
    }
    Ok(believed)
}

fn is_as_saved(now: Stamp, saved: FileRecord, saved_at: i64) -> bool {
    let latest = saved_at.saturating_add(WRITTEN_AFTER_SAVE);
    match saved.stamp {
        Some(stamp) if saved.open => {
            // Only the file of parts grows.
            now.length >= stamp.length && (stamp.modified..=latest).contains(&now.modified)
        }
        Some(stamp) => now == stamp,
        // Made after the save: nothing is claimed in it.
        None => now.modified <= latest,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use metainfo::{BlockIndex, InfoHash, PieceLayout};

    use super::*;
    use crate::{FileEntry, Options, Place, Storage, Unfinished};

    /// The torrent that the fuzzer's seeds speak of; `crates/hostile` has the same.
    fn contents() -> Contents {
        let layout = PieceLayout::new(100_000, 32_768).unwrap();
        let file = |name: &str, length| FileEntry { path: vec!["t".into(), name.into()], length, pad: false };
        let files = vec![file("a", 60_000), file("b", 0), file("c", 40_000)];
        Contents::new(InfoHash([7; 20]), layout, files, Bytes::from(vec![3; 80])).unwrap()
    }

    fn record() -> Record {
        let stamp = Stamp { length: 60_000, modified: 1_790_000_000_123_456_789 };
        Record {
            saved_at: 1_790_000_000_200_000_000,
            claimed: Bitfield::from_bytes(&[0b1010_0000], 4).unwrap(),
            partial: vec![PartialPiece { piece: PieceIndex(1), blocks: vec![1] }],
            files: vec![
                FileRecord { stamp: Some(stamp), open: true, unwanted: false },
                FileRecord::default(),
                FileRecord { stamp: None, open: false, unwanted: true },
                FileRecord { stamp: Some(stamp), open: true, unwanted: false },
            ],
            extra: Bytes::from_static(b"mine"),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let contents = contents();
        let bytes = record().encode(&contents);
        assert_eq!(Record::decode(&bytes, &contents), Some(record()));
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..cut], &contents), None, "{cut}");
        }
    }

    #[test]
    fn another_torrent_s_record_is_none_of_ours() {
        let contents = contents();
        let bytes = record().encode(&contents);
        let files = contents.files().to_vec();
        let other =
            Contents::new(InfoHash([8; 20]), contents.layout(), files, Bytes::from(vec![3; 80])).unwrap();
        assert_eq!(Record::decode(&bytes, &other), None);
    }

    #[test]
    fn times_are_believed_as_far_as_we_may_have_written() {
        let saved_at = 1_000_000_000_000;
        let stamp = |modified| Stamp { length: 10, modified };
        let open = FileRecord { stamp: Some(stamp(saved_at - 5)), open: true, unwanted: false };
        let shut = FileRecord { open: false, ..open };
        for (modified, while_open, after) in [
            (saved_at - 6, false, false),
            (saved_at - 5, true, true),
            (saved_at + 5, true, false),
            (saved_at + WRITTEN_AFTER_SAVE + 1, false, false),
        ] {
            assert_eq!(is_as_saved(stamp(modified), open, saved_at), while_open, "{modified}");
            assert_eq!(is_as_saved(stamp(modified), shut, saved_at), after, "{modified}");
        }
        assert!(!is_as_saved(Stamp { length: 9, modified: saved_at }, open, saved_at));
    }

    /// A record that says nothing is worth nothing, but it is no reason to fail.
    #[test]
    fn damaged_resume_data_leads_to_a_check() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let options = Options { state_directory: Some(state.clone()), ..Options::default() };
        let storage = Storage::start(options).unwrap();
        std::fs::create_dir_all(folder.path().join("t")).unwrap();
        std::fs::write(folder.path().join("t/a"), vec![1; 60_000]).unwrap();
        std::fs::write(crate::relocate::resume_path(&state, InfoHash([7; 20])), b"d7:claimed").unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let told = told.clone();
            Arc::new(move |events| told.lock().unwrap().extend(events))
        };
        let place = Place::Directory { path: folder.path().into(), unfinished: Unfinished::Suffixed };
        let store = storage.open(contents(), place, sink).unwrap();
        assert_eq!((store.have().count(), store.doubtful().count()), (0, 1));
        store.write(vec![(BlockIndex { piece: PieceIndex(9), block: 0 }, Bytes::new())]);
        store.close().wait().unwrap();
        assert!(told.lock().unwrap().is_empty());
    }

    /// `STORAGE_SEEDS=fuzz/corpus/resume cargo test -p storage seeds_for_the_fuzzer -- --ignored` writes the seeds.
    #[test]
    #[ignore = "writes the fuzzer's seeds"]
    fn seeds_for_the_fuzzer() {
        let folder = std::path::PathBuf::from(std::env::var_os("STORAGE_SEEDS").unwrap());
        let empty = Record { partial: Vec::new(), extra: Bytes::new(), ..record() };
        for (name, record) in [("partial", record()), ("whole", empty)] {
            std::fs::write(folder.join(name), record.encode(&contents())).unwrap();
        }
    }
}
