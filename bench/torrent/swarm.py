"""What the measurements of torrent clients are made of: processes that are watched, a tracker, seeders, clients."""

import argparse
import http.server
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
LT = os.path.join(HERE, "lt_client.py")
TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    pass


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Watched:
    """A process whose CPU time and peak memory are asked for, and that never outlives the measurement."""

    def __init__(self, command, log, stdin=None, env=None, stdout=None):
        self.log = open(log, "ab")
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout or self.log, stderr=self.log, env={**os.environ, **(env or {})}
        )
        self.usage = None

    def cpu(self):
        """Seconds, of every thread, until now."""
        if self.usage:
            return self.usage.ru_utime + self.usage.ru_stime
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def status(self, name):
        """A line of /proc/PID/status in KiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise Failed(f"no {name}")

    def peak(self):
        return self.usage.ru_maxrss if self.usage else self.status("VmHWM")

    def wait(self, limit):
        """Waits for its end; the exit status."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.usage = usage
                self.process.returncode = os.waitstatus_to_exitcode(status)
                return self.process.returncode
            time.sleep(0.005)
        raise Failed(f"{self.process.args[0]}: not done after {limit} s")

    def alive(self):
        if self.usage:
            return False
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.usage = usage
            self.process.returncode = os.waitstatus_to_exitcode(status)
        return not pid

    def stop(self):
        if self.usage is None and self.process.returncode is None:
            try:
                # Not through Popen, which would take its exit status, and with it what it used.
                os.kill(self.process.pid, signal.SIGKILL)
                self.wait(10)
            except (Failed, OSError):
                pass
        self.log.close()


class Talker(Watched):
    """A process that speaks JSON lines."""

    def __init__(self, command, log):
        super().__init__(command, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = []
        self.changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            with self.changed:
                try:
                    self.lines.append(json.loads(line))
                except ValueError:
                    self.lines.append({"text": line.decode(errors="replace")})
                self.changed.notify_all()
        with self.changed:
            self.lines.append({"ended": True})
            self.changed.notify_all()

    def line(self, key, limit):
        """The first line not yet taken that has `key`; those before it are dropped."""
        end = time.monotonic() + limit
        with self.changed:
            while True:
                while self.lines:
                    line = self.lines.pop(0)
                    if key in line:
                        return line
                    if "error" in line or "ended" in line:
                        raise Failed(f"{self.process.args[:3]}: {line}")
                if not self.changed.wait(max(0, end - time.monotonic())) and time.monotonic() >= end:
                    raise Failed(f"{self.process.args[:3]}: no {key} after {limit} s")

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def last(self, key):
        """The newest line that has `key`; nothing is waited for."""
        with self.changed:
            return next((line for line in reversed(self.lines) if key in line), None)


class Tracker:
    """Names the same peers to everybody; clients that take no peer on their command line need one."""

    def __init__(self):
        self.peers = []
        tracker = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                compact = b"".join(socket.inet_aton(h) + struct.pack(">H", p) for h, p in tracker.peers)
                body = b"d8:completei1e10:incompletei1e8:intervali1800e5:peers%d:%se" % (len(compact), compact)
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # A client that has what it wants is gone by now.

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/announce"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()


class Bench:
    """One measurement's folder, tracker and processes."""

    def __init__(self, args):
        self.args = args
        self.work = os.path.join(args.work, "run")
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        self.log = os.path.join(args.work, "log")
        self.tracker = Tracker()
        self.processes = []
        self.seeders = []

    def keep(self, process):
        self.processes.append(process)
        return process

    def folder(self, name):
        path = os.path.join(self.work, name)
        os.makedirs(path, exist_ok=True)
        return path

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        self.tracker.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    def data(self, size):
        """A file of noise, made once for all measurements."""
        folder = os.path.join(self.args.work, f"data-{size}")
        path = os.path.join(folder, "film.bin")
        if not os.path.exists(path) or os.path.getsize(path) != size:
            os.makedirs(folder, exist_ok=True)
            with open(path, "wb") as out:
                left = size
                while left:
                    part = min(left, 16 << 20)
                    out.write(os.urandom(part))
                    left -= part
        return path

    def torrent(self, source, piece):
        """A .torrent whose tracker is ours."""
        path = os.path.join(self.work, "film.torrent")
        plain = f"{source}-{piece}.torrent"
        if not os.path.exists(plain):
            made = self.lt("make", "--source", source, "--piece", str(piece), "--torrent", plain)
            made.line("info_hash", 120)
            made.stop()
        # The tracker's port is new each time: its address goes around the info dictionary as it is.
        with open(plain, "rb") as read:
            text = read.read()
        start = text.index(b"4:infod") + 6
        info = text[start:-1]
        with open(path, "wb") as out:
            out.write(b"d8:announce%d:%s4:info%se" % (len(self.tracker.url), self.tracker.url.encode(), info))
        import hashlib

        self.info_hash = hashlib.sha1(info).hexdigest()
        self.magnet = (
            f"magnet:?xt=urn:btih:{self.info_hash}&tr={urllib.parse.quote(self.tracker.url, safe='')}"
        )
        self.pieces = -(-os.path.getsize(source) // piece)
        return path

    def lt(self, *arguments, python=None):
        return self.keep(Talker([python or self.args.python, LT, *arguments], self.log))

    def seeder(self, torrent, source, limit=0):
        """A libtorrent seeder that the tracker names."""
        seeder = self.lt(
            "seed", "--torrent", torrent, "--save", os.path.dirname(source), "--upload-limit", str(limit)
        )
        port = seeder.line("listening", 60)["listening"]
        self.tracker.peers.append(("127.0.0.1", port))
        self.seeders.append(seeder)
        return seeder, port


def same(path, source):
    """Whether a download is what was seeded, by samples; some write a moment after they say that they are done."""
    return any(sampled(path, source) or time.sleep(0.2) for _ in range(15))


def sampled(path, source):
    if os.path.getsize(path) != os.path.getsize(source):
        return False
    with open(path, "rb") as one, open(source, "rb") as two:
        size = os.path.getsize(source)
        for n in range(64):
            at = n * (size // 64)
            one.seek(at)
            two.seek(at)
            if one.read(1 << 16) != two.read(1 << 16):
                return False
    return True


def request(url, data=None, headers=None, method=None):
    asked = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return json.loads(answer.read() or b"null")


def quiet(process, limit=60):
    """Waits until a process does nothing for a while: it has checked what it seeds."""
    end = time.monotonic() + limit
    before, since = process.cpu(), time.monotonic()
    while time.monotonic() < end:
        time.sleep(0.1)
        now = process.cpu()
        if now - before > 0.02:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > 1.0:
            return
    raise Failed("it never came to rest")


def parser(what, work, limit):
    """The arguments that every measurement has."""
    read = argparse.ArgumentParser()
    read.add_argument("what", choices=[*what, "clients"])
    read.add_argument("client", nargs="?")
    read.add_argument("--work", default=work)
    read.add_argument("--headwater", default="headwater")
    read.add_argument("--python", default=sys.executable, help="the one that has libtorrent from PyPI")
    read.add_argument("--piece", type=int, default=1 << 20)
    read.add_argument("--limit", type=float, default=limit)
    return read


def main_error(error):
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(0)
