-- Pillion's own tables. {schema} is the schema's quoted name.
CREATE SCHEMA {schema};

CREATE TABLE {schema}.version (
    version integer NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
);

-- A feed is one table that is read. "base" is where reading starts; "existing" is what was said of rows older than that.
-- "system_id", "timeline" and "relation" (this table's own number in the catalogue) tell the database that it was prepared
-- in from a copy or a successor. "adopted" holds the highest row number at each time that it was adopted.
CREATE TABLE {schema}.feed (
    feed text PRIMARY KEY,
    system_id text NOT NULL,
    timeline integer,
    relation oid NOT NULL,
    adopted bigint[] NOT NULL DEFAULT '{{}}',
    history integer NOT NULL DEFAULT 1,
    existing text NOT NULL,
    base pg_snapshot NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

-- Where reading stands. Every row that "base" sees, and of those that "target" sees besides every one up to "pos",
-- is acknowledged by the broker or in held_row. "unclean" counts the owners in a row that ended without a word and
-- without having moved this place, "attempting" is the row that is sent alone now, "suspect" the one that such a
-- one sent alone when it ended. Updated often: room on the page keeps the updates within it.
CREATE TABLE {schema}.bucket (
    feed text NOT NULL REFERENCES {schema}.feed,
    bucket smallint NOT NULL,
    owner text,
    epoch bigint NOT NULL DEFAULT 0,
    base pg_snapshot NOT NULL,
    target pg_snapshot,
    pos bigint NOT NULL DEFAULT 0,
    unclean integer NOT NULL DEFAULT 0,
    attempting bigint,
    suspect bigint,
    PRIMARY KEY (feed, bucket)
) WITH (fillfactor = 50);

-- A relay is alive while its beat moves. "since" is for people: no time is compared.
CREATE TABLE {schema}.relay (
    feed text NOT NULL,
    id text NOT NULL,
    beat bigint NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (feed, id)
) WITH (fillfactor = 50);

-- A cache above 1 would hand numbers out in another order than the rows are written in.
CREATE SEQUENCE {schema}.outbox_id AS bigint CACHE 1;

-- What the triggers write.
CREATE TABLE {schema}.outbox (
    id bigint PRIMARY KEY DEFAULT nextval('{schema}.outbox_id'),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    bucket smallint NOT NULL,
    event uuid NOT NULL DEFAULT gen_random_uuid(),
    origin text NOT NULL,
    type text NOT NULL,
    key text,
    payload json NOT NULL,
    traceparent text,
    tracestate text,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER SEQUENCE {schema}.outbox_id OWNED BY {schema}.outbox.id;
CREATE INDEX outbox_xid_id ON {schema}.outbox (xid, id);

-- Changes of which no event could be made, where on_error is record.
CREATE TABLE {schema}.outbox_failed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin text NOT NULL,
    operation text NOT NULL,
    error text NOT NULL,
    before text,
    after text,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
