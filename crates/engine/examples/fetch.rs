//! Fetches a torrent from given peers and says how long it took: the bulk path alone, for a profiler.
//!
//!     cargo run --profile profiling -p engine --example fetch -- FILE.torrent DIRECTORY PEER…

#![expect(clippy::print_stdout, reason = "its results are for a terminal")]

use std::{error::Error, time::Instant};

use engine::{Add, Config, SeedGoal, Session};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(source), Some(directory)) = (arguments.next(), arguments.next()) else {
        return Err("usage: fetch FILE.torrent|MAGNET DIRECTORY PEER…".into());
    };
    let peers = arguments.map(|peer| peer.parse()).collect::<Result<Vec<_>, _>>()?;
    let state = tempfile::tempdir()?;
    let config = Config { seed_goal: SeedGoal::FOREVER, ..Config::loopback(&directory, state.path()) };
    let session = Session::start(config).await?;
    let add = match std::fs::read(&source) {
        Ok(bytes) => Add::metainfo(bytes),
        Err(_) => Add::magnet(source),
    };
    let begun = Instant::now();
    let (torrent, _) = session.add(Add { peers, ..add }).await?;
    torrent.wait_metadata().await?;
    println!("metadata after {:.3} s", begun.elapsed().as_secs_f64());
    torrent.wait_finished().await?;
    let seconds = begun.elapsed().as_secs_f64();
    let snapshot = torrent.snapshot();
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
    let rate = snapshot.have as f64 / seconds / f64::from(1 << 20);
    println!("{} bytes in {seconds:.3} s: {rate:.1} MiB/s, {} wasted", snapshot.have, snapshot.wasted);
    if std::env::var_os("STAY").is_some() {
        println!("seeding on port {:?}", session.stats().listen_port);
        std::future::pending::<()>().await;
    }
    session.stop().await;
    Ok(())
}
