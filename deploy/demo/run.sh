#!/usr/bin/env bash
# A hub and five nodes in one terminal: what each may see of the same person, and what happens when that
# person moves, an agreement narrows, the line breaks, a child is born and its case walks through the
# agencies, somebody dies, a node is revoked. What happens is in parts/, in that order.
# KEEP=1 leaves everything running at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BIN=${DANCU_BIN:-target/release}
DEMO=$PWD/target/demo
CITIZENS=${CITIZENS:-200000}
HUB_PORT=${HUB_PORT:-17400}
LINE_PORT=${LINE_PORT:-17401}
. deploy/demo/telling.sh

[ -e "$DEMO/hub.pid" ] && deploy/demo/stop.sh
rm -rf "$DEMO"; mkdir -p "$DEMO"
keep_logs=''
clean_up() {
    status=$?
    if [ -n "$keep_logs" ] || { [ "${KEEP:-}" = 1 ] && [ $status = 0 ]; }; then return; fi
    if [ $status != 0 ]; then for log in "$DEMO"/*.log; do printf '%s--- %s%s\n' "$dim" "$log" "$off"; tail -n 5 "$log"; done; fi
    deploy/demo/stop.sh >/dev/null
}
trap clean_up EXIT

export PATH="$(cd "$BIN" && pwd):$PATH"
export DANCU_HUB__DATA_DIR=$DEMO/hub DANCU_HUB__LISTEN__NODES=127.0.0.1:$HUB_PORT
export DANCU_HUB__LISTEN__ADMIN_SOCKET=$DEMO/hub.sock DANCU_HUB__SYNC__HEARTBEAT=1s DANCU_HUB__CASE_CHECK=1s
export DANCU_OFFICER=demo-officer DANCU_CASE=DEMO-2026-001

hub_json() { dancu-hub --json "$@"; }
# A command at a node, by its name.
at() { dancu-node --config "$DEMO/$1.toml" "${@:2}"; }
get() { at "$1" get "$2" --purpose "$3"; }
# A value of JSON on standard input: field children.0.name
field() { python3 -c 'import json,sys; v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[int(k)] if isinstance(v,list) else v[k]
print(v)' "$1"; }
node_cursor_at() { [ "$(at "$1" status --json | field cursor)" -ge "$2" ]; }
node_state_is() { [ "$(at "$1" status --json | field state)" = "$2" ]; }
head_now() { hub_json status | field head; }
enrol() { # name agency port
    local token; token=$(dancu-hub node add --name "$1" --agency "$2" 2>/dev/null)
    cat >"$DEMO/$1.toml" <<TOML
data_dir = "$DEMO/$1"
[listen]
tcp = "127.0.0.1:$3"
unix = "$DEMO/$1.sock"
[[callers]]
name = "demo"
unix_uid = $(id -u)
purposes = ["*"]
TOML
    printf '%s$ dancu-node --config %s.toml join --hub https://127.0.0.1:%s --token dancu1-…%s\n' "$dim" "$1" "$LINE_PORT" "$off"
    at "$1" join --hub "https://127.0.0.1:$LINE_PORT" --token "$token" 2>&1 | sed 's/^/  /'
    dancu-node --config "$DEMO/$1.toml" serve >"$DEMO/$1.log" 2>&1 & echo $! >"$DEMO/$1.pid"
    await "node $1" node_state_is "$1" serving
}

for part in deploy/demo/parts/*.sh; do . "$part"; done

say ""
say "${green}That was Dancu.${off} The fleet, the registry and every answer above were real: nothing was replayed."
[ "${KEEP:-}" = 1 ] || exit 0

title "Left running (KEEP=1)"
for node in province insurance commune portal; do
    at "$node" client add --name demo-client --purposes '*' --out "$DEMO/$node-client" >/dev/null
done
python3 deploy/demo/endpoints.py "$DEMO" "$PWD"
trap - EXIT
