//! One walk over the library folders: which films are there, which subtitles lie beside them, what could not be read.
//!
//! Follows symbolic links only to places inside a library folder, and each folder once. Hidden names and
//! samples are skipped. A folder that cannot be read is a [`Problem`], never the end of the scan.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    identity::Fingerprint,
    kind::{self, FileKind},
    limits::{DEPTH_MAX, ENTRIES_PER_FOLDER_MAX, FILES_MAX, FOLDERS_MAX, PROBLEMS_MAX},
    named::stem,
    sidecars::SidecarFormat,
};

/// Something that kept files from being seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// What, in the system's words or ours.
    pub what: String,
}

/// A film as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which library folder, as an index into those given.
    pub(crate) root: usize,
    /// Path below that folder.
    pub(crate) relative: PathBuf,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    pub(crate) fingerprint: Fingerprint,
}

/// A subtitle file as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundSubtitle {
    pub(crate) root: usize,
    pub(crate) relative: PathBuf,
    pub(crate) format: SidecarFormat,
    pub(crate) size: u64,
}

/// What one walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) files: Vec<Found>,
    pub(crate) subtitles: Vec<FoundSubtitle>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) problems_left_off: usize,
}

/// Folder names whose content is nobody's film.
const SKIPPED_FOLDERS: &[&str] = &["@eadir", "lost+found", "$recycle.bin", "system volume information"];

/// Walks; remembers fingerprints between walks by inode, so that a rescan reads only what changed and a renamed
/// folder costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    memo: HashMap<(u64, u64), Memo>,
}

#[derive(Clone, Copy, Debug)]
struct Memo {
    size: u64,
    modified: (i64, i64),
    fingerprint: Fingerprint,
}

struct Walk<'a> {
    roots: &'a [PathBuf],
    /// The same, resolved; what a symbolic link may lead into.
    real_roots: Vec<PathBuf>,
    seen: HashSet<(u64, u64)>,
    folders: usize,
    scan: Scan,
    memo: HashMap<(u64, u64), Memo>,
}

impl Scanner {
    pub(crate) fn scan(&mut self, roots: &[PathBuf]) -> Scan {
        let mut walk = Walk {
            roots,
            real_roots: roots.iter().filter_map(|root| fs::canonicalize(root).ok()).collect(),
            seen: HashSet::new(),
            folders: 0,
            scan: Scan::default(),
            memo: HashMap::new(),
        };
        for index in 0..roots.len() {
            walk.root(index, &self.memo);
        }
        self.memo = walk.memo;
        let mut scan = walk.scan;
        scan.files.sort_by(|a, b| (a.root, &a.relative).cmp(&(b.root, &b.relative)));
        scan.subtitles.sort_by(|a, b| (a.root, &a.relative).cmp(&(b.root, &b.relative)));
        scan
    }
}

