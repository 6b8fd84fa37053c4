//! Opening, making, renaming and removing files beneath one folder and nowhere else, whatever links lie in it.
//!
//! `openat2` with `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS` (Linux 5.6): links that stay beneath are followed, others are
//! refused by the kernel, so there is no moment between looking and opening. Where it is missing or forbidden, each step
//! is opened without following any link.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags},
    io::Errno,
};

/// Attempts at a path whose folders somebody renames meanwhile (`EAGAIN`).
const ATTEMPTS_MAX: usize = 16;

/// A folder that stays the top of everything that is opened through it.
#[derive(Debug)]
pub(crate) struct Top {
    fd: OwnedFd,
    path: PathBuf,
}

impl Top {
    /// Opens the folder; links on the way to it are the user's own.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens the folder, made first if it is not there.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        match Self::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(path)?;
                Self::open(path)
            }
            other => other,
        }
    }

    /// The full path, for people.
    pub(crate) fn name(&self, path: &[String]) -> PathBuf {
        path.iter().fold(self.path.clone(), |whole, step| whole.join(step))
    }

    /// Opens a regular file; anything else that has the name is refused.
    pub(crate) fn file(&self, path: &[String], writing: bool) -> io::Result<File> {
        let access = if writing { OFlags::RDWR } else { OFlags::RDONLY };
        self.regular(path, access, Mode::empty())
    }

    /// Makes a file that is not there, and the folders above it.
    pub(crate) fn new_file(&self, path: &[String]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        match self.regular(path, flags, mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folders(path)?;
                self.regular(path, flags, mode)
            }
            other => other,
        }
    }

    fn regular(&self, path: &[String], flags: OFlags, mode: Mode) -> io::Result<File> {
        // NONBLOCK: opening a FIFO must not wait for its other end.
        let file = File::from(self.step(path, flags | OFlags::NONBLOCK | OFlags::NOCTTY, mode)?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "not a regular file"))
        }
    }

    /// What is known of the file of that name; `None` when there is none.
    pub(crate) fn look(&self, path: &[String]) -> io::Result<Option<std::fs::Metadata>> {
        match self.step(path, OFlags::PATH, Mode::empty()) {
            Ok(fd) => File::from(fd).metadata().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renames within this folder; a file that has the new name already stays, and that is an error.
    pub(crate) fn rename(&self, from: &[String], to: &[String]) -> io::Result<()> {
        self.rename_to(from, self, to)
    }

    /// Renames into another folder of the same file system.
    pub(crate) fn rename_to(&self, from: &[String], top: &Self, to: &[String]) -> io::Result<()> {
        let (old, new) = (self.parent(from)?, top.parent(to)?);
        let (old_name, new_name) = (last(from)?, last(to)?);
        match rustix::fs::renameat_with(&old, old_name, &new, new_name, RenameFlags::NOREPLACE) {
            // Some network file systems do not know the flag.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if rustix::fs::statat(&new, new_name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                    return Err(Errno::EXIST.into());
                }
                Ok(rustix::fs::renameat(&old, old_name, &new, new_name)?)
            }
            other => Ok(other?),
        }
    }

    /// Removes a file, or the link of that name; whether there was one.
    pub(crate) fn remove_file(&self, path: &[String]) -> io::Result<bool> {
        self.remove(path, AtFlags::empty())
    }

    /// Removes a folder if it is empty; whether it was.
    pub(crate) fn remove_folder(&self, path: &[String]) -> io::Result<bool> {
        match self.remove(path, AtFlags::REMOVEDIR) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
            other => other,
        }
    }

    fn remove(&self, path: &[String], flags: AtFlags) -> io::Result<bool> {
        let removed =
            self.parent(path).and_then(|parent| Ok(rustix::fs::unlinkat(parent, last(path)?, flags)?));
        match removed {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the folders above `path`.
    pub(crate) fn make_folders(&self, path: &[String]) -> io::Result<()> {
        for depth in 1..path.len() {
            let parent = self.parent(&path[..depth])?;
            let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
            match rustix::fs::mkdirat(parent, path[depth - 1].as_str(), mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The folder that `path` lies in.
    fn parent(&self, path: &[String]) -> io::Result<OwnedFd> {
        match path.split_last() {
            Some((_, above)) if !above.is_empty() => {
                self.step(above, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            }
            _ => Ok(self.fd.try_clone()?),
        }
    }

    fn step(&self, path: &[String], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..ATTEMPTS_MAX {
            match rustix::fs::openat2(&self.fd, path.join("/"), flags, mode, resolve) {
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                    return walk(self.fd.as_fd(), path, flags, mode);
                }
                Err(Errno::XDEV | Errno::LOOP) => return Err(leads_out()),
                other => return Ok(other?),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

/// Without `openat2`: one step after the other, no link followed.
fn walk(top: BorrowedFd<'_>, path: &[String], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let (name, above) = path.split_last().ok_or(Errno::INVAL)?;
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: Option<OwnedFd> = None;
    for step in above {
        let from = at.as_ref().map_or(top, AsFd::as_fd);
        at = Some(rustix::fs::openat(from, step.as_str(), folder, Mode::empty()).map_err(no_link)?);
    }
    let from = at.as_ref().map_or(top, AsFd::as_fd);
    let fd = rustix::fs::openat(from, name.as_str(), flags | OFlags::NOFOLLOW, mode).map_err(no_link)?;
    // With PATH, a link itself is opened instead of refused.
    if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == rustix::fs::FileType::Symlink {
        return Err(leads_out());
    }
    Ok(fd)
}

fn no_link(error: Errno) -> io::Error {
    if error == Errno::LOOP { leads_out() } else { error.into() }
}

fn leads_out() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "a link leads out of the download folder")
}

fn last(path: &[String]) -> io::Result<&str> {
    path.last().map(String::as_str).ok_or_else(|| Errno::INVAL.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('/').map(String::from).collect()
    }

    #[test]
    fn links_that_lead_out_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        symlink(outside.path(), inside.path().join("folder")).unwrap();
        symlink(outside.path().join("secret"), inside.path().join("file")).unwrap();
        symlink("/proc/self/fd/0", inside.path().join("magic")).unwrap();
        let top = Top::open(inside.path()).unwrap();
        for name in ["folder/secret", "file", "folder/new", "magic", "folder/deep/new"] {
            assert!(top.file(&path(name), false).is_err(), "{name}");
            assert!(top.file(&path(name), true).is_err(), "{name}");
            assert!(top.new_file(&path(name)).is_err(), "{name}");
            assert!(walk(top.fd.as_fd(), &path(name), OFlags::RDONLY, Mode::empty()).is_err(), "{name}");
            assert!(walk(top.fd.as_fd(), &path(name), OFlags::PATH, Mode::empty()).is_err(), "{name}");
        }
        assert!(top.rename(&path("file"), &path("folder/moved")).is_err());
        assert!(top.remove_file(&path("folder/secret")).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_neither_opened_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let top = Top::open(folder.path()).unwrap();
        assert!(top.file(&path("fifo"), false).is_err());
        assert!(top.file(&path("folder"), false).is_err());
    }

    #[test]
    fn folders_are_made_above_a_new_file_and_go_when_empty() {
        let folder = tempfile::tempdir().unwrap();
        let top = Top::make(&folder.path().join("downloads")).unwrap();
        drop(top.new_file(&path("a/b/c")).unwrap());
        assert!(top.new_file(&path("a/b/c")).is_err());
        assert!(!top.remove_folder(&path("a/b")).unwrap());
        top.rename(&path("a/b/c"), &path("a/d")).unwrap();
        assert!(top.look(&path("a/b/c")).unwrap().is_none());
        assert!(top.look(&path("a/d")).unwrap().is_some_and(|found| found.is_file()));
        assert!(top.remove_folder(&path("a/b")).unwrap() && top.remove_file(&path("a/d")).unwrap());
        assert!(!top.remove_file(&path("a/d")).unwrap());
    }

    #[test]
    fn renaming_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let top = Top::open(folder.path()).unwrap();
        drop((top.new_file(&path("a")).unwrap(), top.new_file(&path("b")).unwrap()));
        assert_eq!(top.rename(&path("a"), &path("b")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
