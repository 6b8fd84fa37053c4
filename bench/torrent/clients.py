"""How each client is told to do what is measured. A client that cannot do something has no function for it."""

import json
import os
import shutil
import socket
import subprocess
import time

from swarm import Failed, Watched, Talker, free_port, quiet, request


def answers(port, process):
    """Waits until somebody listens."""
    end = time.monotonic() + 20
    while time.monotonic() < end and process.alive():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise Failed(f"nobody listens at {port}")


class Client:
    def __init__(self, bench, name):
        self.bench, self.name, self.args = bench, name, bench.args

    def watched(self, command, **rest):
        return self.bench.keep(Watched(command, self.bench.log, **rest))

    # What each answers: seconds until all is here, CPU seconds, peak KiB.
    def result(self, process, wall):
        return {"wall": wall, "cpu": process.cpu(), "rss": process.peak()}


class Headwater(Client):
    def quiet_flags(self):
        data = self.bench.folder("headwater-data")
        return ["--no-dht", "--no-lsd", "--no-upnp", "--listen-port", "0", "--data-dir", data, "--log", "warn"]

    def download(self, source, into):
        process = self.watched(
            [self.args.headwater, "download", source, "-o", into, "--json", *self.quiet_flags()],
            stdout=subprocess.DEVNULL,
        )
        if process.wait(self.args.limit) != 0:
            raise Failed(f"headwater download: exit {process.process.returncode}, see {self.bench.log}")
        return self.result(process, time.monotonic() - process.start)

    def seed(self, torrent, folder):
        port = free_port()
        flags = self.quiet_flags()
        flags[flags.index("--listen-port") + 1] = str(port)
        process = self.watched(
            [self.args.headwater, "seed", torrent, "--data", folder, "--json", *flags], stdout=subprocess.DEVNULL
        )
        quiet(process)
        return process, port

    def metadata(self, magnet, into):
        saved = os.path.join(into, "got.torrent")
        process = self.watched(
            [self.args.headwater, "inspect", magnet, "--save", saved, "--json", *self.quiet_flags()],
            stdout=subprocess.DEVNULL,
        )
        while not os.path.exists(saved):
            if not process.alive() and not os.path.exists(saved):
                raise Failed(f"headwater inspect ended with {process.process.returncode}")
            if time.monotonic() - process.start > self.args.limit:
                raise Failed("no metadata")
            time.sleep(0.002)
        return time.monotonic() - process.start

    def serve(self):
        port = free_port()
        into = self.bench.folder("headwater-serve")
        # Files of torrents are beneath the data directory by default; both are in memory here.
        process = self.watched(
            [self.args.headwater, "serve", "-p", str(port), "--download-dir", into, "-t", self.bench.folder("films"),
             *self.quiet_flags()],
            stdout=subprocess.DEVNULL,
        )
        base = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 20
        while True:
            try:
                request(base + "/healthz")
                return process, base, into
            except ValueError:
                return process, base, into
            except OSError:
                if time.monotonic() > end or not process.alive():
                    raise Failed("headwater serve does not answer")
                time.sleep(0.01)

    def add(self, base, torrent, options=None):
        with open(torrent, "rb") as read:
            body = read.read()
        if options:
            edge = "8e1f5c40"
            form = (
                f'--{edge}\r\nContent-Disposition: form-data; name="options"\r\n\r\n{json.dumps(options)}\r\n'
                f'--{edge}\r\nContent-Disposition: form-data; name="torrent"; filename="film.torrent"\r\n\r\n'
            )
            body = form.encode() + body + f"\r\n--{edge}--\r\n".encode()
            return request(base + "/api/v1/torrents", body, {"Content-Type": f"multipart/form-data; boundary={edge}"})
        return request(base + "/api/v1/torrents", body, {"Content-Type": "application/x-bittorrent"})


class Libtorrent(Client):
    def __init__(self, bench, name, python):
        super().__init__(bench, name)
        self.python = python

    def download(self, source, into):
        process = self.bench.lt("get", "--torrent", source, "--save", into, python=self.python)
        line = process.line("finished", self.args.limit)
        return {"wall": line["finished"], "cpu": line["cpu"], "rss": line["rss"]}

    def seed(self, torrent, folder):
        process = self.bench.lt("seed", "--torrent", torrent, "--save", folder, python=self.python)
        return process, process.line("listening", 60)["listening"]

    def metadata(self, magnet, into):
        process = self.bench.lt("get", "--torrent", magnet, "--save", into, python=self.python)
        return process.line("metadata", self.args.limit)["metadata"]


