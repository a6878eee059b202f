#!/bin/sh
# Runs Consul as its own user with the official image's folders; anything that is no command of Consul runs as it is.
set -e

data=${CONSUL_DATA_DIR:-/consul/data}
config=${CONSUL_CONFIG_DIR:-/consul/config}

case "$1" in -*) set -- consul "$@" ;; esac
if [ -n "$CONSUL_LOCAL_CONFIG" ]; then
  printf '%s\n' "$CONSUL_LOCAL_CONFIG" > "$config/local.json"
fi
if [ "$1" = agent ]; then
  shift
  set -- consul agent -data-dir="$data" -config-dir="$config" "$@"
elif [ "$1" = version ] || consul "$1" -h 2>&1 | grep -q "Usage: consul $1"; then
  set -- consul "$@"
fi
if [ "$1" = consul ] && [ "$(id -u)" = 0 ] && [ -z "$CONSUL_DISABLE_PERM_MGMT" ]; then
  for folder in "$data" "$config"; do
    [ "$(stat -c %u "$folder")" = 100 ] || chown consul:consul "$folder"
  done
  set -- su-exec consul:consul "$@"
fi
exec "$@"
