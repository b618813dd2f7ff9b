#!/usr/bin/env bash
# Ends what `make demo KEEP=1` left running, and removes its data.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
demo=target/demo
[ -d "$demo" ] || { echo "no demo is running"; exit 0; }
for file in "$demo"/*.pid; do
    [ -e "$file" ] && kill "$(cat "$file")" 2>/dev/null
done
# They drain and end by themselves within seconds.
for _ in $(seq 100); do
    alive=0
    for file in "$demo"/*.pid; do
        [ -e "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null && alive=1
    done
    [ "$alive" = 0 ] && break
    sleep 0.1
done
rm -rf "$demo"
echo "the demo has ended"
