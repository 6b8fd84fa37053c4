#!/usr/bin/env python3
"""Watches what a client says to strangers: a DHT node, a listener for LSD, and a peer that reads the extended handshake.

watcher.py INFO_HASH [HOST]. Its DHT node and its peer are at HOST (127.0.0.1). Prints {"dht": port, "peer": port} first, then a line
for everything that names the torrent: {"via": "dht", "query": …}, {"via": "lsd"}, {"via": "pex"}; {"via": "peer", "dht": …,
"extensions": […]} for each handshake, with whether it says that there is a DHT node; and {"alive": …} for what does not name it,
so that silence is not mistaken for deafness. Ends with its stdin.
"""

import os
import re
import socket
import struct
import sys
import threading

from talk import receive, say

LSD = ("239.192.152.143", 6771)
BITFIELD, EXTENDED = 5, 20


def field(packet, key):
    """A byte string that follows a key in bencode; enough for KRPC."""
    found = re.search(re.escape(key) + rb"(\d+):", packet)
    return packet[found.end() : found.end() + int(found[1])] if found else b""


def dht(node, info_hash):
    own = os.urandom(20)
    while True:
        packet, sender = node.recvfrom(4096)
        query, transaction = field(packet, b"1:q"), field(packet, b"1:t")
        if not query:
            continue
        if info_hash in packet:
            say(via="dht", query=query.decode("ascii", "replace"))
        else:
            say(alive="dht")
        # Nobody is near; the token lets it announce.
        body = b"d2:id20:" + own + b"5:nodes0:5:token4:abcde"
        reply = b"d1:r" + body + b"1:t%d:" % len(transaction) + transaction + b"1:y1:re"
        node.sendto(reply, sender)


def lsd(info_hash, host):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", LSD[1]))
    for address in {"127.0.0.1", "0.0.0.0", host}:
        try:
            group = socket.inet_aton(LSD[0]) + socket.inet_aton(address)
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError:
            pass
    while True:
        packet, _ = listener.recvfrom(4096)
        if info_hash.hex().encode() in packet.lower():
            say(via="lsd")


def read(connection, info_hash):
    try:
        hello = receive(connection, 68)
        if hello[28:48] != info_hash:
            return
        knows_dht = bool(hello[27] & 1)
        reserved = bytes([0, 0, 0, 0, 0, 0x10, 0, 0x01])
        connection.sendall(b"\x13BitTorrent protocol" + reserved + info_hash + b"-XX0001-" + os.urandom(12))
        hello = b"\x00d1:md6:ut_pexi1eee"
        connection.sendall(struct.pack(">IB", 1 + len(hello), EXTENDED) + hello)
        while True:
            (length,) = struct.unpack(">I", receive(connection, 4))
            body = receive(connection, length)
            if length and body[0] == EXTENDED and body[1] == 0:
                names = [n.decode() for n in re.findall(rb"\d:(ut_pex|ut_metadata|lt_donthave|upload_only)", body)]
                say(via="peer", dht=knows_dht, extensions=names)
            elif length and body[0] == EXTENDED and body[1] == 1:
                say(via="pex")
    except (OSError, EOFError):
        pass
    finally:
        connection.close()


def main():
    info_hash = bytes.fromhex(sys.argv[1])
    host = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    node = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    node.bind((host, 0))
    peer = socket.create_server((host, 0))
    threading.Thread(target=dht, args=(node, info_hash), daemon=True).start()
    threading.Thread(target=lsd, args=(info_hash, host), daemon=True).start()

    def accept():
        while True:
            connection, _ = peer.accept()
            threading.Thread(target=read, args=(connection, info_hash), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    say(dht=node.getsockname()[1], peer=peer.getsockname()[1])
    sys.stdin.read()


main()
