#!/bin/sh
# Options alone are for the server, as in the official image; anything else runs as it is.
set -e

case "$1" in -*) set -- nats-server "$@" ;; esac
exec "$@"
