#!/usr/bin/env python3
"""libtorrent with its default settings but for uTP, as seeder and as the client that others are measured beside.

Prints a line of JSON for each turn. "cpu" is of the session alone: what starting Python took is not counted. Ends with its stdin.
"""

import argparse
import json
import os
import resource
import sys
import threading
import time

import libtorrent as lt


def say(**line):
    print(json.dumps(line), flush=True)


def session(args):
    mask = lt.alert.category_t.status_notification | lt.alert.category_t.error_notification
    if args.command == "read":
        mask |= lt.alert.category_t.piece_progress_notification | lt.alert.category_t.storage_notification
    return lt.session(
        {
            "listen_interfaces": args.listen,
            "alert_mask": mask,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "ssrf_mitigation": False,
            # Over loopback uTP's congestion control makes a tenth of what TCP does: nobody is measured by it.
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            # Several seeders of one measurement live at one address.
            "allow_multiple_connections_per_ip": True,
            # With nothing wanted but pieces with deadlines it takes itself for finished, and seeds for useless.
            "close_redundant_connections": False,
            "active_limit": -1,
            "active_seeds": -1,
            "stop_tracker_timeout": 1,
        }
    )


def parameters(source, save, seed=False):
    if source.startswith("magnet:"):
        add = lt.parse_magnet_uri(source)
    else:
        add = lt.add_torrent_params()
        add.ti = lt.torrent_info(source)
    add.save_path = save
    add.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if seed:
        add.flags |= lt.torrent_flags.seed_mode
    return add


def connect(handle, peers):
    for peer in peers:
        host, port = peer.rsplit(":", 1)
        handle.connect_peer((host, int(port)))


def make(args):
    storage = lt.file_storage()
    lt.add_files(storage, args.source)
    made = lt.create_torrent(storage, args.piece, lt.create_torrent.v1_only)
    for tracker in args.tracker:
        made.add_tracker(tracker)
    lt.set_piece_hashes(made, os.path.dirname(os.path.abspath(args.source)))
    with open(args.torrent, "wb") as out:
        out.write(lt.bencode(made.generate()))
    info = lt.torrent_info(args.torrent)
    say(info_hash=str(info.info_hash()), pieces=info.num_pieces(), metadata=info.metadata_size())


def seed(args):
    ses = session(args)
    # Checked before it is asked for anything: in seed mode it hashes each piece at its first request, which is what would
    # be measured then.
    handle = ses.add_torrent(parameters(args.torrent, args.save))
    if args.upload_limit:
        # By torrent: the session's limit does not hold for peers on loopback.
        handle.set_upload_limit(args.upload_limit)
    while not handle.status().is_seeding:
        time.sleep(0.01)
    say(listening=ses.listen_port())
    for line in sys.stdin:
        if line.startswith("connect "):
            connect(handle, [line.split()[1]])
        else:
            say(uploaded=handle.status().total_payload_upload)
    os._exit(0)


def get(args):
    ses = session(args)
    cpu, start = time.process_time(), time.monotonic()
    handle = ses.add_torrent(parameters(args.torrent, args.save))
    connect(handle, args.peer)
    while True:
        ses.wait_for_alert(1000)
        for alert in ses.pop_alerts():
            if isinstance(alert, lt.metadata_received_alert):
                say(metadata=time.monotonic() - start)
            elif isinstance(alert, lt.torrent_finished_alert):
                status = handle.status()
                say(
                    finished=time.monotonic() - start,
                    cpu=time.process_time() - cpu,
                    rss=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                    downloaded=status.total_payload_download,
                )
                sys.stdin.read()
                os._exit(0)
            elif isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
                say(error=alert.message())


class Reader:
    """What a player over libtorrent does: a window of pieces with deadlines ahead of the position, pieces as they come."""

    def __init__(self, ses, handle, ahead):
        self.ses, self.handle, self.ahead = ses, handle, ahead
        self.info = handle.torrent_file()
        self.here = {}
        self.asked = set()

    def window(self, piece):
        for n, ahead in enumerate(range(piece, min(piece + self.ahead, self.info.num_pieces()))):
            if ahead not in self.asked:
                self.asked.add(ahead)
                if self.handle.piece_priority(ahead) == 0:
                    self.handle.piece_priority(ahead, 7)
                # The alert brings the bytes.
                self.handle.set_piece_deadline(ahead, n * 250, lt.deadline_flags_t.alert_when_available)

    def seek(self):
        self.handle.clear_piece_deadlines()
        self.asked.clear()

    def piece(self, number):
        self.window(number)
        while number not in self.here:
            self.ses.wait_for_alert(500)
            for alert in self.ses.pop_alerts():
                if isinstance(alert, lt.read_piece_alert) and alert.size:
                    self.here[alert.piece] = alert.size
        return self.here[number]

    def read(self, offset, length, start):
        """First byte and the last of `length`, in seconds from `start`."""
        size = self.info.piece_length()
        first = None
        for number in range(offset // size, (offset + length - 1) // size + 1):
            self.piece(number)
            if first is None:
                first = time.monotonic() - start
        return first, time.monotonic() - start


def read(args):
    ses = session(args)
    start = time.monotonic()
    wish = parameters(args.torrent, args.save)
    if args.only_read:
        # A piece with a deadline is fetched all the same.
        wish.file_priorities = [0] * wish.ti.num_files()
    handle = ses.add_torrent(wish)
    connect(handle, args.peer)
    reader = Reader(ses, handle, args.ahead)
    total = handle.torrent_file().total_size()
    asked = 0
    for line in sys.stdin:
        # offset length pause
        offset, length, pause = (float(part) for part in line.split())
        offset, length = int(offset), int(length)
        if asked:
            start = time.monotonic()
        reader.seek()
        first, last = reader.read(offset, length, start)
        asked += length
        say(first=first, last=last, downloaded=handle.status().total_payload_download, asked=asked, total=total)
        time.sleep(pause)
    os._exit(0)


def idle(args):
    ses = session(args)
    for name in sorted(os.listdir(args.torrent)):
        ses.add_torrent(parameters(os.path.join(args.torrent, name), args.save, seed=True))
    say(added=len(ses.get_torrents()))
    sys.stdin.read()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["make", "seed", "get", "read", "idle", "version"])
    parser.add_argument("--torrent")
    parser.add_argument("--save")
    parser.add_argument("--source")
    parser.add_argument("--piece", type=int, default=1 << 20)
    parser.add_argument("--tracker", action="append", default=[])
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--upload-limit", type=int, default=0)
    parser.add_argument("--only-read", action="store_true")
    parser.add_argument("--ahead", type=int, default=5)
    args = parser.parse_args()
    if args.command == "version":
        say(version=lt.__version__)
    else:
        {"make": make, "seed": seed, "get": get, "read": read, "idle": idle}[args.command](args)


if __name__ == "__main__":
    main()
