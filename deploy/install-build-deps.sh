#!/usr/bin/env bash
# Installs what building and testing Dancu needs on Debian or Ubuntu. Safe to run again: it does
# nothing where everything is there.
#
#   clang, libclang-dev   the bindings to RocksDB are generated from its headers at build time
#   g++, make, pkg-config RocksDB and zstd are compiled from source
#   python3, python3-venv the test of a Python client
set -euo pipefail

packages=(clang libclang-dev g++ make pkg-config python3 python3-venv)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'install-build-deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        # Not Debian: check what can be checked, and leave the installing to the reader.
        local tool missing=()
        for tool in clang c++ make python3; do
            command -v "$tool" >/dev/null || missing+=("$tool")
        done
        ((${#missing[@]} == 0)) || die "not a Debian system; install these and run again: ${missing[*]}"
        return
    fi

    local package missing=()
    for package in "${packages[@]}"; do
        installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    local as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null \
            || die "needs root once; run as root: apt-get update && apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

check_cargo() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null \
        || die "there is no cargo; install Rust $wanted or newer with rustup (https://rustup.rs), then run again"
    found=$(cargo --version | cut -d' ' -f2)
    # sort -V puts the older first.
    [[ $(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1) == "$wanted" ]] \
        || die "cargo is $found, Dancu needs $wanted or newer; run: rustup update stable"
}

install_packages
check_cargo
