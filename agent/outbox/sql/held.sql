-- Keys that are set aside and their rows. {schema} is the schema's quoted name. A key's "id" is made from it (parked.keys),
-- "key" is its beginning, for people. "tries" counts the times in a row that sending it was begun and the process did not
-- live to see the end.
CREATE TABLE IF NOT EXISTS {schema}.held_key (
    feed text NOT NULL REFERENCES {schema}.feed,
    id text NOT NULL,
    bucket smallint NOT NULL,
    key text,
    state text NOT NULL CHECK (state IN ('held', 'parked', 'replaying')),
    reason text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (feed, id)
);

-- The rows of those keys in the order in which they are sent; the content stays in the table that it was read from. The
-- reference keeps a key from becoming free while it has rows.
CREATE TABLE IF NOT EXISTS {schema}.held_row (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feed text NOT NULL,
    key text NOT NULL,
    bucket smallint NOT NULL,
    row_id bigint NOT NULL,
    added timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (feed, row_id),
    FOREIGN KEY (feed, key) REFERENCES {schema}.held_key (feed, id)
);
CREATE INDEX IF NOT EXISTS held_row_key ON {schema}.held_row (feed, key, seq);

-- What was done with events that were set aside: skipped by the relay, replayed or discarded by a person.
CREATE TABLE IF NOT EXISTS {schema}.held_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL DEFAULT session_user,
    what text NOT NULL CHECK (what IN ('skipped', 'replay', 'discard')),
    feed text NOT NULL,
    key_id text NOT NULL,
    key text,
    row_ids bigint[] NOT NULL,
    reason text NOT NULL
);
