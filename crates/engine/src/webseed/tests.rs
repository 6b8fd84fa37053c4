//! A web seed against a server on loopback that serves ranges, or lies, or fails.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use metainfo::{Metainfo, PieceIndex};
use peer_wire::{Message, RawBlock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{Asker, WebSeed, paths::Places, raw};
use crate::{
    egress::{Egress, sockets::Way},
    peer::PeerCommand,
};

/// Sizes and names; `.pad` is padding.
const FILES: &[(&str, usize)] = &[
    ("a b.bin", 40_000),
    (".pad", 9_152),
    ("sub/c#.bin", 100_000),
    ("tiny", 10),
    ("empty", 0),
    ("last", 70_000),
];
const PIECE_LENGTH: usize = 32_768;

fn content(name: &str, length: usize) -> Vec<u8> {
    if name == ".pad" {
        return vec![0; length];
    }
    (0..length).map(|at| u8::try_from((at * 31 + at / 251 + name.len()) % 256).unwrap()).collect()
}

fn whole() -> Vec<u8> {
    FILES.iter().flat_map(|(name, length)| content(name, *length)).collect()
}

fn torrent() -> Arc<Metainfo> {
    let pieces = whole().len().div_ceil(PIECE_LENGTH);
    let bytes = bencode::encode_dict(|torrent| {
        torrent.dict("info", |info| {
            info.bytes("name", "My Film");
            info.int("piece length", 32_768);
            info.bytes("pieces", vec![0; 20 * pieces]);
            info.list("files", |list| {
                for (name, length) in FILES {
                    list.dict(|file| {
                        if *name == ".pad" {
                            file.bytes("attr", "p");
                        }
                        file.int("length", u32::try_from(*length).unwrap());
                        file.list("path", |list| name.split('/').for_each(|part| list.bytes(part)));
                    });
                }
            });
        });
    });
    Arc::new(Metainfo::parse(bytes).unwrap())
}

/// How a server answers a request: its number, its path, the file there, the range asked for.
type Answer = dyn Fn(usize, &str, Option<&[u8]>, (usize, usize)) -> Vec<u8> + Send + Sync;

struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn part(file: &[u8], (first, last): (usize, usize)) -> Vec<u8> {
    let body = &file[first..=last];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{}\r\n\r\n",
        body.len(),
        file.len()
    );
    [head.as_bytes(), body].concat()
}

fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// Serves ranges as it should.
fn right(_: usize, _: &str, file: Option<&[u8]>, range: (usize, usize)) -> Vec<u8> {
    file.map_or_else(|| status("404 Not Found"), |file| part(file, range))
}

async fn server(answer: Box<Answer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        url: format!("http://{}/base/", listener.local_addr().unwrap()),
        connections: Arc::default(),
        asked: Arc::default(),
    };
    let (connections, asked, answer) = (server.connections.clone(), server.asked.clone(), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, asked.clone(), answer.clone()));
        }
    });
    server
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>, answer: Arc<Box<Answer>>) {
    let files: BTreeMap<String, Vec<u8>> = FILES
        .iter()
        .map(|(name, length)| {
            let path = name.replace(' ', "%20").replace('#', "%23");
            (format!("/base/My%20Film/{path}"), content(name, *length))
        })
        .collect();
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let path = text.split(' ').nth(1).unwrap();
        let range = text.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(format!("{path} {range}"));
            asked.len() - 1
        };
        let file = files.get(path).map(Vec::as_slice);
        let bytes = answer(number, path, file, (first.parse().unwrap(), last.parse().unwrap()));
        // What the answer ends early is the end.
        let cut = bytes.is_empty() || bytes.ends_with(b"CUT");
        if stream.write_all(bytes.strip_suffix(b"CUT").unwrap_or(&bytes)).await.is_err() || cut {
            return;
        }
    }
}

struct Collect(mpsc::UnboundedSender<Vec<Message>>);

impl Asker for Collect {
    async fn tell(&self, messages: Vec<Message>) -> bool {
        self.0.send(messages).is_ok()
    }

    async fn allow(&self, _: usize) {}
}

