#!/usr/bin/env bash
# `scripts/fuzz.sh SECONDS`: each fuzz target for so long. Without cargo-fuzz and a nightly toolchain, the mutation test
# of the readers runs instead, with a new seed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
if command -v cargo-fuzz >/dev/null && rustup toolchain list 2>/dev/null | grep -q nightly && [ -d fuzz ]; then
  for target in $(cargo +nightly fuzz list); do
    echo "fuzzing $target for $seconds s"
    # What is found is kept apart from the tracked seeds; `walk` grows from the films of `film`.
    mkdir -p "fuzz/target/corpus/$target"
    seeds=fuzz/corpus/$target
    [ -d "$seeds" ] || seeds=fuzz/corpus/film
    cargo +nightly fuzz run "$target" "fuzz/target/corpus/$target" "$seeds" -- -max_total_time="$seconds" -rss_limit_mb=512 -timeout=2
  done
else
  echo "cargo-fuzz or a nightly toolchain is missing: mutating films instead, for $seconds s"
  HEADWATER_MUTATE_SECONDS=$seconds HEADWATER_MUTATE_SEED=${HEADWATER_MUTATE_SEED:-$RANDOM} \
    cargo test -p hostile --test mutations -- --nocapture
fi
