//! What changed of the torrents since a listener was last told: the diffs of `GET /api/v1/events`.

use std::{collections::BTreeMap, sync::Arc};

use engine::{InfoHash, Playback, Session, Snapshot};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Torrents, wait};

/// One listener's knowledge. At first it knows nothing and is told everything.
#[derive(Default)]
pub(crate) struct Feed {
    torrents: BTreeMap<InfoHash, Known>,
    /// Torrents that are read, as was last told.
    played: BTreeMap<InfoHash, Arc<Playback>>,
    session: Map<String, Value>,
}

struct Known {
    snapshot: Arc<Snapshot>,
    fields: Map<String, Value>,
}

impl Feed {
    /// Events by name: `torrent` with `info_hash` and the fields that changed, or `removed: true`; `session` with the
    /// fields that changed; `playback` with who reads a torrent and what they wait for, whole, at last with `wait: null` and
    /// no readers.
    pub(crate) fn changes(&mut self, torrents: &Torrents) -> Vec<(&'static str, Value)> {
        let mut changes = Vec::new();
        let all: Vec<Arc<Snapshot>> = torrents.all().iter().map(engine::Torrent::snapshot).collect();
        let mut gone: Vec<InfoHash> = self.torrents.keys().copied().collect();
        gone.retain(|known| !all.iter().any(|snapshot| snapshot.info_hash == *known));
        for info_hash in gone {
            self.torrents.remove(&info_hash);
            changes.push(("torrent", serde_json::json!({ "info_hash": info_hash, "removed": true })));
        }
        let playing: BTreeMap<InfoHash, Arc<Playback>> = all
            .iter()
            .filter_map(|snapshot| Some((snapshot.info_hash, snapshot.playback.clone()?)))
            .collect();
        let ended = self.played.keys().filter(|info_hash| !playing.contains_key(*info_hash));
        let other = playing.iter().filter(|(info_hash, now)| self.played.get(*info_hash) != Some(*now));
        let told =
            ended.map(|info_hash| (*info_hash, None)).chain(other.map(|(key, now)| (*key, Some(&**now))));
        changes.extend(told.filter_map(|(key, now)| Some(("playback", wait::event(key, now)?))));
        self.played = playing;
        for snapshot in all {
            changes.extend(self.torrent(snapshot).map(|diff| ("torrent", diff)));
        }
        let session = torrents.running().map(Session::stats).map(|stats| fields(&stats)).unwrap_or_default();
        let diff = diff(&self.session, &session);
        if !diff.is_empty() {
            self.session = session;
            changes.push(("session", Value::Object(diff)));
        }
        changes
    }

    fn torrent(&mut self, snapshot: Arc<Snapshot>) -> Option<Value> {
        let info_hash = snapshot.info_hash;
        let known = self.torrents.get(&info_hash);
        if known.is_some_and(|known| Arc::ptr_eq(&known.snapshot, &snapshot)) {
            return None;
        }
        let now = fields(&*snapshot);
        let empty = Map::new();
        let mut diff = diff(known.map_or(&empty, |known| &known.fields), &now);
        let told = !diff.is_empty();
        diff.insert("info_hash".to_owned(), info_hash.to_string().into());
        self.torrents.insert(info_hash, Known { snapshot, fields: now });
        told.then_some(Value::Object(diff))
    }
}

fn fields<T: Serialize>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The fields of `now` that are not as they were.
fn diff(before: &Map<String, Value>, now: &Map<String, Value>) -> Map<String, Value> {
    let changed = now.iter().filter(|(name, value)| before.get(*name) != Some(value));
    changed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let before = map(serde_json::json!({ "a": 1, "b": [1], "c": null }));
        let now = map(serde_json::json!({ "a": 1, "b": [2], "c": 0 }));
        assert_eq!(Value::Object(diff(&before, &now)), serde_json::json!({ "b": [2], "c": 0 }));
        assert!(diff(&now, &now).is_empty());
        assert_eq!(diff(&Map::new(), &now), now);
    }
}
