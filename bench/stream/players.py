"""How each client is started and told to play: `add` answers with an address of the film that takes ranges."""

import json
import os
import subprocess
import time

from clients import Headwater as HeadwaterClient
from clients import Rqbit as RqbitClient
from clients import available as torrent_clients
from swarm import Failed, Talker, free_port, request

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = os.path.join(HERE, "node_player.mjs")


class Headwater:
    def __init__(self, bench):
        self.client = HeadwaterClient(bench, "headwater")
        self.process, self.base, _ = self.client.serve()

    def add(self, source):
        if source.startswith("magnet:"):
            body = json.dumps({"magnet": source}).encode()
            added = request(self.base + "/api/v1/torrents", body, {"Content-Type": "application/json"})
        else:
            added = self.client.add(self.base, source)
        self.video = f"{self.base}/api/v1/video/{added['info_hash']}-0"
        return self.video + "/file"


class Talking:
    """A program of ours around a client: hears `add SOURCE`, says where the film is."""

    def __init__(self, bench, command):
        self.limit = bench.args.limit
        self.process = bench.keep(Talker(command, bench.log))
        self.process.line("ready", 60)

    def add(self, source):
        self.process.say(f"add {source}")
        return self.process.line("url", self.limit)["url"]


class Rqbit:
    def __init__(self, bench):
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        flags = RqbitClient(bench, "rqbit").flags()
        self.process = bench.client(
            [*flags, "--http-api-listen-addr", f"127.0.0.1:{port}", "server", "start", bench.folder("into")]
        )
        end = time.monotonic() + 20
        while True:
            try:
                request(self.base + "/torrents")
                return
            except OSError:
                if time.monotonic() > end or not self.process.alive():
                    raise Failed("rqbit does not answer") from None
                time.sleep(0.01)

    def add(self, source):
        if source.startswith("magnet:"):
            body = source.encode()
        else:
            with open(source, "rb") as read:
                body = read.read()
        added = request(self.base + "/torrents?overwrite=true", body, method="POST")
        return f"{self.base}/torrents/{added['id']}/stream/0"


def player(bench, name):
    if name in ("webtorrent", "peerflix"):
        return Talking(bench, ["node", NODE, name, bench.folder("into")])
    if name in ("libtorrent", "libtorrent-window"):
        how = name.removeprefix("libtorrent").removeprefix("-")
        return Talking(bench, [bench.args.python, os.path.join(HERE, "lt_player.py"), bench.folder("into"), how])
    return {"headwater": Headwater, "rqbit": Rqbit}[name](bench)


def available(args):
    """The players that are here, with their versions."""
    found = {name: number for name, number in torrent_clients(args).items() if name in ("headwater", "libtorrent", "rqbit")}
    if "libtorrent" in found:
        found["libtorrent-window"] = found["libtorrent"]
    try:
        out = subprocess.run(["node", NODE, "versions"], capture_output=True, text=True, timeout=20)
        found.update(json.loads(out.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        pass
    return found
