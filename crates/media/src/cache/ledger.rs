//! What the disk cache holds, what it may hold, and who leaves first. Pure: moves no file.
//!
//! Who leaves first: titles nobody watches, the one not watched for longest before the others; then, of what is being
//! watched, the segment farthest from any playhead. A playhead is the segment asked for last; a title watched by
//! several people has several. Within a title nobody watches, too, the farthest from its last playheads goes first.

use std::collections::{BTreeMap, HashMap};

use packager::RenditionId;

use crate::{ContentKey, key::Form, key::SegmentKey, limits::PLAYHEADS_MAX};

/// A step this short moves a playhead; a longer one is another viewer, or a seek.
const PLAYHEAD_STEP: u32 = 4;

/// A file of the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    Segment(SegmentKey),
    Plan(ContentKey),
}

impl Item {
    fn content(&self) -> &ContentKey {
        match self {
            Self::Segment(key) => &key.content,
            Self::Plan(content) => content,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ledger {
    limit: u64,
    used: u64,
    files: u64,
    titles: HashMap<ContentKey, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// How many have it open.
    watchers: u32,
    /// Any clock that only goes forward, over restarts too.
    last_used: u64,
    plan: Option<u64>,
    streams: BTreeMap<(RenditionId, Form), Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Bytes by index.
    segments: BTreeMap<u32, u64>,
    /// The one asked last is last.
    playheads: Vec<u32>,
}

impl Ledger {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: 0, files: 0, titles: HashMap::new() }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn files(&self) -> u64 {
        self.files
    }

    pub(crate) fn contains(&self, item: &Item) -> bool {
        self.size_of(item).is_some()
    }

    fn size_of(&self, item: &Item) -> Option<u64> {
        let entry = self.titles.get(item.content())?;
        match item {
            Item::Plan(_) => entry.plan,
            Item::Segment(key) => {
                entry.streams.get(&(key.rendition, key.form))?.segments.get(&key.index).copied()
            }
        }
    }

    /// Takes `bytes` that belong to no file (directories) into account, or gives them back.
    pub(crate) fn adjust(&mut self, before: u64, now: u64) {
        self.used = self.used.saturating_sub(before).saturating_add(now);
    }

    /// Adds a file that takes `bytes`, or corrects what it takes.
    pub(crate) fn put(&mut self, item: &Item, bytes: u64) {
        self.take(item);
        self.used = self.used.saturating_add(bytes);
        self.files += 1;
        let entry = self.titles.entry(item.content().clone()).or_default();
        match item {
            Item::Plan(_) => entry.plan = Some(bytes),
            Item::Segment(key) => {
                let stream = entry.streams.entry((key.rendition, key.form)).or_default();
                stream.segments.insert(key.index, bytes);
            }
        }
    }

    /// Removes a file; what it took, if it was there.
    pub(crate) fn take(&mut self, item: &Item) -> Option<u64> {
        let entry = self.titles.get_mut(item.content())?;
        let bytes = match item {
            Item::Plan(_) => entry.plan.take(),
            Item::Segment(key) => {
                entry.streams.get_mut(&(key.rendition, key.form))?.segments.remove(&key.index)
            }
        }?;
        self.used = self.used.saturating_sub(bytes);
        self.files = self.files.saturating_sub(1);
        if !entry.watched() && entry.plan.is_none() && entry.streams.values().all(|s| s.segments.is_empty()) {
            self.titles.remove(item.content());
        }
        Some(bytes)
    }

    /// Whether `bytes` more fit now.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        self.used.saturating_add(bytes) <= self.limit
    }

    /// The file to put out next; `None` if all that is left are plans of what is being watched.
    pub(crate) fn victim(&self) -> Option<Item> {
        let mut unwatched: Vec<_> = self.titles.iter().filter(|(_, e)| !e.watched()).collect();
        unwatched.sort_unstable_by(|a, b| (a.1.last_used, a.0).cmp(&(b.1.last_used, b.0)));
        let segment = |content: &ContentKey, entry: &Entry| {
            entry.farthest().map(|(_, (rendition, form), index)| {
                Item::Segment(SegmentKey { content: content.clone(), rendition, form, index })
            })
        };
        if let Some(item) = unwatched.iter().find_map(|(content, entry)| segment(content, entry)) {
            return Some(item);
        }
        if let Some((content, _)) = unwatched.iter().find(|(_, e)| e.plan.is_some()) {
            return Some(Item::Plan((*content).clone()));
        }
        let watched = self.titles.iter().filter(|(_, e)| e.watched());
        watched
            .filter_map(|(content, entry)| Some((entry.farthest()?.0, content, entry)))
            .max_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)))
            .and_then(|(_, content, entry)| segment(content, entry))
    }

    /// Somebody opened the title, or closed it. Its playheads stay.
    pub(crate) fn watch(&mut self, content: &ContentKey, watched: bool, now: u64) {
        let entry = self.titles.entry(content.clone()).or_default();
        entry.watchers = if watched { entry.watchers + 1 } else { entry.watchers.saturating_sub(1) };
        entry.last_used = entry.last_used.max(now);
        if !entry.watched() && entry.plan.is_none() && entry.streams.values().all(|s| s.segments.is_empty()) {
            self.titles.remove(content);
        }
    }

    /// A title found on disk was last used at `then`.
    pub(crate) fn found(&mut self, content: &ContentKey, then: u64) {
        if let Some(entry) = self.titles.get_mut(content) {
            entry.last_used = entry.last_used.max(then);
        }
    }

    /// Segment `key` was asked for.
    pub(crate) fn playhead(&mut self, key: &SegmentKey) {
        let Some(entry) = self.titles.get_mut(&key.content) else { return };
        let heads = &mut entry.streams.entry((key.rendition, key.form)).or_default().playheads;
        match heads.iter().rposition(|h| key.index.abs_diff(*h) <= PLAYHEAD_STEP) {
            Some(at) => {
                heads.remove(at);
            }
            None if heads.len() >= PLAYHEADS_MAX => {
                heads.remove(0);
            }
            None => {}
        }
        heads.push(key.index);
    }
}

