#!/usr/bin/env python3
"""libtorrent as a player would use it: a file over HTTP, a window of pieces with deadlines ahead of each request's position.

`lt_player.py FOLDER`: the whole film is wanted beside the window, which is libtorrent's default; `lt_player.py FOLDER window`:
nothing is, so that no request for another piece stands before those of the window. Says JSON lines, hears `add SOURCE`.
"""

import http.server
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../torrent"))
import libtorrent as lt
from lt_client import parameters, say, session

# Pieces, and what they come to with large ones.
AHEAD, AHEAD_BYTES = 8, 16 << 20


class Pieces:
    """Pieces as they come, for whoever waits."""

    def __init__(self, ses, handle, only_window):
        self.ses, self.handle = ses, handle
        while handle.torrent_file() is None:
            ses.wait_for_alert(50)
            ses.pop_alerts()
        self.info = handle.torrent_file()
        self.only_window = only_window
        if only_window:
            # A piece with a deadline is fetched all the same.
            handle.prioritize_pieces([0] * self.info.num_pieces())
        self.piece = self.info.piece_length()
        self.ahead = max(2, min(AHEAD, AHEAD_BYTES // self.piece))
        self.came = threading.Condition()
        self.here, self.asked, self.reader = {}, set(), 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            self.ses.wait_for_alert(500)
            for alert in self.ses.pop_alerts():
                if isinstance(alert, lt.read_piece_alert) and alert.size:
                    with self.came:
                        if alert.piece in self.asked:
                            self.here[alert.piece] = bytes(alert.buffer)
                            self.came.notify_all()

    def begin(self):
        """A new request: what the one before wanted is wanted no more."""
        with self.came:
            self.reader += 1
            self.handle.clear_piece_deadlines()
            if self.only_window:
                self.handle.prioritize_pieces([0] * self.info.num_pieces())
            self.asked.clear()
            self.here.clear()
            self.came.notify_all()
            return self.reader

    def read(self, reader, number):
        with self.came:
            for old in [piece for piece in self.here if piece < number]:
                del self.here[old]
            for n, ahead in enumerate(range(number, min(number + self.ahead, self.info.num_pieces()))):
                if ahead not in self.asked:
                    self.asked.add(ahead)
                    if self.handle.piece_priority(ahead) == 0:
                        self.handle.piece_priority(ahead, 7)
                    self.handle.set_piece_deadline(ahead, n * 250, lt.deadline_flags_t.alert_when_available)
            self.came.wait_for(lambda: number in self.here or self.reader != reader)
            return self.here.get(number) if self.reader == reader else None


def handler(pieces):
    size = pieces.info.total_size()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
            start, end = int(found[1]), min(int(found[2] or size - 1) + 1, size)
            reader = pieces.begin()
            self.send_response(206)
            self.send_header("Content-Length", str(end - start))
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            try:
                while start < end:
                    number, within = divmod(start, pieces.piece)
                    data = pieces.read(reader, number)
                    if data is None:
                        return
                    data = data[within : within + end - start]
                    self.wfile.write(data)
                    start += len(data)
            except OSError:
                pass  # The player left.

        def log_message(self, *_):
            pass

    return Answer


def main():
    class Args:
        command, listen = "read", "127.0.0.1:0"

    ses = session(Args)
    say(ready=True)
    for line in sys.stdin:
        only_window = "window" in sys.argv[2:]
        wish = parameters(line.removeprefix("add ").strip(), sys.argv[1])
        if only_window:
            wish.flags |= lt.torrent_flags.default_dont_download
        handle = ses.add_torrent(wish)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(Pieces(ses, handle, only_window)))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say(url=f"http://127.0.0.1:{server.server_address[1]}/film")
    os._exit(0)


main()
