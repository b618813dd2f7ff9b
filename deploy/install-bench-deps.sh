#!/usr/bin/env bash
# Installs what the benchmarks compare Dancu with, on Debian or Ubuntu. Safe to run again: it does
# nothing where everything is there.
#
#   postgresql            the server, its replication and its tools; the benchmarks make clusters of
#                         their own in temporary directories, and none is made or started here
#   redis-server          the server alone; the benchmarks start one of their own, and that of the
#                         system is stopped where it is installed here
set -euo pipefail

say() { printf 'install-bench-deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The server's programs are not in the path on Debian.
there() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null \
        || { command -v initdb >/dev/null && command -v pg_recvlogical >/dev/null; }
}

packages=()
there || packages+=(postgresql)
command -v redis-server >/dev/null || packages+=(redis-server)
((${#packages[@]})) || exit 0
command -v apt-get >/dev/null \
    || die "not a Debian system; install PostgreSQL 15 or newer with initdb in the path and redis-server, and run again"

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null \
        || die "needs root once; run as root: apt-get update && apt-get install ${packages[*]}"
    as_root=(sudo)
fi
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
say "installing ${packages[*]}"
"${as_root[@]}" apt-get update -qq
# The package makes a cluster of the system and starts it, unless told not to beforehand.
conf=/etc/postgresql-common/createcluster.conf
if [[ ${packages[0]} == postgresql && ! -e $conf ]]; then
    install postgresql-common
    "${as_root[@]}" sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' "$conf"
fi
install "${packages[@]}"
there || die "PostgreSQL is installed, but initdb is nowhere in /usr/lib/postgresql/*/bin"
# The package starts a server of the system, which nobody has asked for.
if [[ ${packages[-1]} == redis-server ]]; then
    if [[ -d /run/systemd/system ]]; then
        "${as_root[@]}" systemctl disable --quiet --now redis-server
    else
        "${as_root[@]}" service redis-server stop >/dev/null
    fi
fi