impl Entry {
    fn watched(&self) -> bool {
        self.watchers > 0
    }

    /// The segment farthest from any playhead, and how far it is.
    fn farthest(&self) -> Option<(u32, (RenditionId, Form), u32)> {
        self.streams
            .iter()
            .filter_map(|(name, stream)| stream.farthest().map(|(far, index)| (far, *name, index)))
            .max()
    }
}

impl Stream {
    /// Only the ends and the middles between playheads can be farthest.
    fn farthest(&self) -> Option<(u32, u32)> {
        let mut heads = self.playheads.clone();
        heads.sort_unstable();
        let distance = |index: u32| heads.iter().map(|h| h.abs_diff(index)).min().unwrap_or(u32::MAX);
        let ends = [self.segments.first_key_value(), self.segments.last_key_value()];
        let middles = heads.windows(2).flat_map(|w| {
            let middle = w.first().map_or(0, |a| a + w.last().map_or(0, |b| b - a) / 2);
            [self.segments.range(..=middle).next_back(), self.segments.range(middle..).next()]
        });
        let candidates = ends.into_iter().chain(middles).flatten();
        candidates.map(|(index, _)| (distance(*index), *index)).max()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(name: &str) -> ContentKey {
        ContentKey::new(name).unwrap()
    }

    fn segment(name: &str, index: u32) -> Item {
        Item::Segment(SegmentKey {
            content: content(name),
            rendition: RenditionId::Source,
            form: Form::Ts,
            index,
        })
    }

    fn key(item: &Item) -> &SegmentKey {
        match item {
            Item::Segment(key) => key,
            Item::Plan(_) => panic!("a segment was expected"),
        }
    }

    /// Puts out everything, in order.
    fn order(ledger: &mut Ledger) -> Vec<Item> {
        let mut out = Vec::new();
        while let Some(item) = ledger.victim() {
            ledger.take(&item).unwrap();
            out.push(item);
        }
        out
    }

    #[test]
    fn the_farthest_from_the_playhead_leaves_first() {
        let mut ledger = Ledger::new(1_000);
        ledger.watch(&content("a"), true, 1);
        for index in 0..6 {
            ledger.put(&segment("a", index), 10);
        }
        ledger.playhead(key(&segment("a", 4)));
        let indexes: Vec<u32> = order(&mut ledger).iter().map(|i| key(i).index).collect();
        assert_eq!(indexes, [0, 1, 2, 5, 3, 4]);
        assert_eq!((ledger.used(), ledger.files()), (0, 0));
    }

    #[test]
    fn between_two_viewers_the_middle_leaves_first() {
        let mut ledger = Ledger::new(1_000);
        ledger.watch(&content("a"), true, 1);
        for index in 0..=20 {
            ledger.put(&segment("a", index), 10);
        }
        ledger.playhead(key(&segment("a", 0)));
        ledger.playhead(key(&segment("a", 20)));
        assert_eq!(key(&ledger.victim().unwrap()).index, 10);
    }

    #[test]
    fn titles_nobody_watches_leave_before_any_that_is_watched_and_the_oldest_first() {
        let mut ledger = Ledger::new(1_000);
        for (name, watched, used) in [("old", false, 1), ("new", false, 5), ("now", true, 3)] {
            ledger.put(&segment(name, 100), 10);
            ledger.put(&Item::Plan(content(name)), 1);
            ledger.watch(&content(name), watched, used);
        }
        ledger.playhead(key(&segment("now", 0)));
        let order = order(&mut ledger);
        assert_eq!(
            order,
            [
                segment("old", 100),
                segment("new", 100),
                Item::Plan(content("old")),
                Item::Plan(content("new")),
                segment("now", 100)
            ]
        );
        assert_eq!(ledger.used(), 1, "the plan of what is watched stays");
    }

    proptest! {
        #[test]
        fn used_is_what_the_files_take_and_the_victim_is_the_farthest(
            ops in prop::collection::vec((0u8..6, 0u8..3, 0u32..40, 1u64..50), 1..120)
        ) {
            let mut ledger = Ledger::new(1_000_000);
            let mut model: HashMap<(u8, u32), u64> = HashMap::new();
            let mut clock = 0;
            for (op, title, index, bytes) in ops {
                clock += 1;
                let name = ["a", "b", "c"][title as usize];
                match op {
                    0..=2 => {
                        ledger.put(&segment(name, index), bytes);
                        model.insert((title, index), bytes);
                    }
                    3 => {
                        prop_assert_eq!(ledger.take(&segment(name, index)), model.remove(&(title, index)));
                    }
                    4 => ledger.playhead(key(&segment(name, index))),
                    _ => ledger.watch(&content(name), index % 2 == 0, clock),
                }
                prop_assert_eq!(ledger.used(), model.values().sum::<u64>());
                prop_assert_eq!(ledger.files(), model.len() as u64);
                let victim = ledger.victim();
                prop_assert_eq!(victim.is_none(), model.is_empty());
                if let Some(Item::Segment(victim)) = victim {
                    let entry = &ledger.titles[&victim.content];
                    let stream = &entry.streams[&(victim.rendition, victim.form)];
                    let distance = |index: u32| {
                        stream.playheads.iter().map(|h| h.abs_diff(index)).min().unwrap_or(u32::MAX)
                    };
                    let farthest = stream.segments.keys().map(|i| distance(*i)).max().unwrap();
                    prop_assert_eq!(distance(victim.index), farthest);
                    if entry.watched() {
                        let unwatched = ledger.titles.values().filter(|e| !e.watched());
                        prop_assert!(unwatched.into_iter().all(|e| e.streams.values().all(|s| s.segments.is_empty())));
                    }
                }
            }
        }
    }
}
