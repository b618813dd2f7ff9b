# How the demo tells what it does: what is typed, what comes of it, and waiting for what takes a moment.
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'; else bold='' dim='' green='' red='' off=''; fi
export CLICOLOR_FORCE=$([ -t 1 ] && echo 1 || echo 0)
step=0
title() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$off"; }
say() { printf '%s\n' "$1"; }
# A command as one would type it.
typed() {
    local words="$*"
    [ "$1" != at ] || words="dancu-node --config $2.toml ${*:3}"
    printf '%s$ %s%s\n' "$dim" "${words//"$DEMO/"/}" "$off"
}
# Shows a command, then its real output.
show() { typed "$@"; "$@" 2>&1 | sed 's/^/  /'; }
# The same, with the first lines of a long output.
begin_of() {
    local lines=$1; shift
    typed "$@"
    "$@" 2>&1 | awk -v most="$lines" 'NR <= most { print "  " $0 } END { if (NR > most) print "  … " NR - most " more lines" }'
}
# The same for a command that is expected to be refused.
refused() {
    typed "$@"
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
