//! How much one client, or all of them, may ask for; and why.

use std::time::Duration;

/// Connections at once. A household has a dozen; a browser opens six.
pub const CONNECTIONS_MAX: usize = 1_024;
/// A request's head must have come within this time; a connection idle for as long is closed.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a request's head (hyper answers 431 past it).
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Header fields of a request.
pub const HEADERS_MAX: usize = 100;
/// What is in flight when the server is told to stop may take this long.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Ranges in one `Range` field that are served as such; with more, the whole file is sent (RFC 9110 section 14.2).
pub const RANGES_MAX: usize = 16;
/// Bytes read from a file at a time: large enough that the disk sets the pace, small enough for a thousand streams.
pub const FILE_READ_BYTES: u64 = 512 * 1024;
/// Bytes of `?codecs=`.
pub const CODECS_BYTES_MAX: usize = 2_048;
/// Event streams at once.
pub const EVENT_STREAMS_MAX: usize = 256;
/// Least time between two events of one subject.
pub const EVENT_INTERVAL: Duration = Duration::from_millis(500);
/// A comment is sent on a quiet event stream this often, so that proxies and phones keep it.
pub const EVENT_KEEP_ALIVE: Duration = Duration::from_secs(20);
/// An asker for shows waits this long for the very first scan.
pub const FIRST_SCAN_WAIT: Duration = Duration::from_secs(3);
/// Bytes of a subtitle file beside a film.
pub const SIDECAR_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Texts shorter than this are not worth compressing: they fit one packet.
pub const GZIP_BYTES_MIN: usize = 1_200;
/// Bytes of a `.torrent` that is sent or fetched: one of a terabyte in 256 KiB pieces has 80 MB, of sensible pieces 10.
pub const TORRENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A request's body must have come within this time.
pub const BODY_WAIT: Duration = Duration::from_secs(60);
/// Peers that one request may name.
pub const NAMED_PEERS_MAX: usize = 256;
/// Trackers that one request may name.
pub const NAMED_TRACKERS_MAX: usize = 64;
/// Who adds a magnet waits this long for its metadata before the answer comes without files.
pub const ADD_WAIT: Duration = Duration::from_secs(2);
/// Who asks for files of a magnet waits this long for its metadata; players give up after about ten seconds.
pub const METADATA_WAIT: Duration = Duration::from_secs(8);
/// The longest wait for metadata that can be asked for.
pub const METADATA_WAIT_MAX: Duration = Duration::from_secs(30);
/// The head of an answer goes out after this long once somebody is there who may have its bytes.
pub const HEAD_WAIT: Duration = Duration::from_secs(2);
/// Who asks for bytes that are not here waits this long for somebody who may have them.
pub const NOBODY_WAIT: Duration = Duration::from_secs(8);
/// How far ahead of a reader's position the swarm is told that bytes will be wanted.
pub const READ_AHEAD_BYTES: u64 = 16 * 1024 * 1024;
/// Torrents whose files' kinds and titles are remembered.
pub const LISTINGS_MAX: usize = 4_096;
/// Files of theirs, all together: about 40 MiB.
pub const LISTINGS_FILES_MAX: usize = 200_000;
/// Characters of a client's value repeated in an error.
pub const ECHO_CHARS_MAX: usize = 80;
