//! Moving a torrent's files beneath another folder, and removing them.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::{fs::SeekFrom, io::Errno};

use crate::{
    StorageError,
    beneath::Top,
    files::{Files, OnDisk},
};

/// Bytes copied at once between file systems.
const COPY_BYTES: usize = 1 << 20;

/// A file that is at its new place already.
struct Done {
    path: Vec<String>,
    copied: bool,
}

/// Moves every file. If one cannot be moved, those before it are put back.
pub(crate) fn move_to(files: &Files, to: &Path) -> Result<(), StorageError> {
    let mut places = files.write_places();
    files.pool.close(files.torrent, None);
    let whole = |error: &io::Error, path: &Path| StorageError::from_io(path.to_owned(), 0, "moving", error);
    let new = Top::make(to).map_err(|error| whole(&error, to))?;
    let Ok(old) = Top::open(&places.top) else {
        // Nothing was written yet.
        places.top = to.to_owned();
        return Ok(());
    };
    let mut done: Vec<Done> = Vec::new();
    for number in 0..=files.parts_number() {
        let on_disk = places.on_disk.get(number).copied().unwrap_or(OnDisk::Named);
        let path = files.path(number, on_disk);
        let there = on_disk != OnDisk::Absent && matches!(old.look(&path), Ok(Some(_)));
        if !there {
            continue;
        }
        match move_one(&old, &new, &path) {
            Ok(copied) => done.push(Done { path, copied }),
            Err(error) => {
                for Done { path, copied } in done {
                    let _ = if copied {
                        new.remove_file(&path).map(drop)
                    } else {
                        new.rename_to(&path, &old, &path)
                    };
                }
                return Err(whole(&error, &new.name(&path)));
            }
        }
    }
    for Done { path, .. } in done.iter().filter(|done| done.copied) {
        old.remove_file(path).map_err(|error| whole(&error, &old.name(path)))?;
    }
    let paths = done.into_iter().map(|done| done.path);
    remove_empty_folders(&old, paths);
    places.top = to.to_owned();
    places.moves += 1;
    Ok(())
}

/// Whether it had to be copied.
fn move_one(old: &Top, new: &Top, path: &[String]) -> io::Result<bool> {
    new.make_folders(path)?;
    match old.rename_to(path, new, path) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let to = new.new_file(path)?;
            let copied = copy(&old.file(path, false)?, &to);
            if copied.is_err() {
                let _ = new.remove_file(path);
            }
            copied.map(|()| true)
        }
        other => other.map(|()| false),
    }
}

/// Copies what was written; holes stay holes. The times as well, by which resume data knows the file.
fn copy(from: &File, to: &File) -> io::Result<()> {
    let found = from.metadata()?;
    to.set_len(found.len())?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < found.len() {
        let data = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(_) => at,
        };
        let hole = rustix::fs::seek(from, SeekFrom::Hole(data)).unwrap_or(found.len());
        at = data;
        while at < hole {
            let length = usize::try_from(hole - at).unwrap_or(usize::MAX).min(COPY_BYTES);
            from.read_exact_at(&mut buffer[..length], at)?;
            to.write_all_at(&buffer[..length], at)?;
            at += length as u64;
        }
    }
    to.set_modified(found.modified()?)?;
    to.sync_all()
}

/// Removes the torrent's own files, and the folders that are empty then.
pub(crate) fn remove(files: &Files) -> Result<(), StorageError> {
    let mut places = files.write_places();
    files.pool.close(files.torrent, None);
    let Ok(top) = Top::open(&places.top) else { return Ok(()) };
    let mut result = Ok(());
    let mut paths = Vec::new();
    for number in 0..=files.parts_number() {
        let on_disk = places.on_disk.get(number).copied().unwrap_or(OnDisk::Named);
        if on_disk == OnDisk::Absent {
            continue;
        }
        let path = files.path(number, on_disk);
        match top.remove_file(&path) {
            Ok(_) => {
                if let Some(on_disk) = places.on_disk.get_mut(number) {
                    *on_disk = OnDisk::Absent;
                }
                paths.push(path);
            }
            // The others go all the same.
            Err(error) => result = Err(files.error(&places, number, "removing", &error)),
        }
    }
    remove_empty_folders(&top, paths);
    result
}

/// Removes the folders above `paths` that are empty, the deepest first.
fn remove_empty_folders(top: &Top, paths: impl IntoIterator<Item = Vec<String>>) {
    let mut folders = BTreeSet::new();
    for path in paths {
        for depth in 1..path.len() {
            folders.insert(path[..depth].to_vec());
        }
    }
    for folder in folders.iter().rev() {
        let _ = top.remove_folder(folder);
    }
}

/// Where resume data of a torrent is kept.
pub(crate) fn resume_path(folder: &Path, info_hash: metainfo::InfoHash) -> PathBuf {
    folder.join(format!("{info_hash}.resume"))
}