impl Walk<'_> {
    fn problem(&mut self, path: &Path, what: impl ToString) {
        if self.scan.problems.len() < PROBLEMS_MAX {
            self.scan.problems.push(Problem { path: path.to_owned(), what: what.to_string() });
        } else {
            self.scan.problems_left_off += 1;
        }
    }

    fn root(&mut self, index: usize, memo: &HashMap<(u64, u64), Memo>) {
        let Some(root) = self.roots.get(index).cloned() else { return };
        let mut stack = vec![(PathBuf::new(), 0_usize)];
        while let Some((relative, depth)) = stack.pop() {
            let path = root.join(&relative);
            if self.folders >= FOLDERS_MAX {
                self.problem(&path, format!("not looked into: more than {FOLDERS_MAX} folders"));
                return;
            }
            self.folders += 1;
            match fs::metadata(&path) {
                Ok(meta) if !meta.is_dir() => {
                    self.problem(&path, "not a folder");
                    continue;
                }
                // Two library folders may overlap and links may loop: each folder is walked once.
                Ok(meta) if !self.seen.insert((meta.dev(), meta.ino())) => continue,
                Ok(_) => {}
                Err(error) => {
                    self.problem(&path, error);
                    continue;
                }
            }
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) => {
                    self.problem(&path, error);
                    continue;
                }
            };
            for (count, entry) in entries.enumerate() {
                if count >= ENTRIES_PER_FOLDER_MAX {
                    self.problem(&path, format!("has more than {ENTRIES_PER_FOLDER_MAX} entries"));
                    break;
                }
                match entry {
                    Ok(entry) => {
                        if let Some(folder) = self.entry(index, &relative, &entry, memo) {
                            if depth >= DEPTH_MAX {
                                self.problem(&root.join(&folder), format!("deeper than {DEPTH_MAX} folders"));
                            } else {
                                stack.push((folder, depth + 1));
                            }
                        }
                    }
                    Err(error) => self.problem(&path, error),
                }
            }
        }
    }

    /// Takes one entry in; a folder is handed back to be walked.
    fn entry(
        &mut self,
        root: usize,
        parent: &Path,
        entry: &fs::DirEntry,
        memo: &HashMap<(u64, u64), Memo>,
    ) -> Option<PathBuf> {
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if shown.starts_with('.') {
            return None;
        }
        let (path, relative) = (entry.path(), parent.join(&name));
        let mut kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                self.problem(&path, error);
                return None;
            }
        };
        if kind.is_symlink() {
            match self.follow(&path) {
                Ok(target) => kind = target,
                Err(what) => {
                    self.problem(&path, what);
                    return None;
                }
            }
        }
        if kind.is_dir() {
            let skipped = SKIPPED_FOLDERS.contains(&shown.to_lowercase().as_str())
                || kind::of_folder(&shown) == Some(FileKind::Sample);
            return (!skipped).then_some(relative);
        }
        if kind.is_file() {
            let extension = kind::extension(Path::new(&name));
            if FileKind::of_extension(&extension).is_playable() {
                if let Err(error) = self.file(root, &path, relative, memo) {
                    self.problem(&path, error);
                }
            } else if let Some(format) = SidecarFormat::from_extension(&extension)
                && self.scan.subtitles.len() < FILES_MAX
                && let Ok(meta) = fs::metadata(&path)
            {
                self.scan.subtitles.push(FoundSubtitle { root, relative, format, size: meta.len() });
            }
        }
        None
    }

    /// What a link leads to, if that is inside a library folder.
    fn follow(&self, link: &Path) -> Result<fs::FileType, String> {
        let target = fs::canonicalize(link).map_err(|error| format!("link leads nowhere: {error}"))?;
        if !self.real_roots.iter().any(|root| target.starts_with(root)) {
            return Err(format!(
                "link leads out of the library to {}: add that folder too",
                target.display()
            ));
        }
        fs::metadata(&target).map(|meta| meta.file_type()).map_err(|error| error.to_string())
    }

    fn file(
        &mut self,
        root: usize,
        path: &Path,
        relative: PathBuf,
        memo: &HashMap<(u64, u64), Memo>,
    ) -> io::Result<()> {
        if self.scan.files.len() >= FILES_MAX {
            return Err(io::Error::other(format!("not taken in: more than {FILES_MAX} films")));
        }
        let meta = fs::metadata(path)?;
        if meta.len() == 0 || kind::is_sample(&stem(&relative), meta.len()) {
            return Ok(());
        }
        let (inode, modified) = ((meta.dev(), meta.ino()), (meta.mtime(), meta.mtime_nsec()));
        let known = memo.get(&inode).filter(|m| m.size == meta.len() && m.modified == modified);
        let fingerprint = match known {
            Some(memo) => memo.fingerprint,
            None => Fingerprint::of(&File::open(path)?, meta.len())?,
        };
        self.memo.insert(inode, Memo { size: meta.len(), modified, fingerprint });
        self.scan.files.push(Found {
            root,
            relative,
            size: meta.len(),
            modified: meta.modified()?,
            fingerprint,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn names(scan: &Scan) -> Vec<String> {
        scan.files.iter().map(|f| f.relative.display().to_string()).collect()
    }

    #[test]
    fn films_are_found_and_the_rest_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "a.mkv",
            "B/b.MP4",
            "B/b-sample.mkv",
            ".hidden.mkv",
            ".h/x.mkv",
            "Sample/s.mkv",
            "n.txt",
            "a.en.srt",
        ] {
            write(dir.path(), name, name);
        }
        write(dir.path(), "empty.mkv", "");
        let scan = Scanner::default().scan(&[dir.path().to_owned()]);
        assert_eq!(names(&scan), ["B/b.MP4", "a.mkv"]);
        assert_eq!(scan.subtitles.len(), 1);
        assert_eq!(scan.problems, []);
    }

    #[test]
    fn links_that_loop_or_lead_out_end_nothing() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(dir.path(), "a/film.mkv", "x");
        write(outside.path(), "secret.mkv", "y");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.mkv"), dir.path().join("out.mkv")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.mkv")).unwrap();
        let scan = Scanner::default().scan(&[dir.path().to_owned()]);
        assert_eq!(names(&scan), ["a/film.mkv"]);
        assert_eq!(scan.problems.len(), 3);
    }

    #[test]
    fn a_missing_folder_is_reported_and_the_others_are_scanned() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "film.mkv", "x");
        let scan = Scanner::default().scan(&[dir.path().join("nope"), dir.path().to_owned()]);
        assert_eq!(names(&scan), ["film.mkv"]);
        assert_eq!(scan.problems.len(), 1);
    }

    #[test]
    fn overlapping_folders_give_each_film_once() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a/film.mkv", "x");
        let scan = Scanner::default().scan(&[dir.path().to_owned(), dir.path().join("a")]);
        assert_eq!(scan.files.len(), 1);
    }

    #[test]
    fn a_rescan_reads_only_what_changed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a/film.mkv", "x");
        let mut scanner = Scanner::default();
        let first = scanner.scan(&[dir.path().to_owned()]);
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        // Unreadable now: only the memo can know the fingerprint (unless the test runs as root, who reads anyway).
        let second = scanner.scan(&[dir.path().to_owned()]);
        assert_eq!(names(&second), ["b/film.mkv"]);
        assert_eq!(first.files[0].fingerprint, second.files[0].fingerprint);
        write(dir.path(), "b/film.mkv", "other");
        let third = scanner.scan(&[dir.path().to_owned()]);
        assert_ne!(second.files[0].fingerprint, third.files[0].fingerprint);
    }
}
