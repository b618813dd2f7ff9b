#!/usr/bin/env bash
# Runs one fuzz target, or builds all of them: tests/fuzz/run.sh TARGET [SECONDS], tests/fuzz/run.sh build.
# Needs cargo-fuzz (cargo install cargo-fuzz --locked) and `make build` before it: RocksDB is taken from
# that build, for it takes minutes to compile and is not what is fuzzed. What a run finds lies in
# tests/fuzz/artifacts/TARGET; new inputs go to tests/fuzz/found/TARGET, which the next run starts from.
#
#   CARGO_TARGET_DIR  where `make build` put its output, as for the Makefile
#   FUZZ_TARGET_DIR   where to build the targets (tests/fuzz/target)
#   SANITIZER         none, or address: slower, and finds wrong memory accesses in dependencies too
#   FUZZ_OPTIONS      more options of libFuzzer
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$HOME/.cargo/bin:$PATH"

if [ $# -lt 1 ]; then
    echo "usage: $0 TARGET [SECONDS] | build; targets:" "$(cd "$here/fuzz_targets" && ls | sed 's/\.rs$//' | xargs)" >&2
    exit 2
fi
target=$1 seconds=${2:-60}

built=${CARGO_TARGET_DIR:-$here/../../target}/release/build
# Of several the latest: the version must be that of Cargo.lock, which `make build` has seen to.
library=$(ls -t "$built"/librocksdb-sys-*/out/librocksdb.a 2>/dev/null | head -n 1 || true)
if [ -z "$library" ]; then
    echo "no librocksdb.a below $built; run \`make build\` first" >&2
    exit 1
fi
export ROCKSDB_LIB_DIR=${library%/*} ROCKSDB_STATIC=1
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$here/target}
# Coverage is instrumented by options that stable compilers have and do not show.
export RUSTC_BOOTSTRAP=1

cd "$here"
if [ "$target" = build ]; then
    exec cargo fuzz build --fuzz-dir "$here" --sanitizer "${SANITIZER:-none}"
fi

# Nodes and hubs of a run live in memory where that is possible, and go with it.
room=$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")
TMPDIR=$(mktemp -d "$room/dancu-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

mkdir -p "found/$target"
dictionary=$([ -f "dictionaries/$target" ] && echo "-dict=$here/dictionaries/$target" || true)
# shellcheck disable=SC2086 # Options are words.
nice -n 19 cargo fuzz run --fuzz-dir "$here" --sanitizer "${SANITIZER:-none}" "$target" \
    "found/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 $dictionary ${FUZZ_OPTIONS:-}
