#!/usr/bin/env bash
# Installs the players of bench/stream that come from npm, as its lock file names them. Their native parts are not built:
# they are for WebRTC and uTP, which nobody there speaks. Without npm's registry they are left out of the measurements.
set -euo pipefail
cd "$(dirname "$0")/../bench/stream"
if [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error ||
    echo "bench_node.sh: npm cannot install webtorrent and peerflix: they are left out" >&2
fi