/// A web seed that is served from `url`, and what it is asked and says.
fn seed(url: &str) -> (mpsc::Sender<PeerCommand>, mpsc::UnboundedReceiver<Vec<Message>>) {
    let metainfo = torrent();
    let places = Places::new(url, metainfo.info()).unwrap();
    let seed = WebSeed::new(Arc::new(Egress::of(Way::default())), metainfo, places);
    let ((commands, mut taken), (told, messages)) = (mpsc::channel(16), mpsc::unbounded_channel());
    tokio::spawn(async move { seed.serve(&mut taken, &Collect(told)).await });
    (commands, messages)
}

fn requests(pieces: std::ops::Range<u32>) -> Vec<RawBlock> {
    let layout = torrent().info().layout();
    pieces
        .map(PieceIndex)
        .flat_map(|piece| (0..layout.blocks(piece)).map(move |block| metainfo::BlockIndex { piece, block }))
        .map(|block| raw(&layout.block(block)))
        .collect()
}

fn all() -> Vec<RawBlock> {
    requests(0..torrent().info().layout().pieces())
}

fn send(blocks: &[RawBlock]) -> PeerCommand {
    PeerCommand::Send(blocks.iter().copied().map(Message::Request).collect())
}

/// Takes messages until all of `blocks` have come, and checks their bytes.
async fn expect(messages: &mut mpsc::UnboundedReceiver<Vec<Message>>, blocks: &[RawBlock]) -> Vec<Message> {
    let (whole, mut rest, mut others) = (whole(), blocks.to_vec(), Vec::new());
    while !rest.is_empty() {
        let batch = timeout(Duration::from_secs(20), messages.recv()).await.expect("in time");
        for message in batch.expect("more") {
            let Message::Piece { piece, begin, data } = message else {
                others.push(message);
                continue;
            };
            let at = rest.iter().position(|block| (block.piece, block.begin) == (piece, begin));
            let block = rest.remove(at.expect("asked for"));
            let start = piece as usize * PIECE_LENGTH + begin as usize;
            assert_eq!(data, Bytes::copy_from_slice(&whole[start..start + block.length as usize]));
        }
    }
    others
}

