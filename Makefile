# Everything a person or a CI needs, one word each. All targets build with the one dev profile and
# `--workspace --all-targets`: any other set of features or targets would compile RocksDB again.
CARGO ?= cargo
SHELL := /bin/bash
BUILD := $(CARGO) build --workspace --all-targets
TARGET := $(or $(CARGO_TARGET_DIR),target)
KHO := $(TARGET)/debug/kho
CHAOS := $(TARGET)/debug/kho-chaos

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## What there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Installs what the build needs, or says what is missing
	@scripts/setup build

build: setup ## Builds everything once
	$(BUILD)

demo: build ## Three nodes, 3,000 reports, the leader killed half-way; a table tells what became of them
	$(KHO) demo

test: setup ## All tests; those that need root or tools say so when they are skipped
	@CARGO="$(CARGO)" scripts/test

lint: setup ## Formatting, clippy and rustdoc, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(MAKE) doc

doc: setup ## rustdoc, warnings are errors
	RUSTDOCFLAGS="--cfg tokio_unstable -D warnings" $(CARGO) doc --workspace --no-deps

test-interop: build ## Go's sumdb and openssl check what the store hands out
	@scripts/setup interop
	KHO_REQUIRE_ALL=1 $(CARGO) test --workspace --test interop -- --nocapture

test-openapi: build ## The OpenAPI document is valid, and a cluster keeps to it for SECONDS=300 of schemathesis
	@scripts/setup openapi
	KHO_REQUIRE_ALL=1 KHO_SECONDS=$(or $(SECONDS),300) $(CARGO) test --workspace --test openapi -- --nocapture

test-http-examples: build ## The examples for HTTP in Python, Java and curl with openssl, as they stand
	@scripts/setup openapi http
	KHO_REQUIRE_ALL=1 $(CARGO) test --workspace --test http_examples -- --nocapture

test-python: build ## The Python client: wheel, types, tests, and a real cluster; it and kho verify what the other made
	@scripts/setup python
	KHO_REQUIRE_ALL=1 scripts/test-python

test-drill: build ## kho drill over real processes, and its report in a browser
	@scripts/setup drill
	KHO_REQUIRE_ALL=1 $(CARGO) test --workspace --test drill --test drill_page -- --nocapture

fuzz: setup ## All fuzz targets under libFuzzer, a minute each (SECONDS_EACH=600 TARGETS="submit history")
	@CARGO="$(CARGO)" scripts/fuzz $(or $(SECONDS_EACH),60) $(TARGETS)

test-confidential: build ## No plaintext in any file; and the test fails on a build without sealing
	CARGO="$(CARGO)" scripts/test-confidential

test-power: build ## Power loss on loop-mounted disks, as root; and the test catches a node that forgets its syncs
	@scripts/setup power
	CARGO="$(CARGO)" scripts/test-power

test-stalls: build ## All tests while their disk stands still for STALL=2.5 seconds now and then, as root; ARGS="--test bench"
	@scripts/setup power
	CARGO="$(CARGO)" scripts/test-stalls $(ARGS)

test-outbox: build ## CYCLES=500 kills and, as root, power cuts of a service with an outbox; and its planted bugs are caught
	@scripts/setup power
	CARGO="$(CARGO)" CYCLES="$(or $(CYCLES),500)" scripts/test-outbox

test-processes: build ## Real processes on real links under faults that seeds draw, as root; KHO_SEEDS, KHO_SECONDS
	@scripts/setup processes
	CARGO="$(CARGO)" scripts/test-processes

test-upgrade: build ## Upgrade from FROM=COMMIT under load, and back; builds that commit once
	CARGO="$(CARGO)" FROM="$(FROM)" scripts/test-upgrade

test-simulation: build ## Forty seeds of the real nodes in a simulated world; KHO_SEED, KHO_SEEDS, KHO_SECONDS
	KHO_SEEDS=$(or $(KHO_SEEDS),40) $(CARGO) test --workspace --test seeds -- --nocapture

chaos: build ## Every ring once, as root: SEED=42, or a random seed, which it prints
	@scripts/setup power processes
	@CARGO="$(CARGO)" scripts/in-mounts $(CHAOS) once $(if $(SEED),--seed $(SEED))

soak: build ## Rings in turn for HOURS=2 with seeds never used before, as root; into chaos-tests/soak.jsonl
	@scripts/setup power processes
	@CARGO="$(CARGO)" scripts/in-mounts $(CHAOS) soak --hours $(or $(HOURS),1)

soak-report: ## What all soaks came to
	@$(CHAOS) report

mutants: build ## Ten planted bugs, each caught by the test that must; as root
	@scripts/setup power
	CARGO="$(CARGO)" KHO_REQUIRE_ALL=1 scripts/mutants

bench-thin-line: ## Against etcd: throughput, gaps, memory; release build
	benches/thin-line.sh

bench-peers: ## Against etcd, PostgreSQL and RabbitMQ, three nodes each, with report; release build; QUICK=1 for a look
	benches/peers.sh

bench-profile: ## Where the CPU of a record goes, by purpose and by function; release build, perf; ARGS="--op read --connections 64"
	CARGO="$(CARGO)" benches/profile.sh $(ARGS)

bench-attachments: build ## Peak memory of nodes and clients while CLIENTS=32 upload MIB=256 each and read it back; needs the disk for it
	benches/attachments.sh

bench-log-engines: build ## Raft log on RocksDB, raft-engine and raft-log: cost of an entry, damaged bytes, power loss as root; PARTS=, ROUNDS=, CYCLES=
	CARGO="$(CARGO)" benches/log-engines.sh

bench-instructions: ## Instructions of a record's work, against benches/instructions/baseline.tsv; UPDATE=1, PROFILE=CASE
	CARGO="$(CARGO)" benches/instructions.sh

fresh: ## make demo and make test in a new Debian 12, as root
	scripts/fresh-machine
