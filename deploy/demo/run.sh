#!/usr/bin/env bash
# A hub and four nodes in one terminal: what each may see of the same person, and what happens when
# that person moves, an agreement narrows, the line breaks, a child is born, somebody dies, a node is revoked.
# KEEP=1 leaves everything running at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BIN=${DANCU_BIN:-target/release}
DEMO=$PWD/target/demo
CITIZENS=${CITIZENS:-200000}
HUB_PORT=${HUB_PORT:-17400}
LINE_PORT=${LINE_PORT:-17401}

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'; else bold='' dim='' green='' red='' off=''; fi
export CLICOLOR_FORCE=$([ -t 1 ] && echo 1 || echo 0)
step=0
title() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$off"; }
say() { printf '%s\n' "$1"; }
# Shows a command as one would type it, then its real output.
show() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@" 2>&1 | sed 's/^/  /'; }
# The same for a command that is expected to be refused.
refused() {
    printf '%s$ %s%s\n' "$dim" "$*" "$off"
    if "$@" >"$DEMO/refused" 2>&1; then sed 's/^/  /' "$DEMO/refused"; return 1; fi
    sed 's/^/  /' "$DEMO/refused"
}
# Waits until a command succeeds.
await() {
    local what=$1; shift
    for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    printf '%swaiting for %s took more than a minute; logs are in %s%s\n' "$red" "$what" "$DEMO" "$off" >&2
    keep_logs=1; exit 1
}

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
export DANCU_HUB__LISTEN__ADMIN_SOCKET=$DEMO/hub.sock DANCU_HUB__SYNC__HEARTBEAT=1s
export DANCU_OFFICER=demo-officer DANCU_CASE=DEMO-2026-001

hub_json() { dancu-hub --json "$@"; }
field() { python3 -c 'import json,sys; v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[int(k)] if isinstance(v,list) else v[k]
print(v)' "$1"; }
node_cursor_at() { [ "$(dancu-node --config "$DEMO/$1.toml" status --json | field cursor)" -ge "$2" ]; }
node_state_is() { [ "$(dancu-node --config "$DEMO/$1.toml" status --json | field state)" = "$2" ]; }
head_now() { hub_json status | field head; }

title "A hub, empty: its registry and its own certificate authority"
show dancu-hub init
dancu-hub serve >"$DEMO/hub.log" 2>&1 & echo $! >"$DEMO/hub.pid"
await "the hub" dancu-hub status
python3 deploy/demo/line.py "$LINE_PORT" "$HUB_PORT" "$DEMO/cut" >"$DEMO/line.log" 2>&1 & echo $! >"$DEMO/line.pid"

title "$CITIZENS citizens, made up but believable, with households and real communes"
dancu-population generate --citizens "$CITIZENS" --seed 2026 --out "$DEMO/citizens.jsonl"
show dancu-hub import "$DEMO/citizens.jsonl"
python3 deploy/demo/pick.py <"$DEMO/citizens.jsonl" >"$DEMO/people.json"
MOVER=$(field mover <"$DEMO/people.json"); STRANGER=$(field stranger <"$DEMO/people.json"); NAME=$(field name <"$DEMO/people.json")
STRANGER_NAME=$(field stranger_name <"$DEMO/people.json")
MOTHER=$(field mother <"$DEMO/people.json"); FATHER=$(field father <"$DEMO/people.json")
ELDER=$(field elder <"$DEMO/people.json"); ELDER_NAME=$(field elder_name <"$DEMO/people.json")

title "Sharing agreements: who may use what of whom, and for what"
for agreement in tuyen-quang-residence social-insurance court-ha-noi; do
    show dancu-hub agreement apply deploy/agreements/$agreement.toml
done

title "Three nodes enrol, each with a one-time token; keys never leave them"
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
    dancu-node --config "$DEMO/$1.toml" join --hub "https://127.0.0.1:$LINE_PORT" --token "$token" 2>&1 | sed 's/^/  /'
    dancu-node --config "$DEMO/$1.toml" serve >"$DEMO/$1.log" 2>&1 & echo $! >"$DEMO/$1.pid"
    await "node $1" node_state_is "$1" serving
}
enrol province tuyen-quang 17443
enrol insurance vss 17444
enrol court court-ha-noi 17445
show dancu-hub node list

