//! The cache on disk, written, killed, damaged, shrunk, and held to its limit.

use packager::RenditionId;
use proptest::prelude::*;

use super::*;
use crate::key::Form;

fn content(name: &str) -> ContentKey {
    ContentKey::new(name).unwrap()
}

fn key(name: &str, index: u32) -> SegmentKey {
    SegmentKey { content: content(name), rendition: RenditionId::Source, form: Form::Ts, index }
}

fn open(dir: &Path, limit_bytes: u64) -> DiskCache {
    DiskCache::open(&CacheConfig { dir: dir.to_owned(), limit_bytes }, Arc::default()).unwrap()
}

fn payload(index: u32, len: usize) -> Bytes {
    Bytes::from(vec![index.to_be_bytes()[3]; len])
}

impl Inner {
    pub(super) fn weigh_all(&self) {
        self.peak.fetch_max(taken(&self.dir), Ordering::Relaxed);
    }
}

/// What the directory takes on the disk, itself included.
fn taken(dir: &Path) -> u64 {
    let own = file::allocated(&fs::metadata(dir).unwrap());
    let inside = fs::read_dir(dir).unwrap().map(|entry| {
        let entry = entry.unwrap();
        // A file may leave between being listed and being looked at.
        match entry.metadata() {
            Ok(m) if m.is_dir() => taken(&entry.path()),
            Ok(m) => file::allocated(&m),
            Err(_) => 0,
        }
    });
    own + inside.sum::<u64>()
}

#[tokio::test]
async fn segments_and_plans_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 10 << 20);
    cache.offer(key("a", 3), vec![payload(3, 50_000), payload(4, 10)]);
    cache.offer_plan(content("a"), Bytes::from_static(b"plan"));
    cache.flush().await;
    let used = cache.inner.ledger().used();
    drop(cache);

    // A process that died while it wrote.
    fs::write(dir.path().join("tmp/7.tmp"), b"half").unwrap();
    let cache = open(dir.path(), 10 << 20);
    assert_eq!(cache.read(&key("a", 3)).await.unwrap().len(), 50_010);
    assert_eq!(cache.read_plan(&content("a")).await.unwrap(), "plan");
    cache.flush().await;
    assert_eq!(cache.presence(&key("a", 3)), Presence::Present);
    assert_eq!(cache.presence(&key("a", 4)), Presence::Absent);
    assert_eq!(cache.inner.ledger().used(), used);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "temporary files are gone");
}

#[tokio::test]
async fn a_damaged_file_is_not_served_and_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 10 << 20);
    cache.offer(key("a", 0), vec![payload(1, 9_000)]);
    cache.flush().await;
    let path = dir.path().join("segments/a/source/0.ts");
    let mut bytes = fs::read(&path).unwrap();
    bytes[17] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    assert_eq!(cache.read(&key("a", 0)).await, None);
    cache.flush().await;
    assert!(!path.exists());
    cache.offer(key("a", 0), vec![payload(1, 9_000)]);
    cache.flush().await;
    assert_eq!(cache.read(&key("a", 0)).await.unwrap().len(), 9_000);
}

#[tokio::test]
async fn a_limit_made_smaller_holds_after_the_restart() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 10 << 20);
    for index in 0..20 {
        cache.offer(key("a", index), vec![payload(1, 100_000)]);
    }
    cache.flush().await;
    drop(cache);
    let cache = open(dir.path(), 1 << 20);
    cache.flush().await;
    assert!(taken(dir.path()) <= 1 << 20);
    assert!(cache.inner.ledger().files() >= 7);
}

#[test]
fn one_directory_serves_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), 1 << 20);
    let config = CacheConfig { dir: dir.path().to_owned(), limit_bytes: 1 << 20 };
    let error = DiskCache::open(&config, Arc::default()).unwrap_err();
    assert!(error.to_string().contains("another server"), "{error}");
    drop(first);
    assert!(DiskCache::open(&config, Arc::default()).is_ok());
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_with_what_would_help() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let config = CacheConfig { dir: file, limit_bytes: 1 << 20 };
    let error = DiskCache::open(&config, Arc::default()).unwrap_err().to_string();
    assert!(error.contains("--cache-path"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_disk_never_holds_more_than_the_limit(
        limit_blocks in 20u64..120,
        ops in prop::collection::vec((0u8..3, 0u32..30, 0usize..90_000, 0u8..8), 1..60)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let limit = limit_blocks * 4096;
        let cache = open(dir.path(), limit);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for (title, index, len, kind) in ops {
                let name = ["a", "b", "c"][usize::from(title)];
                match kind {
                    0 => cache.watch(&content(name), index % 2 == 0),
                    1 => cache.offer_plan(content(name), payload(9, len / 20)),
                    2 => { cache.read(&key(name, index)).await; }
                    _ => {
                        cache.playhead(&key(name, index));
                        cache.offer(key(name, index), vec![payload(index, len)]);
                    }
                }
            }
            cache.flush().await;
        });
        let peak = cache.inner.peak.load(Ordering::Relaxed);
        prop_assert!(peak <= limit, "{peak} of {limit} in the middle of a write");
        let used = cache.inner.ledger().used();
        prop_assert!(taken(dir.path()) <= limit);
        prop_assert!(taken(dir.path()) <= used, "{} counted, {} on disk", used, taken(dir.path()));
        drop(cache);
        // What a restart counts is what was counted.
        let again = open(dir.path(), limit);
        runtime.block_on(again.flush());
        prop_assert_eq!(again.inner.ledger().used(), used);
    }
}
