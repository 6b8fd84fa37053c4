#!/usr/bin/python3
"""A libtorrent session as a partner: one torrent, on loopback, steered by flags.

Prints a line of JSON for each turn: {"listening": port}, {"state": …}, {"metadata": true}, {"finished": true}, {"error": …}.
A line on stdin asks for its numbers: {"stats": {…}}. Ends with its stdin.
"""

import argparse
import sys
import threading
import time

import libtorrent as lt

from talk import say

POLICIES = {"forced": 0, "enabled": 1, "disabled": 2}
# Of peer_info.flags; the module of Debian does not name them.
UTP_SOCKET, RC4_ENCRYPTED = 1 << 17, 1 << 19


def settings(args):
    chosen = {
        "listen_interfaces": args.listen,
        "outgoing_interfaces": "",
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
        "enable_dht": args.dht,
        "enable_lsd": args.lsd,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_tcp": not args.utp_only,
        "enable_outgoing_tcp": not args.utp_only,
        "enable_incoming_utp": not args.tcp_only,
        "enable_outgoing_utp": not args.tcp_only,
        "out_enc_policy": POLICIES[args.encryption],
        "in_enc_policy": POLICIES[args.encryption],
        "allowed_enc_level": 2 if args.encryption == "forced" else 3,
        "prefer_rc4": args.encryption == "forced",
        "allow_multiple_connections_per_ip": True,
        # Tests are short: nobody waits for a round of the choker, for a peer to be tried again, or to be looked for again.
        "min_reconnect_time": 1,
        "unchoke_interval": 1,
        "connection_speed": 100,
        "stop_tracker_timeout": 1,
        # Limits are to be like lines: by itself it hands out half a second's worth at once, and nothing after it.
        "tick_interval": 50,
        "dht_announce_interval": 1,
        "ssrf_mitigation": False,
    }
    if args.dht:
        chosen["dht_bootstrap_nodes"] = args.dht_node
    return chosen


def parameters(args):
    if args.magnet:
        add = lt.parse_magnet_uri(args.magnet)
    else:
        add = lt.add_torrent_params()
        add.ti = lt.torrent_info(args.torrent)
    add.save_path = args.save
    add.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if args.seed:
        add.flags |= lt.torrent_flags.seed_mode
    return add


def numbers(handle):
    status = handle.status()
    peers = [
        {
            "client": peer.client.decode("utf-8", "replace") if isinstance(peer.client, bytes) else peer.client,
            "address": "%s:%d" % peer.ip,
            "utp": bool(peer.flags & UTP_SOCKET),
            "progress": peer.progress,
            "rc4": bool(peer.flags & RC4_ENCRYPTED),
        }
        for peer in handle.get_peer_info()
    ]
    return {
        "progress": status.progress,
        "uploaded": status.total_payload_upload,
        "downloaded": status.total_payload_download,
        "failed": status.total_failed_bytes,
        "peers": peers,
    }


def asked(handle):
    for _line in sys.stdin:
        say(stats=numbers(handle))
    # What is left to say is said by then; a session that ends in order waits for trackers.
    sys.stdout.flush()
    import os

    os._exit(0)


def main():
    read = argparse.ArgumentParser()
    read.add_argument("--listen", default="127.0.0.1:0")
    read.add_argument("--torrent")
    read.add_argument("--magnet")
    read.add_argument("--save", required=True)
    read.add_argument("--seed", action="store_true", help="what is in --save is taken as complete")
    read.add_argument("--peer", action="append", default=[])
    read.add_argument("--encryption", choices=POLICIES, default="enabled")
    read.add_argument("--utp-only", action="store_true")
    read.add_argument("--tcp-only", action="store_true")
    read.add_argument("--dht", action="store_true")
    read.add_argument("--dht-node", default="")
    read.add_argument("--lsd", action="store_true")
    read.add_argument("--upload-limit", type=int, default=0, help="bytes a second")
    read.add_argument("--download-limit", type=int, default=0, help="bytes a second")
    args = read.parse_args()

    session = lt.session(settings(args))
    handle = session.add_torrent(parameters(args))
    # The session's limits pass over peers of the local network, the torrent's do not.
    handle.set_upload_limit(args.upload_limit)
    handle.set_download_limit(args.download_limit)
    for peer in args.peer:
        host, port = peer.rsplit(":", 1)
        handle.connect_peer((host.strip("[]"), int(port)))
    say(listening=session.listen_port())
    threading.Thread(target=asked, args=(handle,), daemon=True).start()
    finished = False
    while True:
        session.wait_for_alert(100)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.state_changed_alert):
                say(state=str(alert.state))
            elif isinstance(alert, lt.metadata_received_alert):
                say(metadata=True)
            elif isinstance(alert, (lt.torrent_error_alert, lt.listen_failed_alert, lt.file_error_alert)):
                say(error=alert.message())
        status = handle.status()
        if status.is_seeding and not finished:
            finished = True
            say(finished=True)
        time.sleep(0.02)


main()
