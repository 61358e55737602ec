#!/usr/bin/env bash
# Kho against etcd on this machine, release build: interleaved rounds at 16 and 64 connections, SIGKILL and SIGTERM of
# the leader, memory and CPU at rest. Prints a table, writes JSON. Arguments go to the load generator (--help).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup build bench
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

cargo build --release --workspace --exclude kho-simulation --bins
dir="$target/thin-line"
rm -rf "$dir"

KHO_BIN="$target/release/kho" "$target/release/thin-line" --dir "$dir" --output "$target/thin-line.json" \
  --machine "date=$(date -u +%Y-%m-%dT%H:%M:%SZ)" --machine "commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" \
  --machine "cores=$(nproc)" --machine "kernel=$(uname -r)" --machine "etcd=$(etcd --version | sed -n 's/^etcd Version: //p')" "$@"
# after a failure the nodes' logs stay there
rm -rf "$dir"
