#!/usr/bin/env bash
# Prints a Python that has libtorrent from PyPI, newer than Debian's: one of its own in target/bench-python, made when it is
# not there. Where it cannot be had, Debian's.
set -euo pipefail
wanted=libtorrent==2.1.1
here=$(cd "$(dirname "$0")/.." && pwd)
python=$here/target/bench-python/bin/python3
if ! "$python" -c 'import libtorrent' 2>/dev/null; then
  if ! { python3 -m venv "$(dirname "$(dirname "$python")")" && "$python" -m pip install -q "$wanted"; } >&2; then
    echo "bench_python.sh: no $wanted from PyPI: Debian's libtorrent is measured alone" >&2
    python=/usr/bin/python3
  fi
fi
echo "$python"
