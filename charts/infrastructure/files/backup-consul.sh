#!/bin/sh
# Snapshots of Consul: KV, tokens, policies, the catalogue. Without an argument: one now and then one every $BACKUP_EVERY seconds, the newest
# $BACKUP_KEEP are kept.
#   backup    one snapshot now
#   list      the snapshots there are, the newest last
#   restore [FILE]   bring Consul back to the newest, or to FILE
set -eu
umask 077
folder=/backups
export CONSUL_HTTP_ADDR="${CONSUL_HTTP_ADDR:-http://consul:8500}"
export CONSUL_HTTP_TOKEN_FILE="${CONSUL_HTTP_TOKEN_FILE-/run/secrets/pillion/consul-token}"

one() {
    file="consul-$(date -u +%Y%m%dT%H%M%SZ).snap"
    consul snapshot save "$folder/.$file" >/dev/null
    consul snapshot inspect "$folder/.$file" >/dev/null
    mv "$folder/.$file" "$folder/$file"
    echo "backup: $file, $(stat -c %s "$folder/$file") bytes"
    list | sort -r | tail -n "+$((BACKUP_KEEP + 1))" | while read -r old; do
        rm -f "$folder/$old"
        echo "backup: removed $old, $BACKUP_KEEP newer ones are kept"
    done
}

list() {
    ls -1 "$folder" | grep '^consul-.*\.snap$' | sort || true
}

for_ever() {
    trap 'exit 0' TERM INT
    rm -f "$folder"/.consul-*.snap
    while :; do
        one || echo "backup: failed, tried again in $BACKUP_EVERY s" >&2
        sleep "$BACKUP_EVERY" &
        wait $!
    done
}

restore() {
    file=${1:-$(list | tail -n 1)}
    [ -n "$file" ] && [ -f "$folder/$file" ] || { echo "restore: there is no snapshot '$file' in $folder" >&2; exit 1; }
    consul snapshot restore "$folder/$file"
    echo "restore: Consul is as it was in $file; what runs now registers itself again within seconds."
}

case ${1:-} in
    '') for_ever ;;
    backup) one ;;
    list) list ;;
    restore) shift; restore "$@" ;;
    *) echo "usage: [backup | list | restore [FILE]]" >&2; exit 2 ;;
esac
