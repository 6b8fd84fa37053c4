#!/usr/bin/env python3
"""A SOCKS5 proxy (RFC 1928, 1929) that says what it is asked for: streams and datagrams, names and addresses, IPv4.

proxy.py HOST:PORT NAME ADDRESS [USER PASSWORD]. NAME is the one name that it knows. Streams and datagrams are both taken at PORT.
Prints {"listening": port} first, then {"stream": "host:port"} and {"datagram": "host:port"} for what goes through it. Ends with its
stdin.
"""

import socket
import struct
import sys
import threading

from talk import receive, say

CONNECT, ASSOCIATE = 1, 3
IPV4, NAME = 1, 3


def reply(code, address=("0.0.0.0", 0)):
    return struct.pack(">BBBB4sH", 5, code, 0, IPV4, socket.inet_aton(address[0]), address[1])


class Proxy:
    def __init__(self, own, known, login):
        self.own, self.known, self.login = own, known, login
        self.ways = {}
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(own)
        self.streams = socket.create_server(own)
        threading.Thread(target=self.relay, daemon=True).start()
        threading.Thread(target=self.accept, daemon=True).start()

    def place(self, host):
        return self.known[1] if host == self.known[0] else socket.inet_ntoa(socket.inet_aton(host))

    def accept(self):
        while True:
            connection, _ = self.streams.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.hello(connection)
            _, command, _, kind = receive(connection, 4)
            if kind == NAME:
                host = receive(connection, receive(connection, 1)[0]).decode()
            else:
                host = socket.inet_ntoa(receive(connection, 4))
            (port,) = struct.unpack(">H", receive(connection, 2))
            if command == ASSOCIATE:
                connection.sendall(reply(0, self.own))
                connection.recv(1)
                return
            say(stream="%s:%d" % (host, port))
            try:
                out = socket.create_connection((self.place(host), port), timeout=10)
            except OSError:
                return connection.sendall(reply(5))
            out.settimeout(None)
            connection.sendall(reply(0))
            back = threading.Thread(target=self.copy, args=(out, connection), daemon=True)
            back.start()
            self.copy(connection, out)
            back.join()
        except (OSError, EOFError):
            pass
        finally:
            connection.close()

    def hello(self, connection):
        _, count = receive(connection, 2)
        methods = receive(connection, count)
        if self.login is None:
            return connection.sendall(b"\x05\x00")
        if 2 not in methods:
            connection.sendall(b"\x05\xff")
            raise EOFError
        connection.sendall(b"\x05\x02")
        user = receive(connection, receive(connection, 2)[1])
        password = receive(connection, receive(connection, 1)[0])
        right = (user.decode(), password.decode()) == self.login
        connection.sendall(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            raise EOFError

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, target):
                end.close()

    def relay(self):
        """Datagrams of clients go out by a socket each, and answers come back by it."""
        while True:
            packet, client = self.datagrams.recvfrom(1 << 16)
            if packet[3] == NAME:
                host, rest = packet[5 : 5 + packet[4]].decode(), packet[5 + packet[4] :]
            else:
                host, rest = socket.inet_ntoa(packet[4:8]), packet[8:]
            (port,) = struct.unpack(">H", rest[:2])
            say(datagram="%s:%d" % (host, port))
            if client not in self.ways:
                self.ways[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.ways[client].bind((self.own[0], 0))
                threading.Thread(target=self.answer, args=(self.ways[client], client), daemon=True).start()
            self.ways[client].sendto(rest[2:], (self.place(host), port))

    def answer(self, way, client):
        while True:
            data, source = way.recvfrom(1 << 16)
            head = struct.pack(">HBB4sH", 0, 0, IPV4, socket.inet_aton(source[0]), source[1])
            self.datagrams.sendto(head + data, client)


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    login = tuple(sys.argv[4:6]) if len(sys.argv) > 5 else None
    proxy = Proxy((host, int(port)), (sys.argv[2], sys.argv[3]), login)
    say(listening=proxy.own[1])
    sys.stdin.read()


main()
