# What nodes make of a move, a narrower agreement, and a line that is cut.
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
