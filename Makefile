# How Dancu is built, tried and checked. `make` alone lists the targets.

# One profile, release, for everything: RocksDB takes minutes to compile and is compiled once.
CARGO        ?= cargo
# Passed to every cargo command; CI passes --locked.
CARGO_FLAGS  ?=
TARGET_DIR   := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
# A workspace of its own, see tests/README.md.
FUZZ         := tests/fuzz/Cargo.toml
BUF_VERSION  := 1.75.0
BUF_DIR      := $(TARGET_DIR)/buf

# rustup puts cargo there, and only login shells know.
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Where the demo finds the binaries, and whether it leaves everything running at its end.
export DANCU_BIN := $(TARGET_DIR)/release
export KEEP

.DEFAULT_GOAL := help
.PHONY: help deps build demo demo-stop test test-slow bench fuzz check fmt fmt-check clippy \
        lint-proto licences ci clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install what building needs (Debian or Ubuntu; asks for root only if something is missing)
	@deploy/install-build-deps.sh

build: deps ## Build all binaries
	$(CARGO) build $(CARGO_FLAGS) --release --workspace --bins

demo: build ## A hub and five nodes in the terminal; KEEP=1 leaves them running
	@deploy/demo/run.sh

demo-stop: ## End what `make demo KEEP=1` left running
	@deploy/demo/stop.sh

# The end-to-end tests start dancu-hub and dancu-node as processes, so the binaries come first.
test: build ## Run all tests
	$(CARGO) test $(CARGO_FLAGS) --release --workspace

test-slow: build ## Run the tests that take long (those marked `ignored`)
	$(CARGO) test $(CARGO_FLAGS) --release --workspace -- --ignored

# Side by side with PostgreSQL, on a machine that does nothing else; BENCH="--quick fanout" for less.
bench: build ## Run the benchmarks; results go to docs/bench
	@deploy/install-bench-deps.sh
	@"$(DANCU_BIN)/dancu-bench" $(BENCH)

# Long runs; SECONDS is for each target. Needs cargo-fuzz.
fuzz: build ## Run every fuzz target for SECONDS (60)
	@for target in tests/fuzz/fuzz_targets/*.rs; do \
	    tests/fuzz/run.sh "$$(basename "$$target" .rs)" "$(or $(SECONDS),60)" || exit 1; \
	done

check: fmt-check clippy lint-proto licences ## Format, lints, proto style, licences

fmt: ## Format the code
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path $(FUZZ)

fmt-check:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path $(FUZZ) --check

clippy:
	$(CARGO) clippy $(CARGO_FLAGS) --release --workspace --all-targets -- -D warnings

# buf comes from the npm registry, which carries it as a ready binary.
lint-proto:
	@if command -v npm >/dev/null; then \
	    [ -x "$(BUF_DIR)/$(BUF_VERSION)/node_modules/.bin/buf" ] || \
	        npm install --silent --no-audit --no-fund --prefix "$(BUF_DIR)/$(BUF_VERSION)" \
	            "@bufbuild/buf@$(BUF_VERSION)" && \
	    "$(BUF_DIR)/$(BUF_VERSION)/node_modules/.bin/buf" lint && echo "lint-proto: clean"; \
	else echo "lint-proto: skipped, npm is not installed"; fi

licences:
	@if command -v cargo-deny >/dev/null; then \
	    $(CARGO) deny $(CARGO_FLAGS) check licenses bans sources; \
	else echo "licences: skipped, cargo-deny is not installed (cargo install cargo-deny --locked)"; fi

ci: ## What CI runs
	@.ci/run

clean: ## Remove what was built, RocksDB too
	$(CARGO) clean
