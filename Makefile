# Everything a person or a CI needs, one word each. All targets build with the one dev profile and
# `--workspace --all-targets`: any other set of features or targets would compile RocksDB again.
CARGO ?= cargo
SHELL := /bin/bash
BUILD := $(CARGO) build --workspace --all-targets
TARGET := $(or $(CARGO_TARGET_DIR),target)
KHO := $(TARGET)/debug/kho

.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint doc test-interop test-confidential test-power mutants bench-thin-line fresh

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

test-confidential: build ## No plaintext in any file; and the test fails on a build without sealing
	CARGO="$(CARGO)" scripts/test-confidential

test-power: build ## Power loss on loop-mounted disks, as root; and the test catches a node that forgets its syncs
	@scripts/setup power
	CARGO="$(CARGO)" scripts/test-power

mutants: build ## Ten planted bugs, each caught by the test that must; as root
	@scripts/setup power
	CARGO="$(CARGO)" KHO_REQUIRE_ALL=1 scripts/mutants

bench-thin-line: setup ## Against etcd: throughput, gaps, memory; release build
	benches/thin-line.sh

fresh: ## make demo and make test in a new Debian 12, as root
	scripts/fresh-machine
