#!/bin/sh
# Backups of the database. Without an argument: one whenever the newest is $BACKUP_EVERY seconds old, the newest $BACKUP_KEEP are kept.
#   backup [--smaller]   one backup now; one that is less than half of the last is refused but for --smaller
#   list      the backups there are, the newest last
#   restore [FILE]   bring the database back to the newest, or to FILE; as the superuser, with roles.sh at /postgres
# DATABASE and POSTGRES_HOST name another database and server than those of Compose.
set -eu
umask 077
folder=${BACKUPS:-/backups}
database=${DATABASE:-shop}

one() {
    force=${1:-}
    clean
    prune
    file="$database-$(date -u +%Y%m%dT%H%M%SZ).dump"
    partial="$folder/.$file"
    # Under another name until it is whole and was read once: a file called .dump can be restored.
    PGPASSFILE=${PGPASSFILE:-/run/secrets/pillion/pgpass} pg_dump --host "${POSTGRES_HOST:-postgres}" --username backup --no-password \
        --format custom --file "$partial" "$database" &
    child=$!
    wait "$child"
    child=''
    pg_restore --list "$partial" >/dev/null
    sync "$partial"
    [ "$force" = --smaller ] || credible
    mv "$partial" "$folder/$file"
    partial=''
    rm -f "$folder/$database.smaller"
    echo "backup: $file, $(stat -c %s "$folder/$file") bytes"
    prune
}

# One that is much smaller than the last may be of a server that has lost its data: as the newest it would be what is restored, and each further
# one would push out another that is worth it.
credible() {
    last=$(list | tail -n 1)
    [ -n "$last" ] && [ $(($(stat -c %s "$partial") * 2)) -lt "$(stat -c %s "$folder/$last")" ] || return 0
    mv "$partial" "$folder/$database.smaller"
    partial=''
    echo "backup: this one has $(stat -c %s "$folder/$database.smaller") bytes, less than half of $last: did the server lose its data? It is called" \
        "$database.smaller and is not the newest; nothing older was removed. If all is well, make one with: backup --smaller" >&2
    exit 1
}

# Remove what those left that were killed, and leave nothing oneself: half ones would fill the volume, and then none succeeds. All that make one
# share the lock, so who can have it alone knows that nobody is writing.
clean() {
    # On some volumes there is no room even for the lock when they are full.
    (: >>"$folder/.lock") 2>/dev/null || rm -f "$folder"/."$database"-*.dump
    exec 9>"$folder/.lock"
    ! flock -n 9 || rm -f "$folder"/."$database"-*.dump
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
    ls -1 "$folder" | grep "^$database-.*\.dump\$" | sort || true
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
    # A name of PostgreSQL's has 63 letters at most.
    short=$(printf %.40s "$database")
    file=${1:-$(list | tail -n 1)}
    [ -n "$file" ] && [ -f "$folder/$file" ] || { echo "restore: there is no backup '$file' in $folder" >&2; exit 1; }
    psql() {
        command psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username postgres "$@"
    }
    # Beside the database in use, which is put aside only when all of it has come back: nobody meets half of a restore.
    psql --dbname postgres --command "DROP DATABASE IF EXISTS ${database}_restoring" \
        --command "CREATE DATABASE ${database}_restoring" --command "REVOKE ALL ON DATABASE ${database}_restoring FROM PUBLIC"
    pg_restore --username postgres --dbname "${database}_restoring" --exit-on-error --single-transaction "$folder/$file"
    aside
    sh /postgres/roles.sh
    echo "restore: the database $database is as it was in $file. Relays wait: run \`pillion outbox adopt --restored\`."
    for copy in $(psql --tuples-only --no-align --dbname postgres \
        --command "SELECT datname FROM pg_database WHERE datname ~ '^${short}_before_[0-9]+\$' ORDER BY 1"); do
        echo "restore: what was there before is kept as $copy; away with it: psql --username postgres --command 'DROP DATABASE $copy'"
    done
}

# Put what came back into the place of the database in use, which is kept under another name: it may hold what no backup has.
aside() {
    if [ "$(psql --tuples-only --no-align --dbname postgres --command "SELECT 1 FROM pg_database WHERE datname = '$database'")" != 1 ]; then
        psql --dbname postgres --command "ALTER DATABASE ${database}_restoring RENAME TO $database"
        return
    fi
    copy="${short}_before_$(date -u +%y%m%d%H%M%S%3N)"
    # A database can be renamed only while nobody is in it.
    psql --dbname postgres --command "ALTER DATABASE $database ALLOW_CONNECTIONS false" \
        --command "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database'" >/dev/null
    psql --dbname postgres --single-transaction --command "ALTER DATABASE $database RENAME TO $copy" \
        --command "ALTER DATABASE ${database}_restoring RENAME TO $database" || {
        psql --dbname postgres --command "ALTER DATABASE $database ALLOW_CONNECTIONS true"
        echo "restore: the database $database could not be put aside; it is in use as it was" >&2
        exit 1
    }
    psql --dbname postgres --command "ALTER DATABASE $copy ALLOW_CONNECTIONS true"
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
