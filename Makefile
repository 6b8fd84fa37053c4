# `make demo` shows it, `make test` proves it. Each installs the Debian packages it lacks and says which.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PORT ?=
FILMS ?=
FUZZ_SECONDS ?= 60
BENCH_DIR ?= target/bench-films
BENCH_FLAGS ?=
CARGO ?= cargo
HEADWATER := target/release/headwater

.PHONY: help demo run web build test test-rust test-browser fixtures lint check bench bench-media bench-torrent bench-stream fuzz clean \
	setup-build setup-demo setup-test setup-bench

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup-demo web build ## Streams a small film from a swarm on loopback, prints the address (PORT=8080)
	exec $(HEADWATER) demo $(if $(PORT),--port $(PORT))

run: setup-demo web build ## Serves your films: make run FILMS=/path [PORT=8080]
	exec $(HEADWATER) serve $(if $(PORT),--port $(PORT)) $(if $(FILMS),--target-path "$(FILMS)")

web:
	@if [ -f web/package.json ]; then scripts/web.sh; fi

build:
	$(CARGO) build --release -p headwater

test: setup-test web build fixtures ## Everything that proves it: units, oracles, players, a browser
	scripts/test.sh

fixtures: ## The films that the tests run on, into target/fixtures
	tests/fixtures/make.sh

lint: ## Formatting, clippy, the floors, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) xtask check
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check licenses bans sources; \
	else echo "cargo-deny is not installed: licences were checked by xtask, advisories were not"; fi

check: lint

bench: bench-media bench-torrent bench-stream ## Every measurement

bench-media: setup-bench web build ## Segments beside nginx and ffmpeg, in one run
	bench/make_film.sh $(BENCH_DIR)
	$(CARGO) run --release -q -p bench --bin bench-media -- $(BENCH_DIR) $(HEADWATER)

bench-torrent: setup-bench web build ## Downloads, seeds, seeks beside libtorrent, aria2, transmission (BENCH_FLAGS=--quick)
	$(CARGO) run --release -q -p bench --bin bench-torrent -- $(HEADWATER) "$$(scripts/bench_python.sh)" $(BENCH_FLAGS)

bench-stream: setup-bench web build ## Films played while they download beside others, as root (BENCH_FLAGS="--quick --only seek")
	scripts/bench_node.sh
	$(CARGO) run --release -q -p bench --bin bench-stream -- $(HEADWATER) "$$(scripts/bench_python.sh)" $(BENCH_FLAGS)

fuzz: ## FUZZ_SECONDS (60) of each fuzz target, or of the mutation test where cargo-fuzz is missing
	scripts/fuzz.sh $(FUZZ_SECONDS)

clean:
	$(CARGO) clean
	rm -rf web/node_modules web/dist tests/browser/node_modules tests/swarm/node_modules bench/stream/node_modules

setup-build:
	@scripts/setup.sh build
setup-demo:
	@scripts/setup.sh demo
setup-test:
	@scripts/setup.sh test
setup-bench:
	@scripts/setup.sh bench
