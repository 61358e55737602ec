#!/usr/bin/env bash
# A month of the country in miniature, and what is held against each other at its end.
#   chaos-tests/scenarios/reporting-month.sh
# Some two minutes on a machine where everything is built. Needs curl.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v curl >/dev/null || { echo "needs curl: apt install curl" >&2; exit 1; }
${CARGO:-cargo} build --quiet --workspace --all-targets
exec ${CARGO:-cargo} test --workspace --test reporting_month -- --nocapture
