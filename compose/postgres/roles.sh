#!/bin/sh
# The database, its roles and what each may do. Run by the first start, and by hand after a restore or when a password file was changed.
# The passwords are read from files; a role may do what its line says and nothing else.
# DATABASE and SERVICE_ROLE name another database and another role of the service than those of Compose.
set -eu
database=${DATABASE:-shop}
service=${SERVICE_ROLE:-orders}
export service

psql() {
    # Over the local socket, where the superuser needs no password; nothing of this reaches the log.
    PGOPTIONS='-c log_statement=none -c log_min_error_statement=panic' command psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username postgres "$@"
}

[ "$(psql --tuples-only --no-align --dbname postgres --command "SELECT 1 FROM pg_database WHERE datname = '$database'")" = 1 ] ||
    psql --dbname postgres --command "CREATE DATABASE $database"

psql --dbname "$database" --set database="$database" --set service="$service" <<'SQL'
\set superuser `cat /run/secrets/pillion/superuser`
\set password `cat "/run/secrets/pillion/$service"`
\set install `cat /run/secrets/pillion/install`
\set relay `cat /run/secrets/pillion/relay`
\set backup `cat /run/secrets/pillion/backup`
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY[:'service', 'pillion_install', 'pillion_relay', 'backup']) AS name
WHERE to_regrole(name) IS NULL \gexec
-- The restore comes over TCP, with this one.
ALTER ROLE postgres PASSWORD :'superuser';
ALTER ROLE :"service" PASSWORD :'password';
ALTER ROLE pillion_install PASSWORD :'install';
ALTER ROLE pillion_relay PASSWORD :'relay';
ALTER ROLE backup PASSWORD :'backup';

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"service", pillion_relay, backup;
-- The service makes its tables in the schema public.
GRANT USAGE, CREATE ON SCHEMA public TO :"service";
-- `pillion outbox init` makes its own schema and puts triggers on the service's tables; it neither reads nor writes their rows.
GRANT CONNECT, CREATE ON DATABASE :"database" TO pillion_install;
GRANT USAGE ON SCHEMA public TO pillion_install;
ALTER DEFAULT PRIVILEGES FOR ROLE :"service" IN SCHEMA public GRANT TRIGGER ON TABLES TO pillion_install;
-- pg_dump reads everything and writes nothing.
GRANT pg_read_all_data TO backup;
SQL
