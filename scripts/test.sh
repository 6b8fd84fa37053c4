#!/usr/bin/env bash
# Runs every test: documentation examples, the demo, the browser, then everything else, whose closing line comes last.
set -euo pipefail
cd "$(dirname "$0")/.."
export HEADWATER_BIN=${HEADWATER_BIN:-$PWD/target/release/headwater}
export HEADWATER_FIXTURES=${HEADWATER_FIXTURES:-$PWD/target/fixtures}

cargo test --workspace --doc --quiet

# A film from a swarm on loopback, beside the same film from the disk.
"$HEADWATER_BIN" demo --check --dir target/demo

# Partners of the swarm tests; their native parts are for WebRTC, which nobody here speaks.
(
  cd tests/swarm
  if [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  fi
)

if [ -f tests/browser/package.json ]; then
  (
    cd tests/browser
    if [ package-lock.json -nt node_modules/.package-lock.json ]; then
      npm ci --no-audit --no-fund --loglevel=error
    fi
    # Chromium on a busy machine gets a second chance, like every partner that is not ours, and it is said.
    npm test --silent || { echo "browser tests failed: flaky or broken, run once more"; npm test --silent; }
  )
fi

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --no-fail-fast
else
  cargo test --workspace --all-targets --no-fail-fast
fi
