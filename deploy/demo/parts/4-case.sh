# The case that the birth opened (Decision 1911 Art. 3(3)(c)): each agency finds its step at its own node.
interlinked=(--purpose 3.000722)
CASE=$(field id <"$DEMO/birth-queued.json")
has_task() { at "$1" task list --json "${interlinked[@]}" | grep -q "$CASE"; }
step_is() { at portal case show "$CASE" --json "${interlinked[@]}" | field "case.steps.$1.state" | grep -q "$2"; }

title "Its case walks through three agencies: civil status, residence, health insurance"
await "the residence office's task" has_task province
say "The residence office of the mother's address finds its task, with what its agreement gives of the parents:"
show at province task list "${interlinked[@]}"
CHILD=$(at province task list --json "${interlinked[@]}" | field 0.persons.child)
cat >"$DEMO/residence.json" <<JSON
{"document": {"number": "41/2026", "date": "$today", "issued_by": "Công an Phường Hà Giang 2"},
 "effective_date": "$today",
 "event": {"permanent_residence_registered": {
   "members": [{"person": {"personal_id": "$CHILD"}, "relation": "Con"}],
   "address": {"commune": "00691", "detail": "Tổ 4"}}}}
JSON
say "The form of the change of residence (CT01) is filled in too, as far as its agreement gives it:"
await "the form" at province form fill ct01 "${interlinked[@]}"
begin_of 12 at province form fill ct01 --person "person=$MOTHER" --person "head=$FATHER" "${interlinked[@]}"
say "It registers the child there, and that ends its step:"
show at province task complete "$CASE" permanent-residence --event "$DEMO/residence.json" "${interlinked[@]}"
await "the insurer's task" has_task insurance
say "Then the insurer issues the card, for which it is asked a number:"
show at insurance task list "${interlinked[@]}"
show at insurance task complete "$CASE" health-insurance-card \
    --answer health_insurance_card_number=TE1080000000001 "${interlinked[@]}"
await "the portal to know" step_is 2 done
say "The parents follow it on the portal, which sees how it stands, and nothing of anybody:"
show at portal case show "$CASE" "${interlinked[@]}"
say "And the hub knows whose step took how long:"
show dancu-hub case show "$CASE"
