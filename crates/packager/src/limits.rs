//! How far planning and cutting go before they give up. Each limit has a reason.

/// Segments in a title: 24 hours of one-second segments.
pub const SEGMENTS_MAX: usize = 90_000;
/// Blocks walked at the beginning while looking for the first frame of every track: a minute of a film with eight
/// audio tracks.
pub const FIRST_BLOCKS_MAX: usize = 16_384;
/// Bytes of headers read at the beginning for the same purpose.
pub const FIRST_BYTES_MAX: u64 = 8 << 20;
/// Blocks walked back from the end to find the last sample of every track: half a minute of eight audio tracks.
pub const TAIL_BLOCKS_MAX: usize = 16_384;
/// Blocks walked in one stretch between keyframes while searching for the end of a track that falls silent earlier.
pub const SEARCH_BLOCKS_MAX: usize = 8_192;
/// Boundary samples looked at when the index is believed.
pub const PROBES_FEW: usize = 8;
/// Boundary samples looked at when the index, or the first ones looked at, gave cause for doubt: ten hours of a
/// keyframe every two seconds.
pub const PROBES_MAX: usize = 20_000;
/// Bytes read of a boundary sample. Parameter sets and SEI come before the first slice and take some hundred bytes.
pub const PROBE_BYTES: u64 = 512;
/// Bytes read of a boundary sample in a second try, when the first ended inside a long SEI (x264 states its options,
/// about 700 bytes; HDR10+ and caption SEI take more).
pub const PROBE_AGAIN_BYTES: u64 = 8 << 10;
/// Bytes kept of a frame that completes a codec's configuration: an E-AC-3 frame is at most 4,096.
pub const FIRST_FRAME_BYTES: u64 = 4 << 10;
/// Clusters visited where Cues are missing: 24 hours of one-second clusters.
pub const HOP_CLUSTERS_MAX: usize = 90_000;
/// Blocks visited where even clusters do not tell their size: ten hours of video and eight audio tracks.
pub const WALK_BLOCKS_MAX: usize = 4_000_000;
/// Pictures looked at behind a boundary for leading ones: HEVC and H.264 reorder at most 16.
pub const LEADING_MAX: usize = 17;
/// The largest segment that is read whole; above this block headers are hopped and the payload is left where it lies.
pub const WHOLE_SEGMENT_BYTES_MAX: u64 = 8 << 20;
/// Segments walked back to find an audio frame that was stored early.
pub const SPILL_BACK_SEGMENTS: usize = 3;
/// Bytes walked past a segment's end to find an audio frame that was stored late.
pub const SPILL_AHEAD_BYTES: u64 = 16 << 20;
/// Blocks walked past a segment's end for the same purpose.
pub const SPILL_AHEAD_BLOCKS: usize = 8_192;
/// Samples in one cut segment: a ten-minute segment of 240 pictures a second.
pub const SEGMENT_SAMPLES_MAX: usize = 1 << 18;
/// Milliseconds looked back for a subtitle that began in an earlier segment.
pub const SUBTITLE_LOOK_BACK_MS: u32 = 15_000;
/// Blocks walked in a cluster to find the one that a cue names: a cluster of five seconds of video and eight audio
/// tracks has some 3,000.
pub const CUE_BLOCKS_MAX: usize = 8_192;
/// Blocks looked at from a cluster's beginning to find the first of the video: interleaving puts it among the first.
pub const CLUSTER_BLOCKS_LOOKED_AT: usize = 256;
/// Subtitles in a track: a line a second for 24 hours.
pub const SUBTITLES_MAX: usize = 90_000;
/// Bytes of one subtitle; ASS drawings take some ten thousand.
pub const SUBTITLE_BYTES_MAX: u64 = 1 << 20;
/// Bytes walked past a segment's clusters for subtitles that were stored late.
pub const SUBTITLE_AHEAD_BYTES: u64 = 1 << 20;
/// A file without an index of which only the ends may be read is planned up to this length: reading it is reading its beginning.
pub const UNINDEXED_BYTES_MAX: u64 = 4 << 20;
/// Cues that lie before none is believed any more.
pub const LIES_MAX: usize = 16;
