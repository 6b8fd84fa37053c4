//! Workers that try to break out, crash, hang and spin, and the pool that keeps them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::Path, time::Duration};

use bytes_of::sample;
use futures_util::stream;
use media::{
    MediaError,
    transcode::{
        Attempt, Level, Patience, SampleStream, SandboxPolicy, TitleTranscoder, TranscodeConfig,
        TranscodeError, Transcoder,
    },
};
use tokio::time::{Instant, sleep, timeout};

/// On a machine that is busy with other things.
const ENOUGH: Duration = Duration::from_secs(120);

mod bytes_of {
    use container::Sample;

    pub(super) fn sample(n: u32, len: usize) -> Sample {
        let data = (0..len).map(|at| u8::try_from((at + n as usize) % 251).unwrap()).collect::<Vec<_>>();
        let at = i64::from(n);
        Sample { pts: at * 40 - 7, dts: at * 40, duration: 40, sync: n.is_multiple_of(3), data: data.into() }
    }
}

fn config() -> TranscodeConfig {
    TranscodeConfig {
        program: env!("CARGO_BIN_EXE_media-worker").into(),
        args: Vec::new(),
        sandbox: SandboxPolicy::Require,
        titles_max: 2,
        patience: Patience {
            silence: Duration::from_secs(30),
            request: Duration::from_secs(90),
            reader: Duration::from_secs(5),
        },
    }
}

/// With little patience for workers that are silent.
fn hasty() -> TranscodeConfig {
    let patience = Patience { silence: Duration::from_secs(2), ..config().patience };
    TranscodeConfig { patience, ..config() }
}

fn samples(count: u32, len: usize) -> SampleStream {
    Box::pin(stream::iter((0..count).map(move |n| Ok(sample(n, len)))))
}

async fn attempt(title: &TitleTranscoder, attempt: Attempt) -> Result<(), TranscodeError> {
    timeout(ENOUGH, title.attempt(attempt)).await.expect("an answer in time")
}

