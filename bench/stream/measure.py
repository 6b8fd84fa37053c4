#!/usr/bin/env python3
"""One measurement of one player, as a line of JSON: `measure.py WHAT PLAYER --work DIR …`. `bench-stream` calls it and makes tables.

seek      start_first, start_4, half_first, half_4, ninety_first, ninety_4 (s)
index     magnet_first, tail (s)
play      start, stall (s), stalls, waste (share), rss (KiB)
segments  master, list, first, half, ninety (s): whole segments of HLS, or the same bytes of the plain file
clients   which are here, with their versions

Beside a time stands `bound_…`: what the lines allow, for the whole pieces that it takes. Seeders are libtorrent's, behind lines
of `--rates` (`links.py`: a network namespace, needs root). Times count from the moment that a running player is told of the
torrent, or from the request; every measurement begins with nothing on disk.
"""

import json
import os
import re
import socket
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../torrent"))
import links
from film import Packets, film
from players import available, player
from swarm import Bench as TorrentBench
from swarm import Failed, Watched, main_error, parser

MIB = 1 << 20
FOUR = 4 * MIB
HEAD, TAIL = 64 << 10, 512 << 10
# Of a line, TCP's payload in Ethernet frames of 1500 bytes, and the blocks in a PIECE message.
PAYLOAD = 1448 / 1514 * 16384 / 16397
# What a line that rested lets pass at once, as links.py sets it.
BURST = 20 << 10
# How much faster the lines are than the film.
SPARE = 1.1
# Seconds of film that are in hand when playing begins, and begins again; and at most.
BEGIN, AGAIN, MOST = 6, 1, 30


