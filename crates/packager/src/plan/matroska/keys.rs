//! Where keyframes are: the Cues if they can be believed, else clusters looked into, else every block's head.

use byte_source::ByteRange;
use container::{
    ContainerError, Format, Movie, Track, TrackKind,
    codec::RandomAccess,
    matroska::{CuePoint, MatroskaIndex},
};

use super::first::Head;
use crate::{
    limits,
    plan::{PlanOptions, Reach, probe},
    script::Asker,
    walk::{self, Seen, Walk},
};

/// A keyframe, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its time as stored, nanoseconds.
    pub(crate) ns: i64,
    /// Smallest time of the pictures that belong to it, nanoseconds.
    pub(crate) start_ns: i64,
    /// Offset of its cluster.
    pub(crate) cluster: u64,
    /// The cue that names it.
    pub(crate) cue: Option<CuePoint>,
    /// Its payload, where the block was seen.
    payload: Option<ByteRange>,
    /// What it is to a decoder.
    pub(crate) kind: RandomAccess,
}

/// Clusters with the time of a frame at their beginning, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clusters(Vec<(u64, i64)>);

impl Clusters {
    /// Their offsets.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        self.0.iter().map(|(offset, _)| *offset).collect()
    }

    /// The last cluster that begins at or before this time; the first if none does.
    pub(crate) fn at(&self, ns: i64) -> Option<u64> {
        let before = self.0.iter().rev().find(|(_, at)| *at <= ns);
        before.or(self.0.first()).map(|(offset, _)| *offset)
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// In order of time.
    pub(crate) all: Vec<Candidate>,
    /// The clusters from the last key's on.
    pub(crate) last_clusters: Clusters,
    /// The Cues were absent or not believed.
    pub(crate) rebuilt: bool,
    /// Some keys are open: what follows them refers to what was before.
    pub(crate) open_gop: bool,
}

/// Cues denser than this are not of keyframes (some muxers can be told to index every block); nanoseconds.
const DENSE_NS: i64 = 250_000_000;
const DENSE_COUNT: usize = 100;

/// Finds the keys of the reference track.
pub(crate) struct Finder<'a> {
    pub(crate) ask: &'a Asker,
    pub(crate) movie: &'a Movie,
    pub(crate) index: &'a MatroskaIndex,
    pub(crate) options: &'a PlanOptions,
    /// Index of the reference track.
    pub(crate) reference: usize,
    pub(crate) track: &'a Track,
}

