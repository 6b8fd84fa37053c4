//! How much of a folder is looked at: a library is a friend's disk, but a mistaken `--target-path /` must end too.

/// Folders deeper than this below a library folder are not entered.
pub const DEPTH_MAX: usize = 24;
/// Folders looked into per scan, over all library folders.
pub const FOLDERS_MAX: usize = 200_000;
/// Films kept per scan, over all library folders.
pub const FILES_MAX: usize = 200_000;
/// Entries read of one folder.
pub const ENTRIES_PER_FOLDER_MAX: usize = 100_000;
/// Problems kept for display; the rest is only counted.
pub const PROBLEMS_MAX: usize = 100;
/// Sibling subtitle files per film.
pub const SIDECARS_PER_VIDEO_MAX: usize = 64;
/// Bytes hashed from either end of a file for its fingerprint: more than any header two releases share.
pub const FINGERPRINT_SAMPLE_BYTES: u64 = 64 * 1024;
/// Characters of a search that are looked at.
pub const SEARCH_CHARS_MAX: usize = 200;
/// Shows in one answer.
pub const SHOWS_PER_PAGE_MAX: usize = 10_000;
/// Films smaller than this and named like samples are skipped.
pub const SAMPLE_BYTES_MAX: u64 = 300 * 1024 * 1024;
/// Folders around a file, from the nearest on, that may name it: a disc's film lies four deep.
pub const NAMING_FOLDERS_MAX: usize = 6;
/// Words at the end of a subtitle's name that may follow its film's.
pub const SUBTITLE_WORDS_MAX: usize = 32;
/// Files of a torrent that are looked at: a course with its exercises has some thousands.
pub const LISTED_FILES_MAX: usize = 100_000;
/// Bytes of a path that is looked at: what Linux takes.
pub const LISTED_PATH_BYTES_MAX: usize = 4_096;
/// A `.ts` or `.mts` that is smaller is a program's source (TypeScript) and not a film (MPEG-TS).
pub const TRANSPORT_STREAM_BYTES_MIN: u64 = 256 * 1024;
