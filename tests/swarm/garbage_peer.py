#!/usr/bin/env python3
"""A peer that claims to have everything and sends noise: plain BEP 3, nothing else.

garbage_peer.py HOST:PORT INFO_HASH PIECES. Prints {"listening": port}, and {"blocks": n, "closed": true} when a connection ends. Ends with its stdin.
"""

import argparse
import os
import socket
import struct
import sys
import threading

from talk import receive, say

CHOKE, UNCHOKE, INTERESTED, HAVE, BITFIELD, REQUEST, PIECE = 0, 1, 2, 4, 5, 6, 7


def message(kind, payload=b""):
    return struct.pack(">IB", 1 + len(payload), kind) + payload


def everything(pieces):
    field = bytearray(b"\xff" * (pieces // 8))
    if pieces % 8:
        field.append((0xFF << (8 - pieces % 8)) & 0xFF)
    return bytes(field)


def serve(connection, args):
    blocks = 0
    try:
        head = receive(connection, 68)
        if head[28:48] != args.info_hash:
            return
        connection.sendall(b"\x13BitTorrent protocol" + bytes(8) + args.info_hash + b"-XX0001-" + os.urandom(12))
        connection.sendall(message(BITFIELD, everything(args.pieces)))
        while True:
            (length,) = struct.unpack(">I", receive(connection, 4))
            if length == 0:
                continue
            body = receive(connection, length)
            if body[0] == INTERESTED:
                connection.sendall(message(UNCHOKE))
            elif body[0] == REQUEST:
                piece, begin, size = struct.unpack(">III", body[1:13])
                connection.sendall(message(PIECE, struct.pack(">II", piece, begin) + os.urandom(size)))
                blocks += 1
    except (OSError, EOFError):
        pass
    finally:
        connection.close()
        say(closed=True, blocks=blocks)


def main():
    read = argparse.ArgumentParser()
    read.add_argument("listen")
    read.add_argument("info_hash", type=bytes.fromhex)
    read.add_argument("pieces", type=int)
    args = read.parse_args()
    host, port = args.listen.rsplit(":", 1)
    listener = socket.create_server((host, int(port)))
    say(listening=listener.getsockname()[1])

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, args), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


main()