get() { dancu-node --config "$DEMO/$1.toml" get "$2" --purpose "$3"; }
title "The same person, $NAME of Tuyên Quang, as each node may see them"
say "The province, registering residence:"
show get province "$MOVER" 1.004222
say "Social insurance, issuing a health-insurance card:"
show get insurance "$MOVER" 1.002759
say "The court of Hà Nội has no one of Tuyên Quang, and cannot tell whether the person exists:"
refused get court "$MOVER" court.civil
say "A purpose that no agreement gives is refused before anything is looked up:"
refused get insurance "$MOVER" 1.004222

title "The person moves to Hà Nội: one correction at the hub, and both nodes follow"
watch() {
    dancu-node --config "$DEMO/insurance.toml" watch --purpose 1.002759 --cursor-file "$DEMO/cursor" \
        >"$DEMO/watched" 2>&1 & echo $! >"$DEMO/watch.pid"; disown
}
watch
await "the insurance's back-end to follow" test -s "$DEMO/cursor"
change() { show dancu-hub change "$MOVER" "$@"; }
change --set permanent_residence.commune=00004 --set "permanent_residence.detail=12 Hàng Bài" \
    --set current_dwelling.commune=00004 --set "current_dwelling.detail=12 Hàng Bài" \
    --reason "chuyển nơi thường trú" --document 2026/CT-08-0113 --effective 2026-03-01
head=$(head_now); for node in province court; do await "$node to follow" node_cursor_at "$node" "$head"; done
say "The province no longer holds the person:"
refused get province "$MOVER" 1.004222
say "The court of Hà Nội now does:"
show get court "$MOVER" court.civil
say "The insurance's back-end, which follows the changes of those it insures, was told as it happened:"
await "that to be told" grep -q "$MOVER" "$DEMO/watched"
sed 's/^/  /' "$DEMO/watched"; kill "$(<"$DEMO/watch.pid")"
say "The hub can say who supplied each value, and what held before:"
show dancu-hub citizen show "$MOVER" --history

title "An agreement is narrowed: version 2 for the court gives no spouse, no children"
sed -e 's/^version = 1/version = 2/' -e '/"spouse", "children"/s/"spouse", "children", //' \
    deploy/agreements/court-ha-noi.toml >"$DEMO/court-ha-noi-2.toml"
show dancu-hub agreement apply "$DEMO/court-ha-noi-2.toml"
head=$(head_now); await "the court to follow" node_cursor_at court "$head"
show get court "$MOVER" court.civil

title "The line is cut: nodes go on answering and say how old their answers are"
touch "$DEMO/cut"
await "the insurance to notice" node_state_is insurance offline
dancu-hub change "$STRANGER" --set mobile_number=0987654321 --reason "công dân đề nghị" \
    --document 2026/DN-96-0042 --effective 2026-03-02 >/dev/null
say "While the line is down, someone's telephone number changes at the hub. The node cannot know yet:"
show get insurance "$STRANGER" 1.002759
rm "$DEMO/cut"
head=$(head_now); await "the insurance to catch up" node_cursor_at insurance "$head"
say "The line is back, and so is the node, with what changed and nothing more:"
show get insurance "$STRANGER" 1.002759

say "Its back-end was not running when that happened. It goes on after the cursor that it kept:"
watch
await "that to be told" grep -q "$STRANGER" "$DEMO/watched"
sed 's/^/  /' "$DEMO/watched"; kill "$(<"$DEMO/watch.pid")"

title "A child is born while the line is cut: it is registered at the commune, and the number follows"
for agreement in commune-civil-status social-insurance-pensions; do
    dancu-hub agreement apply deploy/agreements/$agreement.toml >/dev/null
done
enrol commune tuyen-quang-00691 17446
touch "$DEMO/cut"
await "the commune to notice" node_state_is commune offline
today=$(TZ=Asia/Ho_Chi_Minh date +%F) yesterday=$(TZ=Asia/Ho_Chi_Minh date -d yesterday +%F)
document="{\"number\": \"27/2026\", \"date\": \"$today\", \"issued_by\": \"UBND Phường Hà Giang 2\"}"
cat >"$DEMO/birth.json" <<JSON
{"document": $document,
 "event": {"birth": {
   "child": {"full_name": "$(field father_name <"$DEMO/people.json" | cut -d' ' -f1) Minh Khang", "date_of_birth": "$yesterday",
             "sex": "1", "place_of_birth": {"commune": "00691"}, "place_of_birth_registration": {"commune": "00691"},
             "nationality": ["VN"]},
   "father": {"personal_id": "$FATHER"}, "mother": {"personal_id": "$MOTHER"}}}}
