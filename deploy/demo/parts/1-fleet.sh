# A hub, its citizens, agreements, three nodes, and what each may see of the same person.
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
enrol province tuyen-quang 17443
enrol insurance vss 17444
enrol court court-ha-noi 17445
show dancu-hub node list

title "The same person, $NAME of Tuyên Quang, as each node may see them"
say "The province, registering residence:"
show get province "$MOVER" 1.004222
say "Social insurance, issuing a health-insurance card:"
show get insurance "$MOVER" 1.002759
say "The court of Hà Nội has no one of Tuyên Quang, and cannot tell whether the person exists:"
refused get court "$MOVER" court.civil
say "A purpose that no agreement gives is refused before anything is looked up:"
refused get insurance "$MOVER" 1.004222
