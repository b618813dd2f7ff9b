# A death that is handed in, and who may be looked up no longer.
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
