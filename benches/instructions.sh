#!/usr/bin/env bash
# Counts the instructions of a record's work (callgrind, release build without the node) and compares them with
# benches/instructions/baseline.tsv: fails where a case takes over 5 % more. The same on a busy machine.
#   UPDATE=1 benches/instructions.sh     writes the baseline anew: in the commit that says why
#   PROFILE=apply-batch benches/...      prints what one case spends its instructions on
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup instructions
# callgrind shows a program one of a few processors, by what the real one has: on another, crypto takes other ways
if [ "$(uname -m)" != x86_64 ] || ! grep -qw avx2 /proc/cpuinfo; then
  echo "SKIPPED: instructions are compared on x86-64 with AVX2 only" >&2
  [ -z "${KHO_REQUIRE_ALL:-}" ] || exit 1
  exit 0
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
baseline=benches/instructions/baseline.tsv
allowed_percent=5

"${CARGO:-cargo}" build --quiet --release --package kho-instructions
out=$(mktemp -d "$target/instructions.XXXXXX")
trap 'rm -rf "$out"' EXIT

# without the environment: its length moves the stack, and with it how much a copy takes
count() {
  env -i PATH="$PATH" valgrind --quiet --tool=callgrind --collect-atstart=no --toggle-collect='*measured_*' \
    --callgrind-out-file="$out/$1" "$target/release/kho-instructions" "$1" >&2 || return
  sed -n 's/^summary: *//p' "$out/$1"
}

if [ -n "${PROFILE:-}" ]; then
  count "$PROFILE"
  callgrind_annotate --auto=no --threshold=95 "$out/$PROFILE" | cut -c 1-150 | tail -n +9
  exit
fi

"$target/release/kho-instructions" --list > "$out/list"
tools="$(rustc --version | cut -d ' ' -f 1,2), $(valgrind --version)"
failed=0
printf '%-14s %10s %12s %8s  %s\n' case instructions 'per record' against 'what'
while IFS=$'\t' read -r name of what; do
  found=$(count "$name") || { echo "$name: did not run to its end" >&2; exit 1; }
  # an empty count: the toggle matched nothing, and everything would be far below its baseline
  [ "${found:-0}" -gt 0 ] || { echo "$name: nothing was counted" >&2; exit 1; }
  printf '%s\t%s\n' "$name" "$found" >> "$out/found.tsv"
  before=$(awk -F '\t' -v name="$name" '$1 == name { print $2 }' "$baseline" 2>/dev/null || true)
  if [ -z "$before" ]; then
    against=new
    [ -n "${UPDATE:-}" ] || failed=1
  else
    against=$(awk -v a="$found" -v b="$before" 'BEGIN { printf "%+.1f %%", (a / b - 1) * 100 }')
    if [ -z "${UPDATE:-}" ] && [ $((found * 100)) -gt $((before * (100 + allowed_percent))) ]; then
      against="$against !"
      failed=1
    fi
  fi
  printf '%-14s %10d %12d %8s  %s\n' "$name" "$found" $((found / of)) "$against" "$what"
done < "$out/list"

if [ -n "${UPDATE:-}" ]; then
  { echo "# $tools"; cat "$out/found.tsv"; } > "$baseline"
elif [ "$(grep -v '^#' "$baseline" | cut -f 1)" != "$(cut -f 1 "$out/found.tsv")" ]; then
  echo "$baseline has other cases than these: UPDATE=1, in the commit that says why" >&2
  exit 1
elif [ "$failed" -ne 0 ]; then
  echo "more than $allowed_percent % above $baseline (or a case that is not in it): make it cheaper, or UPDATE=1 and say why" >&2
  echo "the baseline is of: $(sed -n 's/^# //p' "$baseline"); this run of: $tools" >&2
  exit 1
fi
