"""What the peers and proxies of these tests have in common: lines of JSON on stdout, and reads of a whole length."""

import json
import threading

# print writes a line and its end apart, and another thread's line may come between them.
SPEAKING = threading.Lock()


def say(**line):
    with SPEAKING:
        print(json.dumps(line), flush=True)


def receive(connection, length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data
