//! Seeds many small torrents that nobody asks for, and says what they cost: memory at once, processor time after a while.
//!
//!     cargo run --release -p engine --example idle -- 1000 20

#![expect(clippy::print_stdout, reason = "its results are for a terminal")]

use std::{error::Error, time::Duration};

use engine::{Add, Config, Session, State};
use metainfo::{Builder, Content, PieceLength};
use sha1::{Digest as _, Sha1};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().unwrap_or_else(|| "1000".into()).parse()?;
    let seconds: u64 = arguments.next().unwrap_or_else(|| "20".into()).parse()?;
    let (data, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let session = Session::start(Config::loopback(data.path(), state.path())).await?;
    let empty = resident()?;
    for number in 0..count {
        let bytes = vec![u8::try_from(number % 251)?; 16_384 + number];
        let mut builder =
            Builder::new(format!("idle-{number}"), Content::File { length: bytes.len() as u64 });
        builder.piece_length = PieceLength::Bytes(16_384);
        let hashes: Vec<u8> = bytes.chunks(16_384).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
        std::fs::write(data.path().join(format!("idle-{number}")), &bytes)?;
        session.add(Add::metainfo(builder.build(&hashes)?.bytes().clone())).await?;
    }
    while !session.torrents().iter().all(|torrent| torrent.snapshot().state == State::Seeding) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = processor()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let spent = processor()? - before;
    println!("{} KiB without torrents, {} KiB with {count}", empty >> 10, resident()? >> 10);
    println!("{spent} ticks of processor time in {seconds} s");
    session.stop().await;
    Ok(())
}

/// Bytes of memory that this process holds.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    Ok(status.split_whitespace().nth(1).ok_or("statm")?.parse::<u64>()? * 4096)
}

/// Hundredths of a second of processor time, user and system.
fn processor() -> Result<u64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().ok_or("stat")?;
    let tick =
        |number: usize| fields.split_whitespace().nth(number).and_then(|text| text.parse::<u64>().ok());
    Ok(tick(11).ok_or("utime")? + tick(12).ok_or("stime")?)
}
