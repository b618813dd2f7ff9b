# The access log and what proves it; what a stolen disk tells, and a node that is revoked.
title "Who looked: every call is recorded before its answer, the one made offline too"
calls_of() { [ "$(dancu-hub --json audit citizen "$1" 2>/dev/null | grep -c '"index"')" -ge "$2" ]; }
await "the nodes to hand their records in" calls_of "$STRANGER" 2
show dancu-hub audit citizen "$MOVER"
await "the nodes to hand their records in" calls_of "$ELDER" 1
DEATH=$(field id <"$DEMO/death-queued.json")
say "And who paid a pension in between: the death holds from its day, and this was answered before it was known:"
typed dancu-hub contribution show "$DEATH"
dancu-hub contribution show "$DEATH" | sed -n '/answered without it/,$p' | sed 's/^/  /'
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
show at insurance seal
refused get insurance "$STRANGER" 1.002759
show at insurance unseal
await "the insurance's key" node_state_is insurance serving
show get insurance "$STRANGER" 1.002759

title "A node is revoked: it is refused with the reason, and erases what it held"
show dancu-hub node revoke court --reason "hết thời hạn thỏa thuận"
await "the court to erase its slice" node_state_is court revoked
show at court status
show dancu-hub node list