class Bench(TorrentBench):
    def client(self, command):
        return self.keep(Watched(command, self.log))

    def given(self):
        """Payload bytes that the seeders sent until now."""
        total = 0
        for seeder in self.seeders:
            seeder.say("")
            total += seeder.line("uploaded", 20)["uploaded"]
        return total

    def swarm(self):
        """A film's seeders; answers with its path and the .torrent's."""
        path = film(self.args.work, self.args.film)
        torrent = self.torrent(path, self.args.piece)
        for number, rate in enumerate(self.args.rates):
            _, port = self.seeder(torrent, path)
            links.slow_down(number + 1, port, rate)
        self.size = os.path.getsize(path)
        return path, torrent

    def rate(self):
        """Bytes of pieces in a second, of all lines."""
        return sum(self.args.rates) * PAYLOAD

    def bound(self, start, end, rested=False):
        """Seconds until the pieces of `start..end` can be here."""
        piece = self.args.piece
        return self.bound_of(range(start // piece, (end - 1) // piece + 1), rested)

    def bound_of(self, pieces, rested=False):
        piece = self.args.piece
        size = sum(min(piece, self.size - number * piece) for number in pieces)
        return max(0, size - rested * BURST * len(self.args.rates)) / self.rate()


class Get:
    """One request, as a player makes it."""

    def __init__(self, url, start=None, end=None):
        self.began = time.monotonic()
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        # What the kernel keeps for a reader that does not read is no part of the measurement.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        ranged = "" if start is None else f"Range: bytes={start}-{'' if end is None else end - 1}\r\n"
        # 1.0: a body whose length is not known yet ends with the connection, unframed.
        self.socket.sendall(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n{ranged}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.socket.recv(65536)
            if not more:
                raise Failed(f"no answer: {head[:200]!r}")
            head += more
        head, self.body = head.split(b"\r\n\r\n", 1)
        head = head.decode(errors="replace")
        if head.split()[1] not in ("200", "206"):
            raise Failed(f"{parts.path}: {head.splitlines()[0]}")
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        self.length = int(length[1]) if length else None

    def some(self):
        """The next bytes; none at the end."""
        body, self.body = self.body, b""
        return body or self.socket.recv(1 << 18)

    def read(self, length=None):
        """Reads `length` bytes or all. Seconds until the first and until the last."""
        got, first, length = 0, None, length or self.length
        while length is None or got < length:
            more = self.some()
            if not more:
                if length is None and got:
                    break
                raise Failed(f"ended after {got} of {length} bytes")
            first = first or time.monotonic()
            got += len(more)
        last = time.monotonic()
        self.socket.close()
        return first - self.began, last - self.began

    def text(self):
        body = b""
        while more := self.some():
            body += more
        self.socket.close()
        return body.decode()


def seek(bench, name):
    """The start, and seeks to the middle and near the end, each after a second of rest; the torrent is a file."""
    _, torrent = bench.swarm()
    who = player(bench, name)
    told = time.monotonic()
    url = who.add(torrent)
    result = {}
    for what, share in (("start", 0), ("half", 0.5), ("ninety", 0.9)):
        offset = int(bench.size * share) + (12345 if share else 0)
        late = 0 if share else time.monotonic() - told
        first, last = Get(url, offset).read(FOUR)
        result[f"{what}_first"], result[f"{what}_4"] = first + late, last + late
        result[f"bound_{what}_first"] = bench.bound(offset, offset + 1, not share)
        result[f"bound_{what}_4"] = bench.bound(offset, offset + FOUR, not share)
        time.sleep(1)
    return result


def index(bench, name):
    """From a magnet to the first byte, then the film's end, where its index lies."""
    bench.swarm()
    who = player(bench, name)
    told = time.monotonic()
    url = who.add(bench.magnet)
    late = time.monotonic() - told
    first, _ = Get(url, 0).read(HEAD)
    _, tail = Get(url, bench.size - TAIL, bench.size).read(TAIL)
    return {
        "magnet_first": first + late,
        "bound_magnet_first": bench.bound(0, HEAD, True),
        "tail": tail,
        "bound_tail": bench.bound(bench.size - TAIL, bench.size),
    }


class Playback:
    """A playhead that moves at `rate` bytes a second over what came; stands still when it has none."""

    def __init__(self, rate, second, now):
        self.rate, self.second = rate, second
        self.came, self.shown = 0, 0.0
        self.at, self.runs, self.need = now, False, BEGIN
        self.start, self.stall, self.stalls = None, 0.0, 0
        self.dry = None

    def until(self, now, whole=False):
        """Moves on to `now`."""
        if self.runs:
            moved = (now - self.at) * self.rate
            if self.shown + moved > self.came and not whole:
                self.dry = self.at + (self.came - self.shown) / self.rate
                self.shown, self.runs, self.need = float(self.came), False, AGAIN
                self.stalls += 1
            else:
                self.shown += moved
        self.at = now

    def more(self, count, now, size):
        self.until(now)
        self.came += count
        if not self.runs and (self.came - self.shown >= self.need * self.second or self.came == size):
            self.runs = True
            if self.dry is None:
                self.start = now
            else:
                self.stall += now - self.dry

    def room(self):
        """Bytes that a player of so much memory reads now."""
        return MOST * self.second - (self.came - self.shown)


def play(bench, name):
    """The whole film, at a rate that the lines exceed by a tenth."""
    bench.swarm()
    who = player(bench, name)
    before = bench.given()
    rate = bench.rate() / SPARE
    told = time.monotonic()
    url = who.add(bench.magnet)
    playback = Playback(rate, bench.size / bench.args.film, told)
    get = Get(url, 0)
    while playback.came < bench.size:
        playback.until(time.monotonic())
        if playback.room() < 0:
            time.sleep(0.02)
            continue
        more = get.some()
        if not more:
            raise Failed(f"ended after {playback.came} of {bench.size} bytes")
        playback.more(len(more), time.monotonic(), bench.size)
    rss = who.process.peak()
    # All is here: what was sent beyond it came twice or for nothing.
    time.sleep(0.5)
    sent = bench.given() - before
    return {
        "start": playback.start - told,
        "bound_start": bench.bound(0, int(BEGIN * playback.second), True),
        "stall": playback.stall,
        "stalls": playback.stalls,
        "waste": max(0, sent - bench.size) / bench.size,
        "rss": rss,
        "times": rate / playback.second,
    }


def segments(bench, name):
    """From a magnet to the first segment, and seeks by segment; `file` reads the same bytes of the plain file."""
    path, _ = bench.swarm()
    packets = Packets(path)
    cuts = path + ".segments"
    who = player(bench, "headwater")
    told = time.monotonic()
    file = who.add(bench.magnet)
    result, address, names = {}, None, []
    if name == "headwater-hls":
        address = who.video + "/master.m3u8"
        master = Get(address).text()
        result["master"] = time.monotonic() - told
        address = urllib.parse.urljoin(address, next(line for line in master.splitlines() if line and line[0] != "#"))
        listed = Get(address).text()
        result["list"] = time.monotonic() - told
        head = re.search(r'#EXT-X-MAP:URI="([^"]+)"', listed)
        if head:
            Get(urllib.parse.urljoin(address, head[1])).read()
        names = re.findall(r"#EXTINF:([\d.]+),.*\n([^#\n]+)", listed)
        starts = [0.0]
        for seconds, _ in names:
            starts.append(starts[-1] + float(seconds))
        with open(cuts, "w") as write:
            json.dump(starts, write)
    else:
        # As they were cut when HLS was measured, which comes first.
        with open(cuts) as read:
            starts = json.load(read)
    late, last = time.monotonic() - told, len(starts) - 1
    for what, number in (("first", 0), ("half", last // 2), ("ninety", last * 9 // 10)):
        start, end = packets.between(starts[number], starts[number + 1])
        if names:
            _, whole = Get(urllib.parse.urljoin(address, names[number][1].strip())).read()
        else:
            _, whole = Get(file, start, end).read()
        if what == "first":
            pieces = set(range((end - 1) // bench.args.piece + 1))
            # A playlist takes the index, which is at the end.
            if names:
                pieces.add((bench.size - 1) // bench.args.piece)
            result["first"], result["bound_first"] = whole + late, bench.bound_of(pieces, True)
        else:
            result[what], result[f"bound_{what}"] = whole, bench.bound(start, end)
        time.sleep(1)
    return result


WHAT = {"seek": seek, "index": index, "play": play, "segments": segments}


def main():
    read = parser(WHAT, "/dev/shm/headwater-bench-stream", 60)
    read.add_argument("--film", type=int, default=600, help="seconds")
    read.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=[MIB] * 4)
    args = read.parse_args()
    if args.what == "clients":
        print(json.dumps(available(args)))
        return
    links.own_network()
    os.makedirs(args.work, exist_ok=True)
    bench = Bench(args)
    try:
        result = WHAT[args.what](bench, args.client)
    except (Failed, OSError, KeyError, AttributeError, IndexError, ValueError) as error:
        bench.stop()
        main_error(f"{type(error).__name__}: {error}")
    bench.stop()
    print(json.dumps(result), flush=True)


main()
