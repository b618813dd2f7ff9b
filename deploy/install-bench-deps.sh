#!/usr/bin/env bash
# Installs what the benchmarks compare Dancu with, on Debian or Ubuntu. Safe to run again: it does
# nothing where everything is there.
#
#   postgresql            the server, its replication and its tools; the benchmarks make clusters of
#                         their own in temporary directories, and none is made or started here
set -euo pipefail

package=postgresql

say() { printf 'install-bench-deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The server's programs are not in the path on Debian.
there() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null \
        || { command -v initdb >/dev/null && command -v pg_recvlogical >/dev/null; }
}

! there || exit 0
command -v apt-get >/dev/null \
    || die "not a Debian system; install PostgreSQL 15 or newer with initdb in the path, and run again"

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null \
        || die "needs root once; run as root: apt-get update && apt-get install $package"
    as_root=(sudo)
fi
say "installing $package"
"${as_root[@]}" apt-get update -qq
# The package makes a cluster of the system and starts it, unless told not to beforehand.
conf=/etc/postgresql-common/createcluster.conf
if [[ ! -e $conf ]]; then
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends postgresql-common
    "${as_root[@]}" sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' "$conf"
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$package"
there || die "PostgreSQL is installed, but initdb is nowhere in /usr/lib/postgresql/*/bin"
