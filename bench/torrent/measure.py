#!/usr/bin/env python3
"""One measurement of one client, as a line of JSON: `measure.py WHAT CLIENT --work DIR …`. `bench-torrent` calls it and makes tables.

bulk, seed      wall (s), cpu (s), rss (KiB), bytes
magnet          wall
seek            first, seek_first, seek_last, tail_first (s), unasked (bytes)
idle            rss (KiB), cpu (share of a core)
garbage         blocks, wall
clients         which are installed, with their versions

`seek` reads from seeders that limit themselves, which libtorrent does in gusts each half second; with `--links` from seeders
behind slow lines (`links.py`: a network namespace each, needs root).
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse

import links
from clients import available, client
from swarm import Bench, Failed, Talker, main_error, parser, request, same

MIB = 1 << 20
# What four seeders give together, and what is asked of them.
SEEDERS, SEEDER_RATE, SEEK_PIECE = 4, MIB, MIB
FOUR = 4 * MIB
# Seconds after which a client that was given many torrents is idle.
SETTLE = 15


def bulk(bench, who):
    source = bench.data(bench.args.size)
    torrent = bench.torrent(source, bench.args.piece)
    bench.seeder(torrent, source)
    into = bench.folder("into")
    result = who.download(torrent, into)
    if not same(os.path.join(into, "film.bin"), source):
        raise Failed(f"{who.name}: what came is not what was seeded")
    return {**result, "bytes": bench.args.size}


def seed(bench, who):
    source = bench.data(bench.args.size)
    torrent = bench.torrent(source, bench.args.piece)
    process, port = who.seed(torrent, os.path.dirname(source))
    before = process.cpu()
    leecher = bench.lt("get", "--torrent", torrent, "--save", bench.folder("into"), "--peer", f"127.0.0.1:{port}")
    line = leecher.line("finished", bench.args.limit)
    return {
        "wall": line["finished"],
        "cpu": process.cpu() - before,
        "rss": process.peak(),
        "bytes": bench.args.size,
    }


def magnet(bench, who):
    source = bench.data(bench.args.size)
    # 20 bytes a piece.
    torrent = bench.torrent(source, 256 << 10)
    bench.seeder(torrent, source)
    return {"wall": who.metadata(bench.magnet, bench.folder("into"))}


def http_range(base, path, start, length, began):
    """Seconds until the first byte and until `length` bytes, from `began`; the connection is dropped then."""
    parts = urllib.parse.urlsplit(base)
    with socket.create_connection((parts.hostname, parts.port), timeout=120) as to:
        asked = f"bytes=-{length}" if start is None else f"bytes={start}-"
        to.sendall(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nRange: {asked}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = to.recv(65536)
            if not more:
                raise Failed(f"no answer: {head[:200]!r}")
            head += more
        head, body = head.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 206"):
            raise Failed(head.decode(errors="replace").splitlines()[0])
        got = len(body)
        first = time.monotonic() - began if got else None
        while got < length:
            more = to.recv(1 << 20)
            if not more:
                raise Failed(f"ended after {got} of {length} bytes")
            first = first or time.monotonic() - began
            got += len(more)
        return first, time.monotonic() - began


def seek(bench, who):
    """Start, a seek to the middle after reading on for a while, the tail. Each after its own rest, as players do."""
    size = bench.args.size
    source = bench.data(size)
    torrent = bench.torrent(source, SEEK_PIECE)
    if bench.args.links:
        seeders = []
        for number in range(SEEDERS):
            seeder, port = bench.seeder(torrent, source)
            seeders.append(seeder)
            links.slow_down(number + 1, port, SEEDER_RATE)
    else:
        # libtorrent's own limit: what half a second allows comes at once, then nothing.
        seeders = [bench.seeder(torrent, source, SEEDER_RATE)[0] for _ in range(SEEDERS)]
    middle = size // 2 + 12345
    tail = 65536
    reads = [(0, FOUR, 1.0), (middle, FOUR, 1.0), (size - tail, tail, 0)]
    found, asked = [], sum(length for _, length, _ in reads)
    if who.name == "headwater":
        process, base, _ = who.serve()
        began = time.monotonic()
        # Nothing is wanted but what is read.
        added = who.add(base, torrent, {"files": []} if bench.args.only_read else None)
        path = f"/api/v1/video/{added['info_hash']}-0/file"
        for number, (offset, length, pause) in enumerate(reads):
            if number:
                began = time.monotonic()
            found.append(http_range(base, path, None if offset == size - tail else offset, length, began))
            time.sleep(pause)
    else:
        reader = bench.lt("read", "--torrent", torrent, "--save", bench.folder("into"), "--ahead", "8",
                          *(["--only-read"] if bench.args.only_read else []), python=who.python)
        for offset, length, pause in reads:
            reader.say(f"{offset} {length} {pause}")
            line = reader.line("first", bench.args.limit)
            found.append((line["first"], line["last"]))
    given = 0
    for seeder in seeders:
        seeder.say("")
        given += seeder.line("uploaded", 20)["uploaded"]
    return {
        "first": found[0][0],
        "first_4": found[0][1],
        "seek_first": found[1][0],
        "seek_4": found[1][1],
        "tail_first": found[2][0],
        "unasked": max(0, given - asked),
    }


def idle(bench, who):
    """Many torrents that are whole and that nobody asks for."""
    count = bench.args.count
    store = bench.folder("idle-data")
    torrents = bench.folder("idle-torrents")
    for number in range(count):
        name = f"file-{number:05}"
        data = (name * 4096)[: 32 << 10].encode()
        with open(os.path.join(store, name), "wb") as out:
            out.write(data)
        import hashlib

        pieces = b"".join(hashlib.sha1(data[at : at + 16384]).digest() for at in (0, 16384))
        with open(os.path.join(torrents, name + ".torrent"), "wb") as out:
            out.write(
                b"d4:infod6:lengthi%de4:name%d:%s12:piece lengthi16384e6:pieces%d:%see"
                % (len(data), len(name), name.encode(), len(pieces), pieces)
            )
    if who.name == "headwater":
        bench.work_into = None
        process, base, into = who.serve()
        for name in sorted(os.listdir(store)):
            os.link(os.path.join(store, name), os.path.join(into, name))
        for name in sorted(os.listdir(torrents)):
            who.add(base, os.path.join(torrents, name))
        states = {}
        for _ in range(100):
            listed = request(base + "/api/v1/torrents")
            listed = listed.get("torrents", listed) if isinstance(listed, dict) else listed
            states = {}
            for torrent in listed:
                states[torrent["state"]] = states.get(torrent["state"], 0) + 1
            if set(states) <= {"seeding", "finished"}:
                break
            time.sleep(0.2)
    else:
        process = bench.lt("idle", "--torrent", torrents, "--save", store, python=who.python)
        process.line("added", 60)
        states = {"seeding": count}
    # Past what a start has to write.
    time.sleep(SETTLE)
    cpu, began = process.cpu(), time.monotonic()
    time.sleep(bench.args.seconds)
    share = (process.cpu() - cpu) / (time.monotonic() - began)
    return {"rss": process.status("VmRSS"), "cpu": share, "states": states}


def garbage(bench, who):
    """A peer that has everything and sends noise, beside an honest one."""
    source = bench.data(bench.args.size)
    torrent = bench.torrent(source, MIB)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/swarm/garbage_peer.py")
    bad = bench.keep(
        Talker([sys.executable, script, "127.0.0.2:0", bench.info_hash, str(bench.pieces)], bench.log)
    )
    # An address of its own: clients ban addresses, not ports.
    bench.tracker.peers.append(("127.0.0.2", bad.line("listening", 20)["listening"]))
    bench.seeder(torrent, source)
    into = bench.folder("into")
    result = who.download(torrent, into)
    whole = same(os.path.join(into, "film.bin"), source)
    bench.processes[-1].stop()
    time.sleep(0.3)
    blocks = sum(line.get("blocks", 0) for line in bad.lines)
    return {"wall": result["wall"], "blocks": blocks, "whole": whole, "connections": sum("blocks" in line for line in bad.lines)}


WHAT = {"bulk": bulk, "seed": seed, "magnet": magnet, "seek": seek, "idle": idle, "garbage": garbage}


def main():
    read = parser(WHAT, "/dev/shm/headwater-bench-torrent", 180)
    read.add_argument("--size", type=int, default=2 << 30)
    read.add_argument("--count", type=int, default=1000)
    read.add_argument("--seconds", type=float, default=30)
    read.add_argument("--only-read", action="store_true", help="seek: nothing is fetched that no reader wants")
    read.add_argument("--links", action="store_true", help="seek: lines are slow, not the senders; needs root")
    args = read.parse_args()
    if args.links:
        links.own_network()
    if args.what == "clients":
        print(json.dumps(available(args)))
        return
    os.makedirs(args.work, exist_ok=True)
    bench = Bench(args)
    try:
        result = WHAT[args.what](bench, client(bench, args.client))
    except (Failed, OSError, KeyError, AttributeError) as error:
        bench.stop()
        main_error(f"{type(error).__name__}: {error}")
    bench.stop()
    print(json.dumps(result), flush=True)


main()