impl Finder<'_> {
    /// Does it. `head` is the beginning of the reference track.
    pub(crate) async fn find(&self, head: &Head) -> Result<Keys, ContainerError> {
        let mut all = self.cued(head);
        let had_cues = all.len() > 1;
        let mut doubt = self.believe(&mut all).await?;
        let all_here = self.options.reach == Reach::Anywhere;
        if !all_here && (doubt || !had_cues) && self.clusters().len() > limits::UNINDEXED_BYTES_MAX {
            return Err(ContainerError::NoIndex { format: Format::Matroska });
        }
        let mut keys = Keys { rebuilt: doubt, ..Keys::default() };
        self.fill_gaps(&mut all, &mut keys, had_cues && !doubt).await?;
        if self.track.kind == TrackKind::Video {
            doubt |= self.classify(&mut all, doubt).await?;
            self.find_leading(&mut all, doubt).await?;
        }
        keys.open_gop =
            all.iter().any(|k| matches!(k.kind, RandomAccess::OpenGop | RandomAccess::RecoveryPoint));
        keys.all = all;
        Ok(keys)
    }

    fn clusters(&self) -> ByteRange {
        ByteRange::new(self.index.first_cluster.unwrap_or(0), self.index.clusters_end)
    }

    /// The first keyframe, and behind it what the Cues name.
    fn cued(&self, head: &Head) -> Vec<Candidate> {
        let first = self.of_seen(&head.first);
        let clusters = self.clusters();
        let of_cue = |cue: &CuePoint| {
            let ns = walk::cue_ns(self.movie, self.index, cue);
            let kind = RandomAccess::Unknown;
            Candidate { ns, start_ns: ns, cluster: cue.cluster, cue: Some(*cue), payload: None, kind }
        };
        let mut cues: Vec<Candidate> = self
            .index
            .cues
            .iter()
            .filter(|cue| cue.track == self.reference && clusters.contains(cue.cluster))
            .map(of_cue)
            .filter(|c| c.ns > first.ns && c.cluster >= first.cluster)
            .collect();
        cues.sort_by_key(|c| (c.ns, c.cluster));
        cues.dedup_by_key(|c| c.ns);
        let span = cues.last().map_or(0, |last| last.ns.saturating_sub(first.ns));
        let dense = i64::try_from(cues.len()).unwrap_or(i64::MAX).saturating_mul(DENSE_NS) > span;
        if cues.len() > DENSE_COUNT && dense {
            cues.clear();
        }
        cues.insert(0, first);
        cues
    }

    fn of_seen(&self, seen: &Seen) -> Candidate {
        Candidate {
            ns: seen.ns,
            start_ns: seen.ns,
            cluster: seen.cluster,
            cue: None,
            payload: Some(seen.bytes),
            kind: if self.track.kind == TrackKind::Audio {
                RandomAccess::Clean
            } else {
                RandomAccess::Unknown
            },
        }
    }

    /// Looks whether a few of the cues lead to a keyframe of their time; at all of them if one does not, and drops
    /// those that lie. Tells whether one did.
    async fn believe(&self, all: &mut Vec<Candidate>) -> Result<bool, ContainerError> {
        let mut lies = vec![false; all.len()];
        let mut look: Vec<usize> = probe::few(all.len(), self.movie.len, self.options.reach);
        let mut doubt = false;
        let (mut at, mut told) = (0, 0);
        while let Some(n) = look.get(at).copied() {
            at += 1;
            let Some(key) = all.get_mut(n).filter(|k| k.payload.is_none()) else { continue };
            match self.block_of(key).await? {
                Some(seen) if seen.sync => key.payload = Some(seen.bytes),
                _ => {
                    if let Some(lie) = lies.get_mut(n) {
                        *lie = true;
                    }
                    told += 1;
                    if told > limits::LIES_MAX {
                        // Not worth the reading: all but the first, which was seen itself, go.
                        all.truncate(1);
                        return Ok(true);
                    }
                    if !std::mem::replace(&mut doubt, true) && self.options.reach == Reach::Anywhere {
                        look = (0..all.len().min(limits::PROBES_MAX)).collect();
                        at = 0;
                    }
                }
            }
        }
        let mut lies = lies.into_iter();
        all.retain(|_| !lies.next().unwrap_or(false));
        Ok(doubt)
    }

    /// The block that a cue names; `None` if it is not where the cue says.
    async fn block_of(&self, key: &Candidate) -> Result<Option<Seen>, ContainerError> {
        if let Some(cue) = &key.cue
            && let Some(seen) = walk::cued_block(self.ask, self.movie, self.index, cue).await?
        {
            return Ok(Some(seen));
        }
        Ok(self.walk_to(key).await?.map(|(seen, _)| seen))
    }

    /// The same by walking there, with the walk.
    async fn walk_to(&self, key: &Candidate) -> Result<Option<(Seen, Walk)>, ContainerError> {
        let range = ByteRange::new(key.cluster, self.index.clusters_end);
        // A cue that leads to no cluster lies; walking on would look for the next one, far and wide.
        let head = walk::cluster_at(self.ask, range.start(), range.end()).await?;
        if head.is_none_or(|head| head.offset != key.cluster) {
            return Ok(None);
        }
        let mut walk = Walk::hop(self.movie, range);
        for _ in 0..limits::CUE_BLOCKS_MAX {
            let seen = match walk.next(self.ask).await {
                Ok(Some(seen)) if seen.cluster == key.cluster => seen,
                Err(ContainerError::Source(e)) => return Err(e.into()),
                // Garbage at the place, another cluster, the end: the cue lies.
                Ok(_) | Err(_) => return Ok(None),
            };
            if seen.track == self.reference && seen.ns == key.ns {
                return Ok(Some((seen, walk)));
            }
        }
        Ok(None)
    }

    /// Looks for keyframes where there are none for too long, and goes through the clusters behind the last one.
    async fn fill_gaps(
        &self,
        all: &mut Vec<Candidate>,
        keys: &mut Keys,
        cues_believed: bool,
    ) -> Result<(), ContainerError> {
        let most = i64::from(self.options.target_ms.saturating_mul(4).max(30_000)).saturating_mul(1_000_000);
        let mut found = Vec::new();
        for pair in all.windows(2) {
            let gap = pair[1].ns.saturating_sub(pair[0].ns);
            if gap > most && self.options.reach == Reach::Anywhere {
                let range = ByteRange::new(pair[0].cluster, pair[1].cluster);
                found.extend(self.look_through(range, most, pair[1].ns, cues_believed).await?.0);
            }
        }
        if let Some(last) = all.last()
            && super::told_end(self.movie, self.options, last.ns).is_none()
        {
            let range = ByteRange::new(last.cluster, self.index.clusters_end);
            let (behind, clusters) = self.look_through(range, most, i64::MAX, cues_believed).await?;
            found.extend(behind);
            keys.last_clusters = clusters;
        }
        let known = all.len();
        all.extend(found);
        all.sort_by_key(|k| (k.ns, k.cluster));
        all.dedup_by_key(|k| k.ns);
        keys.rebuilt |= all.len() > known;
        Ok(())
    }

    /// The keys and clusters of a range that begins at a cluster: those whose first block of the reference track is a
    /// keyframe; where that leaves a gap and the Cues are not believed, all.
    async fn look_through(
        &self,
        range: ByteRange,
        most: i64,
        until_ns: i64,
        cues_believed: bool,
    ) -> Result<(Vec<Candidate>, Clusters), ContainerError> {
        let (mut keys, mut clusters) = (Vec::new(), Clusters::default());
        let mut at = range.start();
        for _ in 0..limits::HOP_CLUSTERS_MAX {
            let Some(head) = walk::cluster_at(self.ask, at, range.end()).await? else { break };
            let Some(end) = head.end else {
                // A cluster without a size ends where the next one is met: only walking finds it.
                return self.walk_through(range).await;
            };
            let first = self.first_of(ByteRange::new(head.offset, end)).await?;
            if let Some(seen) = first {
                clusters.0.push((head.offset, seen.ns));
                if seen.sync && seen.track == self.reference {
                    keys.push(self.of_seen(&seen));
                }
            }
            at = end;
        }
        let times = keys.iter().map(|k| k.ns).chain(clusters.0.last().map(|c| c.1.min(until_ns)));
        let mut last = clusters.0.first().map_or(0, |c| c.1);
        let mut longest = 0;
        for ns in times {
            longest = longest.max(ns.saturating_sub(last));
            last = ns;
        }
        if longest > most && !cues_believed {
            let (walked, _) = self.walk_through(range).await?;
            return Ok((walked, clusters));
        }
        Ok((keys, clusters))
    }

    /// The first block of the reference track in a cluster; of another, if it has none.
    async fn first_of(&self, cluster: ByteRange) -> Result<Option<Seen>, ContainerError> {
        let mut walk = Walk::hop(self.movie, cluster);
        let mut any = None;
        for _ in 0..limits::CLUSTER_BLOCKS_LOOKED_AT {
            match walk.next(self.ask).await? {
                Some(seen) if seen.track == self.reference => return Ok(Some(seen)),
                Some(seen) => any = any.or(Some(seen)),
                None => break,
            }
        }
        Ok(any)
    }

    async fn walk_through(&self, range: ByteRange) -> Result<(Vec<Candidate>, Clusters), ContainerError> {
        let (mut keys, mut clusters) = (Vec::new(), Clusters::default());
        let mut walk = Walk::hop(self.movie, range);
        let mut last_audio = i64::MIN;
        for _ in 0..limits::WALK_BLOCKS_MAX {
            let Some(seen) = walk.next(self.ask).await? else { break };
            if clusters.0.last().is_none_or(|(offset, _)| *offset != seen.cluster) {
                clusters.0.push((seen.cluster, seen.ns));
            }
            if seen.track != self.reference || !seen.sync {
                continue;
            }
            if self.track.kind == TrackKind::Audio {
                // Every frame is a key: a few a second are plenty.
                if seen.ns < last_audio.saturating_add(DENSE_NS) {
                    continue;
                }
                last_audio = seen.ns;
            }
            keys.push(self.of_seen(&seen));
        }
        Ok((keys, clusters))
    }

    /// Reads the types of a few keys, of all if there is doubt. Tells whether there is now.
    async fn classify(&self, all: &mut [Candidate], mut doubt: bool) -> Result<bool, ContainerError> {
        for n in probe::few(all.len(), self.movie.len, self.options.reach) {
            if let Some(key) = all.get_mut(n) {
                self.classify_one(key).await?;
                doubt |= !matches!(key.kind, RandomAccess::Clean | RandomAccess::Unknown);
            }
        }
        if doubt {
            // Where they cannot be looked at, all others are taken to be like the one that is not clean.
            let open = all.iter().map(|k| k.kind).find(|kind| {
                self.options.reach == Reach::Ends
                    && matches!(kind, RandomAccess::OpenGop | RandomAccess::RecoveryPoint)
            });
            for key in all.iter_mut().take(limits::PROBES_MAX).filter(|k| k.kind == RandomAccess::Unknown) {
                match open {
                    Some(kind) => key.kind = kind,
                    None if self.options.reach == Reach::Ends => {}
                    None => self.classify_one(key).await?,
                }
            }
        }
        Ok(doubt)
    }

    async fn classify_one(&self, key: &mut Candidate) -> Result<(), ContainerError> {
        if key.payload.is_none() {
            key.payload = self.block_of(key).await?.map(|seen| seen.bytes);
        }
        key.kind = match key.payload {
            Some(payload) => {
                probe::classify(self.ask, &self.track.codec, &self.track.strip_prefix, payload).await?
            }
            None => RandomAccess::No,
        };
        Ok(())
    }

    /// Finds the pictures that are shown before their keyframe: of every open key, and in HEVC, where an IDR may have
    /// such too, of a few; of all if those have.
    async fn find_leading(&self, all: &mut [Candidate], doubt: bool) -> Result<(), ContainerError> {
        if self.options.reach == Reach::Ends {
            return self.guess_leading(all, doubt).await;
        }
        let mut look = vec![doubt; all.len()];
        let mut few = probe::few(all.len(), self.movie.len, self.options.reach);
        if doubt || self.track.codec.name() != "hevc" {
            few.clear();
        }
        for n in few {
            let Some(key) = all.get_mut(n) else { continue };
            self.lead(key).await?;
            if key.start_ns < key.ns {
                look = vec![true; all.len()];
                break;
            }
        }
        for (key, look) in all.iter_mut().zip(look).take(limits::PROBES_MAX) {
            if look && key.kind != RandomAccess::No {
                self.lead(key).await?;
            }
            // A CRA without leading pictures is as good as an IDR.
            if key.kind == RandomAccess::OpenGop && key.start_ns == key.ns {
                key.kind = RandomAccess::Clean;
            }
        }
        Ok(())
    }

    /// As [`find_leading`](Self::find_leading) where only the ends may be read: the most that was found there is what every
    /// key but the first is taken to have.
    async fn guess_leading(&self, all: &mut [Candidate], doubt: bool) -> Result<(), ContainerError> {
        if !doubt && self.track.codec.name() != "hevc" {
            return Ok(());
        }
        let few = probe::few(all.len(), self.movie.len, self.options.reach);
        let mut most = 0;
        for n in &few {
            let Some(key) = all.get_mut(*n) else { continue };
            self.lead(key).await?;
            most = most.max(key.ns.saturating_sub(key.start_ns));
        }
        for (n, key) in all.iter_mut().enumerate() {
            if !few.contains(&n) {
                key.start_ns = key.ns.saturating_sub(most);
            }
            if key.kind == RandomAccess::OpenGop && key.start_ns == key.ns {
                key.kind = RandomAccess::Clean;
            }
        }
        Ok(())
    }

    /// The smallest time among the pictures that follow a key up to the first one shown after it.
    async fn lead(&self, key: &mut Candidate) -> Result<(), ContainerError> {
        let Some((_, mut walk)) = self.walk_to(key).await? else { return Ok(()) };
        let mut pictures = 0;
        for _ in 0..limits::CUE_BLOCKS_MAX {
            let Some(seen) = walk.next(self.ask).await? else { break };
            if seen.track != self.reference {
                continue;
            }
            pictures += 1;
            if seen.ns > key.ns || seen.sync || pictures > limits::LEADING_MAX {
                break;
            }
            key.start_ns = key.start_ns.min(seen.ns);
        }
        Ok(())
    }
}
