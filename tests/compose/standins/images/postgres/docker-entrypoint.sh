#!/bin/bash
# Prepares an empty data folder and becomes the server: those settings of the official image that Compose files use.
set -euo pipefail

value_of() {
  local name=$1 file=${1}_FILE
  if [[ -n ${!name:-} && -n ${!file:-} ]]; then
    echo "$name and $file are both set: choose one" >&2
    exit 1
  elif [[ -n ${!file:-} ]]; then
    cat -- "${!file}"
  else
    printf '%s' "${!name:-$2}"
  fi
}

own_the_folders() {
  install -d -o postgres -g postgres -m 0700 "$PGDATA"
  find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres:postgres {} +
}

make_cluster() {
  local arguments
  arguments=$(value_of POSTGRES_INITDB_ARGS '')
  # Word splitting is the point: the setting holds several arguments.
  # shellcheck disable=SC2086
  initdb --pgdata="$PGDATA" --username="$user" --pwfile=<(printf '%s\n' "$password") $arguments
  local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
  printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
}

ask() {
  psql --no-psqlrc --no-password --quiet -v ON_ERROR_STOP=1 --username "$user" "$@"
}

make_database() {
  [[ $database == postgres ]] && return
  ask --dbname postgres -v name="$database" <<< 'CREATE DATABASE :"name";'
}

run_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    [[ -e $script ]] || continue
    echo "running $script"
    case $script in
      *.sh) if [[ -x $script ]]; then "$script"; else . "$script"; fi ;;
      *.sql) ask --dbname "$database" --file "$script" ;;
      *) echo "leaving $script alone: neither .sh nor .sql" ;;
    esac
  done
}

first_start() {
  export POSTGRES_USER=$user POSTGRES_DB=$database POSTGRES_PASSWORD=$password
  make_cluster
  export PGPASSWORD=$password
  # Nobody outside reaches the server until it is prepared.
  pg_ctl --pgdata="$PGDATA" --wait --options "$(printf '%q ' "$@" -c listen_addresses=)" start
  make_database
  run_scripts
  pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
  unset PGPASSWORD POSTGRES_PASSWORD
  echo 'PostgreSQL init process complete; ready for start up.'
}

[[ ${1:-} == -* ]] && set -- postgres "$@"
if [[ ${1:-} != postgres || " $* " == *' --version '* || " $* " == *' -V '* || " $* " == *' --help '* ]]; then
  exec "$@"
fi
if [[ $(id -u) == 0 ]]; then
  own_the_folders
  exec gosu postgres "$0" "$@"
fi
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  user=$(value_of POSTGRES_USER postgres)
  database=$(value_of POSTGRES_DB "$user")
  password=$(value_of POSTGRES_PASSWORD '')
  if [[ -z $password && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
    echo 'the superuser has no password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE' >&2
    exit 1
  fi
  first_start "${@:2}"
fi
exec "$@"
