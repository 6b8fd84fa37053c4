"""Slow lines: a network namespace of our own, in which what leaves a port passes at a rate (HTB). Needs root."""

import os
import subprocess
import sys

OURS = "HEADWATER_BENCH_NETWORK"


def own_network():
    """Starts this program again in a network namespace that holds nothing but a loopback, of Ethernet's packet size."""
    if OURS in os.environ:
        return
    os.environ[OURS] = "1"
    script = (
        "set -e; ip link set lo up; ip link set lo mtu 1500;"
        " ip link set lo gso_max_size 8000 2>/dev/null || true;"
        " tc qdisc add dev lo root handle 1: htb default 99 2>/dev/null;"
        " tc class add dev lo parent 1: classid 1:99 htb rate 100gbit 2>/dev/null;"
        ' exec "$@"'
    )
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, *sys.argv])


def slow_down(number, port, bytes_per_s):
    """Lets what comes from `port` pass at `bytes_per_s`. Numbers begin at 1."""
    rate = f"{bytes_per_s * 8}bit"
    kind = f"1:{number}"
    for words in (
        f"class add dev lo parent 1: classid {kind} htb rate {rate} burst 20k cburst 20k",
        f"qdisc add dev lo parent {kind} handle {number + 10}: pfifo limit 1000",
        f"filter add dev lo parent 1: protocol ip u32 match ip sport {port} 0xffff flowid {kind}",
    ):
        subprocess.run(["tc", *words.split()], check=True)
