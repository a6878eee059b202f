-- The inbox's own tables, in the consumer's database. Run as often as you like.
CREATE SCHEMA IF NOT EXISTS {schema};

CREATE TABLE IF NOT EXISTS {schema}.member (
  consumer text NOT NULL,
  id text NOT NULL,
  beat bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (consumer, id)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS {schema}.inbox_partition (
  consumer text NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  owner text,
  epoch bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

-- What was done: the digest is of the event's source and id.
CREATE TABLE IF NOT EXISTS {schema}.inbox_seen (
  consumer text NOT NULL,
  digest bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, digest)
);
CREATE INDEX IF NOT EXISTS inbox_seen_at ON {schema}.inbox_seen (at);

CREATE TABLE IF NOT EXISTS {schema}.inbox_attempt (
  consumer text NOT NULL,
  digest bytea NOT NULL,
  attempts int NOT NULL DEFAULT 1,
  first timestamptz NOT NULL DEFAULT now(),
  reason text NOT NULL,
  PRIMARY KEY (consumer, digest)
);

-- Keys, ids and headers are percent-encoded, as they stand in the message's headers.
CREATE TABLE IF NOT EXISTS {schema}.inbox_dead (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  consumer text NOT NULL,
  topic text NOT NULL,
  partition int NOT NULL,
  digest bytea NOT NULL,
  key text,
  id text NOT NULL,
  source text NOT NULL,
  type text NOT NULL,
  headers text NOT NULL,
  body bytea NOT NULL,
  size bigint NOT NULL,
  reason text NOT NULL,
  attempts int NOT NULL,
  state text NOT NULL DEFAULT 'dead' CHECK (state IN ('dead', 'replay', 'discarded')),
  note text NOT NULL DEFAULT '',
  at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (consumer, digest)
);
CREATE INDEX IF NOT EXISTS inbox_dead_key ON {schema}.inbox_dead (consumer, topic, partition, state);
