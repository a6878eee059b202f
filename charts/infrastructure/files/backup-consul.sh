#!/bin/sh
# Snapshots of Consul: KV, tokens, policies, the catalogue. Without an argument: one whenever the newest is $BACKUP_EVERY seconds old, the newest
# $BACKUP_KEEP are kept.
#   backup [--smaller]   one snapshot now; one that is less than half of the last is refused but for --smaller
#   list      the snapshots there are, the newest last
#   restore [FILE]   bring Consul back to the newest, or to FILE
set -eu
umask 077
folder=${BACKUPS:-/backups}
export CONSUL_HTTP_ADDR="${CONSUL_HTTP_ADDR:-http://consul:8500}"
export CONSUL_HTTP_TOKEN_FILE="${CONSUL_HTTP_TOKEN_FILE-/run/secrets/pillion/consul-token}"

one() {
    force=${1:-}
    clean
    prune
    file="consul-$(date -u +%Y%m%dT%H%M%SZ).snap"
    partial="$folder/.$file"
    consul snapshot save "$partial" >/dev/null &
    child=$!
    wait "$child"
    child=''
    consul snapshot inspect "$partial" >/dev/null
    [ "$force" = --smaller ] || credible
    mv "$partial" "$folder/$file"
    partial=''
    rm -f "$folder/consul.smaller"
    echo "backup: $file, $(stat -c %s "$folder/$file") bytes"
    prune
}

# One that is much smaller than the last may be of a server that has lost its data: as the newest it would be what is restored, and each further
# one would push out another that is worth it.
credible() {
    last=$(list | tail -n 1)
    [ -n "$last" ] && [ $(($(stat -c %s "$partial") * 2)) -lt "$(stat -c %s "$folder/$last")" ] || return 0
    mv "$partial" "$folder/consul.smaller"
    partial=''
    echo "backup: this one has $(stat -c %s "$folder/consul.smaller") bytes, less than half of $last: did the server lose its data? It is called" \
        "consul.smaller and is not the newest; nothing older was removed. If all is well, make one with: backup --smaller" >&2
    exit 1
}

# Remove what those left that were killed, and leave nothing oneself: half ones would fill the volume, and then none succeeds. All that make one
# share the lock, so who can have it alone knows that nobody is writing.
clean() {
    # On some volumes there is no room even for the lock when they are full.
    (: >>"$folder/.lock") 2>/dev/null || rm -f "$folder"/.consul-*.snap
    exec 9>"$folder/.lock"
    ! flock -n 9 || rm -f "$folder"/.consul-*.snap
    flock -s 9 || true
    partial='' child=''
    # In the background and waited for: a shell takes no signal before what it runs in the foreground has ended.
    trap '[ -z "$child" ] || kill "$child" 2>/dev/null || true; [ -z "$partial" ] || rm -f "$partial"' EXIT
    trap 'exit 143' TERM INT HUP
}

# All but the newest go; the newest stays whatever number was given.
prune() {
    keep=$((BACKUP_KEEP > 1 ? BACKUP_KEEP : 1))
    list | sort -r | tail -n "+$((keep + 1))" | while read -r old; do
        rm -f "$folder/$old"
        echo "backup: removed $old, $keep newer ones are kept"
    done
}

list() {
    ls -1 "$folder" | grep '^consul-.*\.snap$' | sort || true
}

# Seconds until the newest is $BACKUP_EVERY old. Not sooner, also after a start: one of a server that has just lost its data would then be the
# newest, and be restored.
due_in() {
    newest=$(list | tail -n 1)
    [ -n "$newest" ] || { echo 0; return; }
    left=$((BACKUP_EVERY - $(date +%s) + $(stat -c %Y "$folder/$newest")))
    [ "$left" -gt 0 ] && echo "$left" || echo 0
}

for_ever() {
    trap 'exit 0' TERM INT
    while :; do
        left=$(due_in)
        # A process of its own: a shell takes no error for the end where it is asked how something ended.
        [ "$left" -gt 0 ] || sh "$0" backup || { echo "backup: failed, tried again in a minute" >&2; left=60; }
        sleep "$left" &
        wait $!
    done
}

restore() {
    file=${1:-$(list | tail -n 1)}
    [ -n "$file" ] && [ -f "$folder/$file" ] || { echo "restore: there is no snapshot '$file' in $folder" >&2; exit 1; }
    consul snapshot restore "$folder/$file"
    echo "restore: Consul is as it was in $file; what runs now registers itself again within seconds."
}

usage() {
    echo "usage: [backup [--smaller] | list | restore [FILE]]" >&2
    exit 2
}

case ${1:-} in
    '') for_ever ;;
    backup)
        case ${2:-} in
            '' | --smaller) one "${2:-}" ;;
            *) usage ;;
        esac
        ;;
    list) list ;;
    restore) shift; restore "$@" ;;
    *) usage ;;
esac