JSON
sed 's/^/  /' "$DEMO/birth.json"
hand_in() { dancu-node --config "$DEMO/commune.toml" contribute "$DEMO/$1" --purpose "$2" "${@:3}"; }
say "Queued on the commune's own disk: it counts once, whatever breaks from here on."
show hand_in birth.json 1.001193 --out "$DEMO/birth-queued.json"
show dancu-node --config "$DEMO/commune.toml" outbox status
rm "$DEMO/cut"
say "The line is back. The same is handed in again, which changes nothing, to wait for what the hub says:"
show hand_in birth-queued.json 1.001193 --wait

title "Somebody dies: the death is registered, and the pension stops"
head=$(head_now); await "the insurance to follow" node_cursor_at insurance "$head"
say "$ELDER_NAME draws a pension:"
show get insurance "$ELDER" bhxh.pension
cat >"$DEMO/death.json" <<JSON
{"document": $document,
 "event": {"death": {"person": {"personal_id": "$ELDER"}, "date_of_death": "$yesterday"}}}
JSON
show hand_in death.json 1.000656 --out "$DEMO/death-queued.json" --wait
head=$(head_now); await "the insurance to follow" node_cursor_at insurance "$head"
say "For paying pensions, which is agreed for the living, there is nobody of that number any more:"
refused get insurance "$ELDER" bhxh.pension

title "Who looked: every call is recorded before its answer, the one made offline too"
calls_of() { [ "$(dancu-hub --json audit citizen "$1" 2>/dev/null | grep -c '"index"')" -ge "$2" ]; }
await "the nodes to hand their records in" calls_of "$STRANGER" 2
show dancu-hub audit citizen "$MOVER"
say "A head of the log, kept elsewhere, holds the hub to it. Whatever is shown later is proved against it:"
show dancu-hub audit head --out "$DEMO/kept.head"
dancu-hub audit citizen "$STRANGER" --proofs "$DEMO/who.jsonl" --head "$DEMO/kept.head" >/dev/null
show dancu-hub audit verify "$DEMO/who.jsonl" --head "$DEMO/kept.head"
sed 's/demo-officer/nobody/' "$DEMO/who.jsonl" >"$DEMO/forged.jsonl"
say "The same file, with the officer's name changed in it:"
refused dancu-hub audit verify "$DEMO/forged.jsonl" --head "$DEMO/kept.head"

title "Sealed at rest: a stolen disk tells nothing, and a node forgets its key when it is told to"
say "The person's number and name, looked for in every file of the insurance's node:"
printf '%s$ grep -r %s data/insurance%s\n' "$dim" "$STRANGER" "$off"
if grep -r -a -l -e "$STRANGER" -e "$STRANGER_NAME" "$DEMO/insurance"; then exit 1; fi
say "  (nothing)"
show dancu-node --config "$DEMO/insurance.toml" seal
refused get insurance "$STRANGER" 1.002759
show dancu-node --config "$DEMO/insurance.toml" unseal
await "the insurance's key" node_state_is insurance serving
show get insurance "$STRANGER" 1.002759

title "A node is revoked: it is refused with the reason, and erases what it held"
show dancu-hub node revoke court --reason "hết thời hạn thỏa thuận"
await "the court to erase its slice" node_state_is court revoked
show dancu-node --config "$DEMO/court.toml" status
show dancu-hub node list

say ""
say "${green}That was Dancu.${off} The fleet, the registry and every answer above were real: nothing was replayed."
[ "${KEEP:-}" = 1 ] || exit 0

title "Left running (KEEP=1)"
for node in province insurance commune; do
    dancu-node --config "$DEMO/$node.toml" client add --name demo-client --purposes '*' --out "$DEMO/$node-client" >/dev/null
done
python3 deploy/demo/endpoints.py "$DEMO" "$PWD"
trap - EXIT
