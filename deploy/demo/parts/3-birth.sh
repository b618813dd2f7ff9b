# A birth that is registered with the line cut, and whose number follows. It opens a case.
title "A child is born while the line is cut: it is registered at the commune, and the number follows"
for agreement in commune-civil-status social-insurance-pensions social-insurance-newborns \
    public-service-portal-interlinked; do
    dancu-hub agreement apply deploy/agreements/$agreement.toml >/dev/null
done
enrol commune tuyen-quang-00691 17446
enrol portal national-portal 17447
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
   "father": {"personal_id": "$FATHER"}, "mother": {"personal_id": "$MOTHER"}}},
 "opens": {"procedure": "lien-thong-khai-sinh",
           "answers": {"first_clinic": "Trạm y tế Phường Hà Giang 2", "household_head_consent": "Đồng ý"}}}
JSON
sed 's/^/  /' "$DEMO/birth.json"
hand_in() { at commune contribute "$DEMO/$1" --purpose "$2" "${@:3}"; }
say "Queued on the commune's own disk: it counts once, whatever breaks from here on."
show hand_in birth.json 3.000722 --out "$DEMO/birth-queued.json"
show at commune outbox status
rm "$DEMO/cut"
say "The line is back. The same is handed in again, which changes nothing, to wait for what the hub says:"
show hand_in birth-queued.json 3.000722 --wait