#[tokio::test]
async fn blocks_come_whatever_files_they_span_over_two_connections_at_most() {
    let server = server(Box::new(right)).await;
    let (commands, mut messages) = seed(&server.url);
    commands.send(send(&all())).await.unwrap();
    assert!(expect(&mut messages, &all()).await.is_empty());
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "/base/My%20Film/a%20b.bin 0-39999",
            "/base/My%20Film/sub/c%23.bin 0-99999",
            "/base/My%20Film/tiny 0-9",
            "/base/My%20Film/last 0-69999"
        ]
    );
    // Asked again, the same lines serve.
    for block in all() {
        commands.send(send(&[block])).await.unwrap();
    }
    expect(&mut messages, &all()).await;
    assert!(server.connections.load(Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn a_server_that_closes_or_fails_is_asked_again_for_what_is_missing() {
    let server = server(Box::new(|number, path, file, range| match number {
        0 => status("503 Service Unavailable"),
        1 => {
            let mut cut = right(number, path, file, range);
            cut.truncate(30_000);
            [cut, b"CUT".to_vec()].concat()
        }
        _ => right(number, path, file, range),
    }))
    .await;
    let (commands, mut messages) = seed(&server.url);
    commands.send(send(&all())).await.unwrap();
    expect(&mut messages, &all()).await;
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked[1], asked[0]);
    assert_eq!(asked[2], "/base/My%20Film/a%20b.bin 16384-39999");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_opened_again_without_a_pause() {
    let server = server(Box::new(|number, path, file, range| {
        [right(number, path, file, range), b"CUT".to_vec()].concat()
    }))
    .await;
    let (commands, mut messages) = seed(&server.url);
    let begin = std::time::Instant::now();
    for block in requests(0..1) {
        commands.send(send(&[block])).await.unwrap();
        expect(&mut messages, &[block]).await;
    }
    assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_file_that_is_missing_is_given_back_and_the_others_are_served() {
    let server = server(Box::new(|number, path, file, range| {
        right(number, path, file.filter(|_| !path.ends_with("c%23.bin")), range)
    }))
    .await;
    let (commands, mut messages) = seed(&server.url);
    commands.send(send(&all())).await.unwrap();
    // Its bytes are 49,152 to 149,152: pieces 1 to 4.
    let blocks = requests(0..1);
    let mut others = expect(&mut messages, &blocks).await;
    let mut later = requests(5..all().last().unwrap().piece + 1);
    later.retain(|block| block.piece > 4);
    others.extend(expect_some(&mut messages, later.len()).await);
    let lost: Vec<u32> = others
        .iter()
        .filter_map(|message| match message {
            Message::DontHave(piece) => Some(*piece),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [1, 2, 3, 4]);
    assert!(others.iter().any(|message| matches!(message, Message::Reject(block) if block.piece == 2)));
}

/// Takes messages until `count` blocks of pieces past 4 have come.
async fn expect_some(messages: &mut mpsc::UnboundedReceiver<Vec<Message>>, count: usize) -> Vec<Message> {
    let (mut seen, mut others) = (0, Vec::new());
    while seen < count {
        let batch = timeout(Duration::from_secs(20), messages.recv()).await.expect("in time");
        for message in batch.expect("more") {
            match message {
                Message::Piece { piece, .. } if piece > 4 => seen += 1,
                Message::Piece { .. } => {}
                other => others.push(other),
            }
        }
    }
    others
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_remembered() {
    let server = server(Box::new(|number, path, file, range| {
        if path.starts_with("/base/") && !path.contains("moved") {
            let place = path.replace("/base/", "/base/moved/");
            return format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
                .into_bytes();
        }
        let _ = (file, number);
        let name = path.rsplit('/').next().unwrap();
        let name = if name == "c%23.bin" { "sub/c#.bin".to_owned() } else { name.replace("%20", " ") };
        let (name, length) = FILES.iter().find(|(known, _)| *known == name).unwrap();
        part(&content(name, *length), range)
    }))
    .await;
    let (commands, mut messages) = seed(&server.url);
    let blocks = requests(0..1);
    for block in &blocks {
        commands.send(send(&[*block])).await.unwrap();
        expect(&mut messages, &[*block]).await;
    }
    let moved = server.asked.lock().unwrap().iter().filter(|asked| !asked.contains("moved")).count();
    // Once for each line that was used.
    assert!((1..=2).contains(&moved), "{moved}");
    commands.send(send(&all())).await.unwrap();
    expect(&mut messages, &all()).await;
}

#[tokio::test]
async fn servers_that_are_no_web_seed_are_left() {
    let liars: [Box<Answer>; 3] = [
        // The whole file, whatever was asked for.
        Box::new(|_, _, file, _| {
            let file = file.unwrap_or_default();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len());
            [head.as_bytes(), file].concat()
        }),
        // Another range.
        Box::new(|_, _, file, (first, last)| part(file.unwrap(), (first - 1, last - 1))),
        // Another file everywhere.
        Box::new(|_, _, _, range| part(&vec![0; 200_000], range)),
    ];
    for answer in liars {
        let server = server(answer).await;
        let (commands, mut messages) = seed(&server.url);
        commands.send(send(&all()[1..])).await.unwrap();
        let ended =
            timeout(Duration::from_secs(20), async { while messages.recv().await.is_some() {} }).await;
        assert!(ended.is_ok());
    }
}

#[tokio::test]
async fn what_is_cancelled_does_not_come() {
    let server = server(Box::new(right)).await;
    let (commands, mut messages) = seed(&server.url);
    let blocks = all();
    let cancels = blocks[1..].iter().copied().map(Message::Cancel);
    let first = [Message::Request(blocks[1]), Message::Request(blocks[0])];
    let batch = first.into_iter().chain(cancels).collect();
    commands.send(PeerCommand::Send(batch)).await.unwrap();
    expect(&mut messages, &blocks[..1]).await;
    assert_eq!(*server.asked.lock().unwrap(), ["/base/My%20Film/a%20b.bin 0-16383"]);
}

#[tokio::test]
async fn it_ends_with_its_torrent() {
    let server = server(Box::new(|_, _, _, _| Vec::new())).await;
    let (commands, mut messages) = seed(&server.url);
    commands.send(send(&all())).await.unwrap();
    drop(commands);
    assert!(timeout(Duration::from_secs(5), messages.recv()).await.unwrap().is_none());
}
