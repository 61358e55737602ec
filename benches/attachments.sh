#!/usr/bin/env bash
# Peak resident memory of three nodes, and of the clients' process, while CLIENTS clients upload MIB MiB each at the same time and
# then read them back, each held against its digest. Prints a line a process; fails at LIMIT_MIB or more of a node, OWN_LIMIT_MIB
# or more of the clients. MIB=1024 CLIENTS=1 is the largest attachment there is. The build's own binaries: KHO_BIN and BENCH_BIN
# name others, e.g. of a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
dir=$(mktemp -d "$target/attachments.XXXXXX")
trap 'rm -rf "$dir"' EXIT
KHO_BIN="${KHO_BIN:-$target/debug/kho}" "${BENCH_BIN:-$target/debug/attachments}" --dir "$dir/cluster" \
  --clients "${CLIENTS:-32}" --mib "${MIB:-256}" --limit-mib "${LIMIT_MIB:-600}" --own-limit-mib "${OWN_LIMIT_MIB:-200}"
