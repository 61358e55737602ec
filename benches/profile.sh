#!/usr/bin/env bash
# Where the CPU of a record goes: `kho bench --local` under perf, three nodes and the generator together, by what it is spent for
# and by function. Release build. Arguments go to kho bench (default: --op single --connections 64); KHO_BIN names another binary,
# which is then not built. Needs perf and the right to use it (root, or kernel.perf_event_paranoid at 1 or below).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup profile
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if [ -z "${KHO_BIN:-}" ]; then
  scripts/setup build
  ${CARGO:-cargo} build --release --workspace --exclude kho-simulation --bins
fi
kho=${KHO_BIN:-$target/release/kho}
[ $# -gt 0 ] || set -- --op single --connections 64
dir="$target/bench-profile"
rm -rf "$dir"
mkdir -p "$dir"
trap 'rm -rf "$dir"' EXIT

"$kho" bench --local "$dir/cluster" --rounds 1 --warm-up 3 --duration 10 --syncs 0 --json "$dir/bench.json" "$@" >"$dir/log" 2>&1 &
bench=$!
nodes() { pgrep -f "serve.*$dir/cluster" || true; }
for _ in $(seq 300); do
  [ "$(nodes | wc -l)" -lt 3 ] || break
  kill -0 $bench 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done
# until the last of them ends
perf record -q -F 2000 --timestamp-boundary -o "$dir/perf.data" -p "$(nodes | tr '\n' ',')$bench" >/dev/null 2>"$dir/perf.log" ||
  { cat "$dir/perf.log" >&2; kill $bench; exit 1; }
wait $bench || { cat "$dir/log" >&2; exit 1; }
cat "$dir/log"
# what was measured stands at the end; before it records were signed, the cluster was formed and warmed up
perf report -i "$dir/perf.data" --time 65%-90% --no-children --sort sym -g none -F sample,sym 2>/dev/null |
  python3 benches/profile.py "$dir/bench.json"
