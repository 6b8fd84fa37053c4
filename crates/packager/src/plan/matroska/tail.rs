//! The end of every track: the last cluster's blocks, more only where a track is silent there.

use byte_source::ByteRange;
use container::{ContainerError, Movie, TrackKind, matroska::MatroskaIndex};

use crate::{
    limits,
    script::Asker,
    walk::{Seen, Walk},
};

/// The end of a track.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    /// Times of its last frames, nanoseconds, ascending; of a lace only the first frame's.
    pub(crate) times: Vec<i64>,
    /// Its frame with the greatest time.
    pub(crate) last: Option<Seen>,
}

/// Pictures that must have been seen for the last shown to be among them: more than any decoder reorders.
const PICTURES_LEAST: usize = 18;

/// Walks the last cluster, then the one before, and so on, until every audio and video track has been seen or the walk
/// has gone through all of `clusters` (offsets, ascending). By track.
pub(crate) async fn look(
    ask: &Asker,
    movie: &Movie,
    index: &MatroskaIndex,
    clusters: &[u64],
) -> Result<Vec<Tail>, ContainerError> {
    let mut tails: Vec<Tail> = vec![Tail::default(); movie.tracks.len()];
    let mut blocks = limits::TAIL_BLOCKS_MAX;
    let mut end = index.clusters_end;
    let mut unseen = clusters;
    while let [rest @ .., start] = unseen {
        let mut walk = Walk::hop(movie, ByteRange::new(*start, end));
        let mut earlier: Vec<Tail> = vec![Tail::default(); movie.tracks.len()];
        while blocks > 0 {
            let Some(seen) = walk.next(ask).await? else { break };
            blocks -= 1;
            if let Some(tail) = earlier.get_mut(seen.track) {
                tail.add(seen);
            }
        }
        for (tail, earlier) in tails.iter_mut().zip(earlier) {
            tail.put_before(earlier);
        }
        end = *start;
        unseen = rest;
        if blocks == 0 || seen_all(movie, &tails) {
            break;
        }
    }
    for (n, (track, tail)) in movie.tracks.iter().zip(&mut tails).enumerate() {
        if track.kind == TrackKind::Audio && tail.last.is_none() {
            *tail = search(ask, movie, n, unseen, end).await?;
        }
    }
    for tail in &mut tails {
        tail.times.sort_unstable();
    }
    Ok(tails)
}

/// The end of a track that falls silent long before the others, by halving: it is there up to some cluster, and not
/// after. `end` is where the last of `clusters` ends.
async fn search(
    ask: &Asker,
    movie: &Movie,
    track: usize,
    clusters: &[u64],
    end: u64,
) -> Result<Tail, ContainerError> {
    let mut found = Tail::default();
    let (mut low, mut high) = (0, clusters.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(start) = clusters.get(middle) else { break };
        let end = clusters.get(middle + 1).copied().unwrap_or(end);
        let mut walk = Walk::hop(movie, ByteRange::new(*start, end));
        let mut tail = Tail::default();
        for _ in 0..limits::SEARCH_BLOCKS_MAX {
            match walk.next(ask).await? {
                Some(seen) if seen.track == track => tail.add(seen),
                Some(_) => {}
                None => break,
            }
        }
        if tail.last.is_some() {
            found = tail;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

impl Tail {
    fn add(&mut self, seen: Seen) {
        if seen.lace == 0 {
            self.times.push(seen.ns);
        }
        if self.last.as_ref().is_none_or(|last| seen.ns >= last.ns) {
            self.last = Some(seen);
        }
    }

    fn put_before(&mut self, earlier: Self) {
        self.times.extend(earlier.times);
        let later = self.last.as_ref().map(|last| last.ns);
        if let Some(last) = earlier.last
            && later.is_none_or(|ns| last.ns > ns)
        {
            self.last = Some(last);
        }
    }
}

fn seen_all(movie: &Movie, tails: &[Tail]) -> bool {
    movie.tracks.iter().zip(tails).all(|(track, tail)| match track.kind {
        TrackKind::Video => tail.times.len() >= PICTURES_LEAST,
        TrackKind::Audio => tail.last.is_some(),
        TrackKind::Subtitle | TrackKind::Other => true,
    })
}
