#!/usr/bin/env bash
# Kho against etcd, PostgreSQL with two synchronous standbys and a RabbitMQ quorum queue on this machine, three nodes each, release
# build: interleaved rounds, syncs counted, leaders killed. Prints tables and ratios; a report as JSON and HTML. Less than
# twenty minutes; QUICK=1: less than three, and its figures are only a look. Arguments go to the load generator (--help).
# KHO_BIN and BENCH_BIN name other binaries, which are then not built.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup peers
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if [ -z "${KHO_BIN:-}" ] || [ -z "${BENCH_BIN:-}" ]; then
  scripts/setup build
  ${CARGO:-cargo} build --release --workspace --exclude kho-simulation --bins
fi
name=${NAME:-peers}
# RabbitMQ's nodes talk through sockets of their own, PostgreSQL's user must reach its files: of this run only
dir="$target/bench-$name"
rm -rf "$dir"
mkdir -p "$target"
if [ "$(id -u)" -eq 0 ] && ! setpriv --reuid postgres --regid postgres --clear-groups test -x "$target"; then
  echo "PostgreSQL's user can't reach $target: set CARGO_TARGET_DIR to a directory that others may enter, and KHO_BIN, BENCH_BIN to what is built already" >&2
  exit 1
fi
quick=()
[ -z "${QUICK:-}" ] || quick=(--rounds 1 --seconds 1 --warm-up 0.5 --connections 16 --kills 1 --syncs 100)
version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo unknown; }
KHO_BIN="${KHO_BIN:-$target/release/kho}" "${BENCH_BIN:-$target/release/peers}" --dir "$dir" \
  --json "$target/bench-$name.json" --html "$target/bench-$name.html" \
  --machine "commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" \
  --machine "etcd=$(version etcd-server)" --machine "postgresql=$(version "postgresql-$(ls /usr/lib/postgresql | sort -V | tail -1)")" \
  --machine "rabbitmq=$(version rabbitmq-server)" "${quick[@]}" "$@"
# after a failure the nodes' logs stay there
rm -rf "$dir"
