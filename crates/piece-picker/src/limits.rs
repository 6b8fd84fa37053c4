//! Bounds and margins of the picker, each with its reason.

use std::time::Duration;

use metainfo::BLOCK_LENGTH;

/// A piece that more leechers have is as common as any: rarity beyond it decides nothing, and each step costs a bucket.
pub(crate) const RARITY_MAX: usize = 63;

/// So many pieces of a window are served in strict order; what lies beyond is fetched when the window has moved on.
pub const WINDOW_PIECES_MAX: u32 = 2048;

/// So many readers of one torrent have windows; a player has a few.
pub const READERS_MAX: usize = 256;

/// So many entries of the rarity order are tried for a peer that has few pieces; then sets are intersected.
pub(crate) const WALK_MAX: usize = 48;

/// So many pieces that such a peer has are compared for rarity.
pub(crate) const CANDIDATES_MAX: usize = 32;

/// After a change of more pieces at once the rarity order is rebuilt instead of mended.
pub(crate) const MEND_MAX: u32 = 48;

/// So many cancelled requests are remembered per peer, whose blocks are accepted when they come all the same. A peer that was
/// asked for more is one at hundreds of MiB/s, whose blocks are cheap.
pub(crate) const GHOSTS_MAX: usize = 4096;

/// So many pieces a peer refused are remembered; the oldest are asked for again.
pub(crate) const REFUSED_MAX: usize = 64;

/// A peer is not asked for a piece that it refused for so long: without an end nobody would ask the only one who has it.
pub(crate) const REFUSED_FOR: Duration = Duration::from_secs(10);

/// So many late requests are remembered until `expired` tells of them.
pub(crate) const REPORTS_MAX: usize = 4096;

/// Bytes that may come twice, per hundred received.
pub const WASTE_PERCENT: u64 = 3;

/// Bytes that may come twice before anything is received: else a start could never race a peer that does not answer.
pub(crate) const WASTE_FLOOR: u64 = 8 * BLOCK_LENGTH as u64;

/// A cancelled block is reckoned to come all the same for so long: what the sender has written arrives, and one with a token bucket
/// is silent for half a second before. Who has the fast extension says sooner.
pub(crate) const STRAY_RECKONED: Duration = Duration::from_secs(4);

/// Others are not asked for a block that was cancelled at a jump and may come all the same for so long, unless a reader waits for
/// it: by then most have come, and a peer without the fast extension never says that it will not send it.
pub(crate) const STRAY_AWAITED: Duration = Duration::from_millis(1_000);

/// So many cancelled blocks are reckoned with: a short pipeline to each of many peers. With more, the oldest are forgotten.
pub(crate) const STRAYS_MAX: usize = 256;

/// A peer of unknown rate is asked for so many urgent blocks to measure it.
pub(crate) const PROBE_BLOCKS: usize = 3;

/// What a peer is taken to deliver when nothing is known of any peer, in bytes per second.
pub(crate) const RATE_ASSUMED: u64 = 256 << 10;

/// What a peer of unknown rate is taken to deliver at most when the rates of others are known: it is measured with blocks that
/// the reader does not wait for.
pub(crate) const RATE_DOUBTED: u64 = 64 << 10;

/// Estimates stay within 64 bits up to this rate, in bytes per second.
pub(crate) const RATE_MAX: u64 = 1 << 40;

/// A request may be raced after its expected duration and half of it again, and this: schedulers and rate limiters send in
/// gusts.
pub(crate) const LATE_SLACK: Duration = Duration::from_millis(50);

/// The same for a peer of unknown rate.
pub(crate) const LATE_SLACK_UNKNOWN: Duration = Duration::from_millis(1_000);

/// A request so long past its time is taken away from its peer.
pub(crate) const REVOKE_AFTER: Duration = Duration::from_secs(15);

/// In bulk others help with a piece whose owner needs longer than this for what is not even requested of it.
pub(crate) const HELP_AFTER: Duration = Duration::from_secs(10);

/// A peer without requests is counted on to take some for so long: after a seek all peers are without, until each was asked.
pub(crate) const TRUST_IDLE: Duration = Duration::from_millis(100);

/// No request is given longer than this, however slow its peer, before others may be asked.
pub(crate) const EXPECTED_MAX: Duration = Duration::from_secs(30);

/// In bulk's endgame a block may be asked for here too if its peer needs this many times longer to come to it ...
pub(crate) const ENDGAME_SOONER: u64 = 3;

/// ... and this time more: what is gained must be worth a block sent twice.
pub(crate) const ENDGAME_SLACK: Duration = Duration::from_millis(200);

/// In the piece that a reader waits for, if it is expected this many times later than from here ...
pub(crate) const HURRY_SOONER: u64 = 2;

/// ... and this time more.
pub(crate) const HURRY_SLACK: Duration = Duration::from_millis(50);

/// Who has delivered fewer blocks is a stranger: what its rate seems to be may be a burst.
pub(crate) const STRANGER_BLOCKS: u32 = 16;

/// So many pieces at the front of the windows are looked through for such requests.
pub(crate) const HURRY_PIECES: usize = 2;

/// After a jump, requests are cancelled that a reader will need only so long after the first piece of the new window.
pub(crate) const GIVE_WAY: Duration = Duration::from_secs(2);

/// A peer that is slower than the fastest by this factor keeps its requests when a reader jumps: the others will have served the
/// reader before it comes to anything else.
pub(crate) const SLOW_PEER: u64 = 16;
