//! How much it costs to hash and write: 1 GiB of one torrent in 16 KiB slices, as a fast peer brings them.
//!
//! `cargo run --release -p storage --example write_speed -- FOLDER [PIECE_KIB] [read]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a measurement"
)]

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use metainfo::{Block, BlockIndex, InfoHash, PieceLayout};
use sha1::{Digest, Sha1};
use storage::{Contents, Event, FileEntry, Options, Place, Storage, Unfinished};

const TOTAL: u64 = 1 << 30;

/// What one read of a socket brings: blocks with the messages' heads between them.
const READ_BLOCKS: usize = 16;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "/dev/shm/headwater-write-speed".into());
    let piece_length = arguments.next().map_or(1024, |kib| kib.parse::<u64>().unwrap()) << 10;
    let layout = PieceLayout::new(TOTAL, piece_length).unwrap();
    let source: Vec<u8> = (0..64u32 << 20).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let at = |offset: u64, length: usize| {
        let start = (offset % source.len() as u64) as usize;
        &source[start..start + length]
    };
    let hashes: Vec<u8> = layout
        .all()
        .take(((source.len() as u64).div_ceil(piece_length)) as usize)
        .flat_map(|piece| Sha1::digest(at(layout.offset(piece), layout.length(piece) as usize)))
        .collect();
    let hashes: Vec<u8> = hashes.iter().copied().cycle().take(layout.pieces() as usize * 20).collect();
    let files = vec![FileEntry { path: vec!["speed.bin".into()], length: TOTAL, pad: false }];
    let contents = Contents::new(InfoHash([7; 20]), layout, files, Bytes::from(hashes)).unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    let storage = Storage::start(Options::default()).unwrap();
    let (tell, told) = mpsc::channel();
    let place = Place::Directory { path: folder.clone().into(), unfinished: Unfinished::Suffixed };
    let store = storage.open(contents, place, Arc::new(move |events| tell.send(events).unwrap())).unwrap();

    let before = cpu();
    let began = Instant::now();
    let mut blocks = layout
        .all()
        .flat_map(|piece| (0..layout.blocks(piece)).map(move |block| BlockIndex { piece, block }));
    loop {
        let mut buffer = BytesMut::with_capacity(READ_BLOCKS * (16384 + 13));
        let batch: Vec<BlockIndex> = blocks.by_ref().take(READ_BLOCKS).collect();
        if batch.is_empty() {
            break;
        }
        let mut slices = Vec::new();
        for index in batch {
            let Block { piece, begin, length } = layout.block(index);
            let offset = layout.offset(piece) + u64::from(begin);
            buffer.extend_from_slice(&[0; 13]);
            let _ = buffer.split();
            buffer.extend_from_slice(at(offset, length as usize));
            slices.push((index, buffer.split().freeze()));
        }
        store.write(slices);
        while !storage.has_room() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    let copying = TOTAL as f64 / (1u64 << 30) as f64;
    let mut verified = 0;
    while verified < layout.pieces() {
        for event in told.recv().unwrap() {
            match event {
                Event::Verified(_) => verified += 1,
                Event::FileFinished(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let took = began.elapsed();
    println!(
        "write: {:.0} MiB/s, {:.2} CPU s per GiB (with one copy of {copying} GiB that stands for the socket)",
        1024.0 / took.as_secs_f64(),
        cpu() - before
    );
    store.save().wait().unwrap();
    let before = cpu();
    let began = Instant::now();
    for piece in layout.all() {
        let all: Vec<Block> =
            (0..layout.blocks(piece)).map(|block| layout.block(BlockIndex { piece, block })).collect();
        for batch in all.chunks(16) {
            assert!(store.try_read(batch).iter().all(Option::is_some));
        }
    }
    println!(
        "read: {:.0} MiB/s, {:.2} CPU s per GiB",
        1024.0 / began.elapsed().as_secs_f64(),
        cpu() - before
    );
    store.remove_data().wait().unwrap();
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