async fn echo(title: &TitleTranscoder, count: u32, len: usize) -> Result<u32, TranscodeError> {
    let mut answer = timeout(ENOUGH, title.echo(samples(count, len))).await.expect("an answer in time")?;
    let mut n = 0;
    while let Some(back) = timeout(ENOUGH, answer.next()).await.expect("a sample in time") {
        assert_eq!(back?, sample(n, len));
        n += 1;
    }
    Ok(n)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out_also_when_it_is_more_than_any_buffer() {
    let pool = Transcoder::new(config());
    let title = pool.title("film");
    assert_eq!(echo(&title, 400, 100_000).await.unwrap(), 400);
    assert_eq!(echo(&title, 0, 0).await.unwrap(), 0);
    assert_eq!(echo(&title, 3, 20 << 20).await.unwrap(), 3);
    let status = pool.status();
    assert_eq!(status.report.unwrap().sandbox.level(), Level::Full);
    assert_eq!((status.done, status.lost, status.titles), (3, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_opened_connected_started_or_signalled() {
    let pool = Transcoder::new(config());
    let title = pool.title("film");
    for what in [
        Attempt::OpenFile,
        Attempt::CreateFile,
        Attempt::ListFolder,
        Attempt::Connect,
        Attempt::BindUdp,
        Attempt::ConnectUnix,
        Attempt::Exec,
        Attempt::Fork,
        Attempt::KillParent,
        Attempt::Descriptors,
    ] {
        match attempt(&title, what).await {
            Err(TranscodeError::Failed { text, .. }) => {
                assert!(text.contains("Operation not permitted"), "{what:?}: {text}");
            }
            other => panic!("{what:?}: {other:?}"),
        }
    }
    assert!(!Path::new("/tmp/headwater-worker-escaped").exists());
    attempt(&title, Attempt::Thread).await.expect("codecs need threads");
    assert_eq!(pool.status().lost, 0, "it lives through all of that");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_ends_where_it_should_and_the_worker_lives_on() {
    let pool = Transcoder::new(TranscodeConfig {
        args: vec![(1_u64 << 30).to_string(), "600".to_owned()],
        ..config()
    });
    let title = pool.title("film");
    match attempt(&title, Attempt::Allocate).await {
        Err(TranscodeError::Failed { text, .. }) => {
            assert!(text.starts_with("no more memory after "), "{text}");
            let taken: u64 = text.split(' ').nth(4).unwrap().parse().unwrap();
            assert!(taken < 1_024, "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(echo(&title, 10, 1_000).await.unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_time_ends_where_it_should() {
    let patience = Patience { silence: ENOUGH, request: ENOUGH, reader: ENOUGH };
    let args = vec![(1_u64 << 30).to_string(), "1".to_owned()];
    let pool = Transcoder::new(TranscodeConfig { args, patience, ..config() });
    match attempt(&pool.title("film"), Attempt::Spin).await {
        // The hard limit is the soft one, and that is a plain kill.
        Err(TranscodeError::Died { how, .. }) => {
            assert!(how.contains("killed") || how.contains("CPU"), "{how}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_spins_or_sleeps_is_killed_at_its_deadline_and_the_server_goes_on_meanwhile() {
    let pool = Transcoder::new(hasty());
    let (title, other) = (pool.title("film"), pool.title("other"));
    for what in [Attempt::Spin, Attempt::Sleep] {
        let hanging = pool.title(&format!("{what:?}"));
        let hung = attempt(&hanging, what);
        let served = async {
            sleep(Duration::from_millis(500)).await;
            echo(&other, 10, 1_000).await.unwrap()
        };
        let begun = Instant::now();
        let (hung, served) = tokio::join!(hung, served);
        assert_eq!(served, 10);
        match hung {
            Err(TranscodeError::Died { how, .. }) => assert_eq!(how, "did nothing for 2 s"),
            other => panic!("{what:?}: {other:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(40));
    }
    assert_eq!(echo(&title, 10, 1_000).await.unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_deaths_and_the_title_is_refused_with_the_reason_and_no_other() {
    let pool = Transcoder::new(config());
    let (title, other) = (pool.title("film"), pool.title("other"));
    // Twice: the request is asked once more.
    assert!(matches!(attempt(&title, Attempt::Crash).await, Err(TranscodeError::Died { .. })));
    assert!(matches!(attempt(&title, Attempt::Crash).await, Err(TranscodeError::Refused { .. })));
    match echo(&title, 10, 1_000).await {
        Err(TranscodeError::Refused { times: 3, how, .. }) => assert!(how.starts_with("aborted"), "{how}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(echo(&other, 10, 1_000).await.unwrap(), 10);
    drop(title);
    let again = echo(&pool.title("film"), 10, 1_000).await;
    assert!(matches!(again, Err(TranscodeError::Refused { .. })), "closing and opening it does not help");
    let status = pool.status();
    assert_eq!((status.lost, status.retried, status.refused), (3, 1, 3));
}

/// Samples of which one takes its time, so that a test can act in between.
fn slow(count: u32, len: usize, at: u32, wait: Duration) -> SampleStream {
    Box::pin(stream::unfold(0, move |n| async move {
        if n == at {
            sleep(wait).await;
        }
        (n < count).then(|| (Ok::<_, MediaError>(sample(n, len)), n + 1))
    }))
}

/// The workers of this test's process, and no others: children whose program is a worker.
fn workers() -> Vec<i32> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((head, tail)) = stat.rsplit_once(") ") else { continue };
        let parent = tail.split(' ').nth(1);
        if head.ends_with("(media-worker") && parent == Some(own.as_str()) {
            found.push(pid);
        }
    }
    found
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_mid_segment_costs_one_retry_and_nobody_sees_it() {
    let pool = Transcoder::new(config());
    let title = pool.title("film");
    let mut answer = title.echo(slow(60, 1_000, 30, Duration::from_millis(1_500))).await.unwrap();
    for n in 0..20 {
        assert_eq!(answer.next().await.unwrap().unwrap(), sample(n, 1_000));
    }
    // The title took the first that was started; a later one is the spare.
    kill(workers().into_iter().min().unwrap());
    for n in 20..60 {
        assert_eq!(timeout(ENOUGH, answer.next()).await.unwrap().unwrap().unwrap(), sample(n, 1_000));
    }
    assert!(answer.next().await.is_none());
    let status = pool.status();
    assert_eq!((status.lost, status.retried, status.done), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_whose_bytes_are_late_is_not_the_workers_fault() {
    let pool = Transcoder::new(hasty());
    let title = pool.title("film");
    // Later than a worker may be silent.
    let mut answer = title.echo(slow(6, 1_000, 3, Duration::from_secs(4))).await.unwrap();
    let mut n = 0;
    while let Some(back) = answer.next().await {
        assert_eq!(back.unwrap(), sample(n, 1_000));
        n += 1;
    }
    assert_eq!((n, pool.status().lost), (6, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_takes_nothing_holds_no_worker_and_one_who_leaves_frees_it_at_once() {
    let pool = Transcoder::new(config());
    let title = pool.title("film");
    let stuck = title.echo(samples(4_000, 50_000)).await.unwrap();
    // The next request of the same title waits for it, and is served when patience is over.
    assert_eq!(echo(&title, 10, 1_000).await.unwrap(), 10);
    let mut stuck = stuck;
    let mut last = None;
    while let Some(answer) = stuck.next().await {
        last = Some(answer);
    }
    assert!(matches!(last, Some(Err(TranscodeError::Stalled { .. }))), "{last:?}");
    let left = title.echo(samples(4_000, 50_000)).await.unwrap();
    drop(left);
    let begun = Instant::now();
    assert_eq!(echo(&title, 10, 1_000).await.unwrap(), 10);
    assert!(begun.elapsed() < Duration::from_millis(4_500), "{:?}", begun.elapsed());
    assert_eq!(pool.status().lost, 0, "none of this is held against the film");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_title_takes_the_place_of_an_idle_one_but_not_of_one_that_works() {
    let pool = Transcoder::new(config());
    let (a, b, c) = (pool.title("a"), pool.title("b"), pool.title("c"));
    echo(&a, 1, 1).await.unwrap();
    echo(&b, 1, 1).await.unwrap();
    echo(&c, 1, 1).await.unwrap();
    assert_eq!(pool.status().titles, 2);
    let long = || slow(2, 10, 1, Duration::from_secs(2));
    let (mut on_b, mut on_c) = (b.echo(long()).await.unwrap(), c.echo(long()).await.unwrap());
    assert!(matches!(echo(&a, 1, 1).await, Err(TranscodeError::Busy { max: 2, .. })));
    while on_b.next().await.is_some() {}
    while on_c.next().await.is_some() {}
    echo(&a, 1, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_titles_and_dropped_pools_leave_no_process_behind() {
    let pool = Transcoder::new(config());
    let title = pool.title("film");
    echo(&title, 1, 1).await.unwrap();
    assert!(!workers().is_empty());
    drop(title);
    assert_eq!(pool.status().titles, 0);
    drop(pool);
    for _ in 0..100 {
        if workers().is_empty() {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("still there: {:?}", workers());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_worker_is_said_to_be_none() {
    for (program, args) in
        [("/nowhere/headwater", vec![]), ("/bin/false", vec![]), ("/bin/echo", vec!["x".to_owned()])]
    {
        let pool = Transcoder::new(TranscodeConfig { program: program.into(), args, ..config() });
        let answer = echo(&pool.title("film"), 1, 1).await;
        assert!(matches!(answer, Err(TranscodeError::NoWorker { .. })), "{program}: {answer:?}");
        assert!(pool.status().off.is_some());
    }
}
