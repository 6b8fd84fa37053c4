#!/usr/bin/env python3
"""Captures every packet of a network namespace and says which of them tell of a torrent, and how.

capture.py INFO_HASH. Prints {"capturing": true} first, then a line for each kind of thing that is seen, once for each pair of ports:
{"saw": what, "over": "tcp" or "udp", "from": "address:port", "to": "address:port"}. What: "name" (the info-hash, raw, in hexadecimal
digits, as in addresses, or in base32), "get_peers" and "announce_peer" (of the DHT), "find_node" (of the DHT, names nobody), "lsd"
(to the group of BEP 14), "pex" (offers it), "port" (tells a peer of the DHT). A line on stdin asks for the numbers:
{"packets": …, "lost": …}. Ends with its stdin.
"""

import base64
import socket
import struct
import sys
import threading
import urllib.parse

from talk import say

ETH_P_ALL = 3
# Of the kernel's if_packet.h; the module does not name them.
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
LSD_PORT = 6771
TCP, UDP = 6, 17


def names_of(info_hash):
    text = info_hash.hex().encode()
    percent = urllib.parse.quote_from_bytes(info_hash, safe="").lower().encode()
    every_byte = "".join("%%%02x" % byte for byte in info_hash).encode()
    return [text, percent, every_byte, base64.b32encode(info_hash).lower()]


def transport(packet):
    """Protocol, addresses and what follows the header of TCP or UDP; None for anything else."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        protocol, start = packet[9], (packet[0] & 15) * 4
        source, target = (socket.inet_ntop(socket.AF_INET, packet[at : at + 4]) for at in (12, 16))
    elif version == 6 and len(packet) >= 40:
        protocol, start = packet[6], 40
        source, target = (socket.inet_ntop(socket.AF_INET6, packet[at : at + 16]) for at in (8, 24))
        if protocol == 0:  # a hop-by-hop header, as of multicast
            protocol, start = packet[40], 48 + packet[41] * 8
    else:
        return None
    if protocol not in (TCP, UDP) or len(packet) < start + (20 if protocol == TCP else 8):
        return None
    from_port, to_port = struct.unpack(">HH", packet[start : start + 4])
    payload = packet[start + ((packet[start + 12] >> 4) * 4 if protocol == TCP else 8) :]
    return protocol, (source, from_port), (target, to_port), payload


def told(protocol, to, payload, raw, texts):
    lower = payload.lower()
    if raw in payload or any(text in lower for text in texts):
        yield "name"
    if protocol == UDP:
        if to[1] == LSD_PORT:
            yield "lsd"
        for query in ("get_peers", "announce_peer", "find_node"):
            if b"1:q%d:%s" % (len(query), query.encode()) in payload:
                yield query
    else:
        if b"6:ut_pex" in payload:
            yield "pex"
        if b"\x00\x00\x00\x03\x09" in payload:
            yield "port"


def main():
    raw = bytes.fromhex(sys.argv[1])
    texts = names_of(raw)
    capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    capture.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    seen, numbers = set(), {"packets": 0, "lost": 0}

    def listen():
        while True:
            packet = capture.recv(1 << 16)
            numbers["packets"] += 1
            parts = transport(packet)
            if parts is None:
                continue
            protocol, source, target, payload = parts
            for what in told(protocol, target, payload, raw, texts):
                if (what, source, target) not in seen:
                    seen.add((what, source, target))
                    over = "tcp" if protocol == TCP else "udp"
                    say(saw=what, over=over, **{"from": "%s:%d" % source, "to": "%s:%d" % target})

    threading.Thread(target=listen, daemon=True).start()
    say(capturing=True)
    for _line in sys.stdin:
        # Reading them sets them back.
        _, drops = struct.unpack("II", capture.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        numbers["lost"] += drops
        say(**numbers)


main()
