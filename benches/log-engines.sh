#!/usr/bin/env bash
# Engines for the raft log against each other (docs/performance.md): RocksDB as the node has it, TiKV's raft-engine, databend's
# raft-log. What an entry costs, the same for options of RocksDB, what damaged bytes are met with, and, as root, what a loss of
# power leaves. Some ten minutes; the first time two more, for the engines that Kho does not ship.
#   PARTS="compare kept options count damage power"    ROUNDS=5    CYCLES=30
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup build faults
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target
# RocksDB is that of every build, optimised; what calls it in a loop is made so here, too
${CARGO:-cargo} build --workspace --bin log-engines --config 'profile.dev.package.kho-log-engines.opt-level=3'
${CARGO:-cargo} build --release --locked --manifest-path benches/log-engines/others/Cargo.toml
dir="$target/log-engines"
rm -rf "$dir"
mkdir -p "$dir"
trap 'rm -rf "$dir"' EXIT
# mounts end with the namespace, whatever happens
inside=()
if [ "$(id -u)" -eq 0 ]; then
  scripts/setup power
  inside=(unshare --mount --propagation private)
fi
run() {
  local part=$1 command=$2
  shift 2
  echo "== $part"
  "${inside[@]}" "$target/debug/log-engines" --others "$target/release/other-log-engines" --dir "$dir" \
    --json "$target/log-engines-$part.json" "$command" "$@"
}
for part in ${PARTS:-compare kept options count damage power}; do
  case $part in
    compare) run compare compare --rounds "${ROUNDS:-5}" ;;
    kept)
      run kept compare --rounds "${ROUNDS:-5}" --purge-mib 0 --open-mib 0 \
        --engines rocksdb,rocksdb/recycled,raft-engine/new-files,raft-log
      ;;
    options)
      run options compare --rounds "${ROUNDS:-5}" --sizes 6144,24576 --open-mib 0 \
        --engines rocksdb,rocksdb/same,rocksdb/serial-memtable,rocksdb/manual-flush,rocksdb/no-range-sync,rocksdb/buffer-64,rocksdb/recycled
      ;;
    count) run count count --engines rocksdb,rocksdb/recycled,raft-engine/new-files,raft-log ;;
    damage) run damage damage --engines rocksdb,rocksdb/recycled,raft-engine,raft-log ;;
    power)
      if [ "$(id -u)" -ne 0 ]; then
        echo "SKIPPED: power: needs root" >&2
        continue
      fi
      run power power --cycles "${CYCLES:-30}" \
        --engines rocksdb,rocksdb/serial-memtable,rocksdb/recycled,raft-engine,raft-engine/absolute,raft-log
      ;;
    *)
      echo "log-engines: expected compare, kept, options, count, damage or power, found $part" >&2
      exit 2
      ;;
  esac
done
echo "all figures: $target/log-engines-*.json"