class Aria2(Client):
    def flags(self, into):
        return [
            "aria2c", "--dir", into, "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
            "--file-allocation=none", "--allow-overwrite=true", "--no-conf", "--console-log-level=error",
            "--summary-interval=0", "--follow-torrent=mem", "--enable-peer-exchange=false",
        ]

    def hook(self):
        """A program that leaves a mark."""
        mark = os.path.join(self.bench.work, "aria2-done")
        script = os.path.join(self.bench.work, "aria2-hook")
        with open(script, "w") as out:
            out.write(f"#!/bin/sh\n: > {mark}\n")
        os.chmod(script, 0o755)
        return script, mark

    def marked(self, process, mark):
        while not os.path.exists(mark):
            if not process.alive() and not os.path.exists(mark):
                raise Failed(f"aria2c ended with {process.process.returncode}")
            if time.monotonic() - process.start > self.args.limit:
                raise Failed("aria2c: not done")
            time.sleep(0.005)
        return time.monotonic() - process.start

    def download(self, source, into):
        script, mark = self.hook()
        # The moment it is whole counts, not that it waits two seconds before it ends.
        process = self.watched(
            [*self.flags(into), "--seed-time=0", f"--listen-port={free_port()}",
             f"--on-bt-download-complete={script}", source]
        )
        return self.result(process, self.marked(process, mark))

    def seed(self, torrent, folder):
        port = free_port()
        process = self.watched(
            [*self.flags(folder), f"--listen-port={port}", "--seed-ratio=0.0", "--bt-seed-unverified=true",
             "--check-integrity=false", torrent]
        )
        quiet(process)
        return process, port

    def metadata(self, magnet, into):
        process = self.watched(
            [*self.flags(into), "--bt-metadata-only=true", "--bt-save-metadata=true",
             f"--listen-port={free_port()}", magnet]
        )
        saved = os.path.join(into, self.bench.info_hash + ".torrent")
        while not os.path.exists(saved):
            if time.monotonic() - process.start > self.args.limit:
                raise Failed("aria2c: no metadata")
            time.sleep(0.002)
        return time.monotonic() - process.start


class Transmission(Client):
    def start(self, source, into, port):
        config = self.bench.folder("transmission")
        mark = os.path.join(self.bench.work, "transmission-done")
        script = os.path.join(self.bench.work, "transmission-hook")
        with open(script, "w") as out:
            out.write(f"#!/bin/sh\n: > {mark}\n")
        os.chmod(script, 0o755)
        with open(os.path.join(config, "settings.json"), "w") as out:
            json.dump(
                {"dht-enabled": False, "lpd-enabled": False, "port-forwarding-enabled": False, "preallocation": 0,
                 "pex-enabled": False, "utp-enabled": False},
                out,
            )
        process = self.watched(
            ["transmission-cli", "-g", config, "-w", into, "-p", str(port), "-f", script, "-M", source],
            stdout=subprocess.DEVNULL,
        )
        if self.bench.seeders:
            # It takes loopback addresses from nobody, but it is called from there.
            answers(port, process)
            for seeder in self.bench.seeders:
                seeder.say(f"connect 127.0.0.1:{port}")
        return process, mark, config

    def download(self, source, into):
        process, mark, _ = self.start(source, into, free_port())
        while not os.path.exists(mark):
            if not process.alive():
                raise Failed(f"transmission-cli ended with {process.process.returncode}")
            if time.monotonic() - process.start > self.args.limit:
                raise Failed("transmission-cli: not done")
            time.sleep(0.01)
        return self.result(process, time.monotonic() - process.start)

    def seed(self, torrent, folder):
        port = free_port()
        process, _, _ = self.start(torrent, folder, port)
        quiet(process)
        return process, port

    def metadata(self, magnet, into):
        process, _, config = self.start(magnet, into, free_port())
        saved = os.path.join(config, "torrents")
        while True:
            for name in os.listdir(saved) if os.path.isdir(saved) else []:
                path = os.path.join(saved, name)
                if name.endswith(".torrent") and os.path.getsize(path) > 4096:
                    return time.monotonic() - process.start
            if time.monotonic() - process.start > self.args.limit:
                raise Failed("transmission-cli: no metadata")
            time.sleep(0.005)


class Rqbit(Client):
    def flags(self):
        return ["rqbit", "--disable-dht", "--disable-upnp-port-forward", "--listen-port", str(free_port())]

    def download(self, source, into):
        process = self.watched([*self.flags(), "download", "-e", "-o", into, source], stdout=subprocess.DEVNULL)
        if process.wait(self.args.limit) != 0:
            raise Failed(f"rqbit: exit {process.process.returncode}")
        return self.result(process, time.monotonic() - process.start)


def client(bench, name):
    if name == "headwater":
        return Headwater(bench, name)
    if name == "libtorrent":
        return Libtorrent(bench, name, bench.args.python)
    if name == "libtorrent-debian":
        return Libtorrent(bench, name, "/usr/bin/python3")
    return {"aria2": Aria2, "transmission": Transmission, "rqbit": Rqbit}[name](bench, name)


def available(args):
    """The clients that are here, with their versions."""

    def version(command, pick):
        try:
            out = subprocess.run(command, capture_output=True, text=True, timeout=20)
            return pick(out.stdout + out.stderr)
        except (OSError, subprocess.TimeoutExpired, IndexError, ValueError, KeyError):
            return None

    lt = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "lt_client.py"), "version"]
    found = {
        "headwater": version([args.headwater, "--version"], lambda text: text.split()[1]),
        "libtorrent": version([args.python, *lt], lambda text: json.loads(text)["version"]),
        "libtorrent-debian": version(["/usr/bin/python3", *lt], lambda text: json.loads(text)["version"]),
        "aria2": version(["aria2c", "--version"], lambda text: text.split()[2]),
        "transmission": version(["transmission-cli", "--version"], lambda text: text.split()[1]),
        "rqbit": version(["rqbit", "--version"], lambda text: text.split()[1]),
    }
    return {name: number for name, number in found.items() if number and (name != "rqbit" or shutil.which("rqbit"))}
