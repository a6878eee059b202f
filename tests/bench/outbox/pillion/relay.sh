# Pillion as a relay of the bench of relays, whose run.sh sources this and says there what is set here.
# shellcheck shell=bash disable=SC2034
PILLION=$(cd "$RELAY_DIR/../../../.." && pwd)
PILLION_PYTHON=${PILLION_PYTHON:-$PILLION/.venv/bin/python}

relay_prepare() {
  local path=
  case $SINK in http) path=/events ;; esac
  cat > "$WORK/pillion.yaml" << END
service:
  name: bench
outbox:
  database: postgresql://postgres:postgres@127.0.0.1:$PG_PORT/postgres
  tables:
    - table: public.outbox
      preset: debezium
  broker:
    url: $SINK://127.0.0.1:$SINK_PORT$path
    stream: outbox
    create: true
END
  "$(dirname "$PILLION_PYTHON")/pillion" outbox init --config "$WORK/pillion.yaml" >&2
}
# The profile is the same for all: there is nothing to tune.
RELAY_COMMAND=(env -C "$PILLION" "$PILLION_PYTHON" -m tests.bench.outbox.relay "$WORK/pillion.yaml")
