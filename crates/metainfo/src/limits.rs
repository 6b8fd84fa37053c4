//! Every bound on what a torrent or magnet may hold, with its reason. Piece counts and lengths are bounded in `layout`.

/// A `.torrent` longer than this is refused: 96 MiB, the hashes of [`PIECES_MAX`](crate::PIECES_MAX) pieces and 16 MiB of names.
pub const TORRENT_BYTES_MAX: usize = 96 << 20;

/// An info dictionary that comes from peers (BEP 9) may be this long: 32 MiB. Strangers say how long it is before anything is
/// known to be true, and torrents in use have a few MiB at most.
pub const METADATA_BYTES_MAX: usize = 32 << 20;

/// Torrents of more files are refused: 2^18.
pub const FILES_MAX: usize = 1 << 18;

/// What a file system takes as one name, in bytes; longer ones are shortened.
pub const NAME_BYTES_MAX: usize = 255;

/// Longer paths are refused: Linux takes 4,096 bytes, the download folder included.
pub const PATH_BYTES_MAX: usize = 3_500;

/// Paths of more components are refused.
pub const PATH_COMPONENTS_MAX: usize = 64;

/// Trackers past this many are ignored: magnets with hundreds are in use, and nobody asks that many.
pub const TRACKERS_MAX: usize = 512;

/// Web seeds past this many are ignored.
pub const WEB_SEEDS_MAX: usize = 128;

/// DHT nodes and peers named in a torrent or magnet, past this many, are ignored.
pub const HOSTS_MAX: usize = 256;

/// Addresses of trackers and web seeds longer than this, in bytes, are ignored.
pub const URL_BYTES_MAX: usize = 4_096;

/// Comments and the like are cut to this many bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// A magnet longer than this, in bytes, is refused.
pub const MAGNET_BYTES_MAX: usize = 256 << 10;

/// Ranges of files that a magnet selects (BEP 53), at most.
pub const SELECT_RANGES_MAX: usize = 4_096;
