#!/usr/bin/env bash
# Builds the browser's part into web/dist, where it has a build and something has changed.
set -euo pipefail
cd "$(dirname "$0")/../web"
if [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
fi
if node -e 'process.exit(require("./package.json").scripts?.build ? 0 : 1)'; then
  newest=$(find . -path ./node_modules -prune -o -path ./dist -prune -o -type f -newer dist/.built -print -quit 2>/dev/null || echo first)
  if [ ! -e dist/.built ] || [ -n "$newest" ]; then
    npm run --silent build
    touch dist/.built
  fi
fi
