//! The first frames of every track: when it begins, how long its frames are, where its first keyframe is.

use byte_source::ByteRange;
use container::{ContainerError, Movie, TrackKind, matroska::MatroskaIndex};

use crate::{
    limits,
    script::Asker,
    walk::{Seen, Walk},
};

/// The beginning of a track.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Its first frame; for video its first keyframe.
    pub(crate) first: Seen,
    /// Times of its first frames in file order, nanoseconds; of a lace only the first frame's.
    pub(crate) times: Vec<i64>,
    /// Smallest of them.
    pub(crate) earliest: i64,
    /// Frames seen.
    pub(crate) frames: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Video pictures before the first keyframe.
    pub(crate) dropped: u64,
}

/// Frames of a track after which enough is known of it: more than any decoder holds back for reordering.
const FRAMES_ENOUGH: u64 = 18;
/// Frames of a track without which nothing is known of it.
const FRAMES_LEAST: u64 = 3;

/// Walks from the first cluster until every audio and video track has shown itself. By track; `None` for one that has
/// not, and for other kinds.
pub(crate) async fn look(
    ask: &Asker,
    movie: &Movie,
    index: &MatroskaIndex,
) -> Result<Vec<Option<Head>>, ContainerError> {
    let mut heads: Vec<Option<Head>> = movie.tracks.iter().map(|_| None).collect();
    let Some(first) = index.first_cluster else { return Ok(heads) };
    let mut dropped: Vec<u64> = vec![0; heads.len()];
    let mut walk = Walk::hop(movie, ByteRange::new(first, index.clusters_end));
    let read_before = ask.bytes_asked();
    for _ in 0..limits::FIRST_BLOCKS_MAX {
        if ask.bytes_asked() - read_before > limits::FIRST_BYTES_MAX || enough(movie, &heads) {
            break;
        }
        let Some(seen) = walk.next(ask).await? else { break };
        let Some(track) = movie.tracks.get(seen.track) else { continue };
        let (Some(head), Some(dropped)) = (heads.get_mut(seen.track), dropped.get_mut(seen.track)) else {
            continue;
        };
        match head {
            None if track.kind == TrackKind::Video && !seen.sync => *dropped += 1,
            None => {
                *head = Some(Head {
                    times: vec![seen.ns],
                    earliest: seen.ns,
                    frames: 1,
                    bytes: seen.bytes.len(),
                    dropped: *dropped,
                    first: seen,
                });
            }
            Some(head) if head.frames < FRAMES_ENOUGH => head.add(&seen),
            Some(_) => {}
        }
    }
    Ok(heads)
}

impl Head {
    fn add(&mut self, seen: &Seen) {
        self.frames += 1;
        self.bytes += seen.bytes.len();
        if seen.lace == 0 {
            self.times.push(seen.ns);
        }
        self.earliest = self.earliest.min(seen.ns);
    }

    /// Mean bytes of a frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        self.bytes.div_ceil(self.frames.max(1))
    }
}

/// Every track that is played has shown enough.
fn enough(movie: &Movie, heads: &[Option<Head>]) -> bool {
    let mut played =
        movie.tracks.iter().zip(heads).filter(|(t, _)| matches!(t.kind, TrackKind::Video | TrackKind::Audio));
    played.all(|(_, head)| head.as_ref().is_some_and(|h| h.frames >= FRAMES_LEAST))
}
