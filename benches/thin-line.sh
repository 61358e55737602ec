#!/usr/bin/env bash
# Kho against etcd alone, single records of 1 KiB: throughput, SIGKILL and SIGTERM of the leader, memory and CPU at rest. A choice of
# benches/peers.sh; arguments go to the load generator.
set -euo pipefail
cd "$(dirname "$0")/.."
NAME=thin-line exec benches/peers.sh --systems kho,etcd --sizes 1024 --singles-only --seconds 8 --warm-up 2 --terminations 3 \
  --idle-seconds 60 "$@"
