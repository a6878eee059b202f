-- The trigger functions. They run with their owner's rights, and so does the code of a cast that the type of a column
-- has to json: their owner must be able to do nothing but add events. Whatever changes how a value is written as text
-- is pinned: a session's TimeZone must not change an event's key. A row is json and not jsonb all the way: what a value
-- is written as stays to the letter, and it costs the service's write less. {schema} is the schema's quoted name.

-- What earlier versions had under these names took jsonb.
DROP FUNCTION IF EXISTS {schema}.pinned(anyelement), {schema}.key_of(jsonb, text[]), {schema}.chosen(jsonb, jsonb),
    {schema}.masked(jsonb, jsonb), {schema}.emit(text, text, text, text, jsonb, jsonb);

-- Changing a column's type locks every writer out and writes the table anew: where the lock is not had at once, or that
-- would take long, jsonb stays, and all works with it.
DO $pillion$
DECLARE
    patience text := current_setting('lock_timeout');
BEGIN
    IF (SELECT atttypid FROM pg_attribute WHERE attrelid = '{schema}.outbox'::regclass AND attname = 'payload')
        = 'jsonb'::regtype AND (SELECT count(*) FROM (SELECT FROM {schema}.outbox LIMIT 10001) AS t) <= 10000
    THEN
        PERFORM set_config('lock_timeout', '80ms', true);
        ALTER TABLE {schema}.outbox ALTER COLUMN payload TYPE json USING payload::json;
        PERFORM set_config('lock_timeout', patience, true);
    END IF;
EXCEPTION WHEN lock_not_available THEN
    RAISE NOTICE 'the payload of {schema}.outbox stays jsonb, for it is being written to';
END $pillion$;

-- A row as JSON, whatever the session's settings are.
CREATE OR REPLACE FUNCTION {schema}.pinned_json(row_ anyelement) RETURNS json LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET DateStyle = 'ISO, MDY' SET IntervalStyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = '1' SET lc_monetary = 'C' AS $pillion$
BEGIN
    RETURN row_to_json(row_);
END $pillion$;

-- In which bucket a key is; without a key any will do. One expression, so that PostgreSQL puts it in place of the call.
CREATE OR REPLACE FUNCTION {schema}.bucket_of(key text, number bigint) RETURNS bigint LANGUAGE sql STABLE AS $pillion$
    SELECT CASE WHEN key IS NULL THEN number & 63 ELSE get_byte(sha256(convert_to(key, 'UTF8')), 0) & 63 END
$pillion$;

-- The key as text: a single column's value, else a JSON array; NULL where a single column is NULL.
CREATE OR REPLACE FUNCTION {schema}.key_of(row_ json, names text[]) RETURNS text LANGUAGE plpgsql AS $pillion$
BEGIN
    IF row_ IS NULL THEN
        RETURN NULL;
    ELSIF array_length(names, 1) = 1 THEN
        RETURN row_->>names[1];
    END IF;
    RETURN (
        SELECT jsonb_agg((row_->name)::jsonb ORDER BY n)::text FROM unnest(names) WITH ORDINALITY AS u (name, n)
    );
END $pillion$;

-- The columns that a rule hides: those it names, and what those are called by now. A column that the service renames must
-- not be shown for it; "at" holds their numbers in the catalogue, which renaming does not change.
CREATE OR REPLACE FUNCTION {schema}.hidden(rules jsonb, rule text, relation oid) RETURNS text[] LANGUAGE plpgsql
AS $pillion$
BEGIN
    RETURN ARRAY(
        SELECT jsonb_array_elements_text(rules->rule)
        UNION SELECT a.attname::text FROM pg_attribute AS a
        WHERE a.attrelid = coalesce(pg_partition_root(relation)::oid, relation) AND NOT a.attisdropped
            AND a.attnum = ANY (ARRAY(SELECT n::int FROM jsonb_array_elements_text(rules->'at'->rule) AS n))
    );
END $pillion$;

-- The columns that belong into the event. A value's own text is kept.
CREATE OR REPLACE FUNCTION {schema}.chosen(rules jsonb, relation oid, row_ json) RETURNS json LANGUAGE plpgsql
AS $pillion$
DECLARE
    names text[];
BEGIN
    IF row_ IS NULL OR NOT rules ?| ARRAY['include', 'exclude'] THEN
        RETURN row_;
    END IF;
    IF rules ? 'exclude' THEN
        names := {schema}.hidden(rules, 'exclude', relation);
    END IF;
    RETURN (
        SELECT '{{' || coalesce(string_agg(to_json(e.key)::text || ':' || e.value::text, ','), '') || '}}'
        FROM json_each(row_) AS e
        WHERE CASE WHEN names IS NULL THEN rules->'include' ? e.key ELSE e.key <> ALL (names) END
    )::json;
END $pillion$;

CREATE OR REPLACE FUNCTION {schema}.masked(rules jsonb, relation oid, row_ json) RETURNS json LANGUAGE plpgsql
AS $pillion$
DECLARE
    names text[];
BEGIN
    IF row_ IS NULL OR NOT rules ? 'mask' THEN
        RETURN row_;
    END IF;
    names := {schema}.hidden(rules, 'mask', relation);
    RETURN (
        SELECT '{{' || coalesce(string_agg(
            to_json(e.key)::text || ':' || CASE WHEN e.key = ANY (names) THEN '"***"' ELSE e.value::text END, ','
        ), '') || '}}'
        FROM json_each(row_) AS e
    )::json;
END $pillion$;

-- The trace context of the statement that runs: traceparent and tracestate of a sqlcommenter comment at its end. The text
-- may be long and a row trigger asks for every row, so what a long one says is kept until the statement or the
-- transaction ends.
CREATE OR REPLACE FUNCTION {schema}.traced() RETURNS text[] LANGUAGE plpgsql AS $pillion$
DECLARE
    at text := extract(epoch FROM statement_timestamp())::text;
    told text := current_setting('pillion.trace', true);
    long boolean;
    note text;
    parent text;
BEGIN
    IF split_part(told, ' ', 1) = at THEN
        RETURN (string_to_array(told, ' '))[2:3];
    END IF;
    note := coalesce(current_query(), '');
    long := octet_length(note) > 4096;
    note := right(note, 2048);
    IF strpos(note, 'traceparent=') > 0 THEN
        note := substring(note FROM '/\*([^*]+)\*/[\s;]*$');
        parent := substring(note FROM 'traceparent=''([0-9a-f]{{2}}-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}})''');
    END IF;
    IF parent IS NOT NULL THEN
        told := concat_ws(' ', parent, substring(note FROM 'tracestate=''([!-&(-~]+)'''));
    ELSE
        told := NULL;
    END IF;
    IF long THEN
        PERFORM set_config('pillion.trace', concat_ws(' ', at, told), true);
    END IF;
    RETURN string_to_array(told, ' ');
END $pillion$;

-- One change of a table, under its old key too where that changed. "about" is empty where the key is the one column
-- "key_column" and all columns are shown; else it tells. For the trigger functions only, with their search_path.
CREATE OR REPLACE FUNCTION {schema}.emit(
    origin text, type text, relation oid, key_column text, about text, before json, after json
) RETURNS void LANGUAGE plpgsql AS $pillion$
DECLARE
    newest json := coalesce(after, before);
    names text[] := ARRAY[key_column];
    needed text[] := names;
    rules jsonb;
    key text;
    former text;
    moved boolean;
    number bigint;
    note text[];
    payload json;
BEGIN
    IF about <> '' THEN
        rules := about::jsonb;
        names := ARRAY(SELECT jsonb_array_elements_text(rules->'key'));
        needed := names || ARRAY(SELECT jsonb_array_elements_text(rules->'only'));
    END IF;
    IF newest IS NOT NULL AND NOT ARRAY(SELECT json_object_keys(newest)) @> needed THEN
        RAISE EXCEPTION 'pillion: % has no column % any more', origin, needed
            USING HINT = 'Run `pillion outbox init` again, with the new names in key and only of outbox.changes.';
    END IF;
    key := {schema}.key_of(newest, names);
    former := {schema}.key_of(before, names);
    moved := before IS NOT NULL AND after IS NOT NULL AND key IS DISTINCT FROM former;
    IF rules IS NOT NULL THEN
        IF before IS NOT NULL AND after IS NOT NULL AND NOT moved AND rules ? 'only' AND NOT EXISTS (
            SELECT FROM jsonb_array_elements_text(rules->'only') AS c
            WHERE (before->c)::text IS DISTINCT FROM (after->c)::text
        ) THEN
            RETURN;
        END IF;
        before := {schema}.chosen(rules, relation, before);
        after := {schema}.chosen(rules, relation, after);
        IF before::text = after::text AND NOT moved THEN
            RETURN;
        END IF;
        before := {schema}.masked(rules, relation, before);
        after := {schema}.masked(rules, relation, after);
    END IF;
    payload := json_build_object('before', before, 'after', after);
    note := {schema}.traced();
    IF moved THEN
        number := nextval('{schema}.outbox_id');
        INSERT INTO {schema}.outbox (id, bucket, origin, type, key, payload, traceparent, tracestate) VALUES (
            number, {schema}.bucket_of(former, number), origin, type, former, payload, note[1], note[2]
        );
    END IF;
    number := nextval('{schema}.outbox_id');
    INSERT INTO {schema}.outbox (id, bucket, origin, type, key, payload, traceparent, tracestate) VALUES (
        number, {schema}.bucket_of(key, number), origin, type, key, payload, note[1], note[2]
    );
END $pillion$;

-- AFTER … FOR EACH ROW. No column is named here: the service can drop and alter its columns. Arguments: the table's name,
-- three types of event, its only key column, "about" of emit, whether the table holds money. It runs in every write of
-- the service, and in a transaction of one row each expression is prepared for that row alone: so there are few.
CREATE OR REPLACE FUNCTION {schema}.capture() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    before json;
    after json;
    key text;
    note text[];
BEGIN
    IF TG_OP = 'UPDATE' AND NOT OLD OPERATOR(pg_catalog.*<>) NEW THEN
        RETURN NULL;
    END IF;
    -- To pin what a session may have set costs more than to ask whether it is set so anyway. What money is written by is
    -- not asked: the last argument says that the table has some.
    IF TG_ARGV[6] = '' AND current_setting('TimeZone') = ANY ('{{UTC,Etc/UTC,GMT,Etc/GMT}}')
        AND current_setting('DateStyle') || current_setting('IntervalStyle') || current_setting('bytea_output')
            LIKE 'ISO, ___postgreshex'
        AND current_setting('extra_float_digits') = ANY ('{{1,2,3}}')
    THEN
        before := CASE WHEN TG_OP <> 'INSERT' THEN row_to_json(OLD) END;
        after := CASE WHEN TG_OP <> 'DELETE' THEN row_to_json(NEW) END;
    ELSE
        before := CASE WHEN TG_OP <> 'INSERT' THEN {schema}.pinned_json(OLD) END;
        after := CASE WHEN TG_OP <> 'DELETE' THEN {schema}.pinned_json(NEW) END;
    END IF;
    key := CASE WHEN TG_ARGV[5] = '' THEN coalesce(after, before)->>TG_ARGV[4] END;
    IF key IS NOT NULL AND (TG_OP <> 'UPDATE' OR before->>TG_ARGV[4] = key) THEN
        IF current_setting('pillion.trace', true) <> '' OR octet_length(current_query()) > 4096
            OR strpos(current_query(), 'traceparent=') > 0
        THEN
            note := {schema}.traced();
        END IF;
        INSERT INTO {schema}.outbox (bucket, origin, type, key, payload, traceparent, tracestate) VALUES (
            get_byte(sha256(convert_to(key, 'UTF8')), 0) & 63, TG_ARGV[0],
            TG_ARGV[CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'UPDATE' THEN 2 ELSE 3 END], key,
            json_build_object('before', before, 'after', after), note[1], note[2]
        );
        RETURN NULL;
    END IF;
    PERFORM {schema}.emit(
        TG_ARGV[0], TG_ARGV[CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'UPDATE' THEN 2 ELSE 3 END], TG_RELID, TG_ARGV[4],
        TG_ARGV[5], before, after
    );
    RETURN NULL;
END $pillion$;

-- The same, but what goes wrong is recorded and the service's write goes on. The handler costs a transaction id a row.
CREATE OR REPLACE FUNCTION {schema}.capture_or_record() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    before json;
    after json;
    hidden boolean;
BEGIN
    IF TG_OP = 'UPDATE' AND NOT OLD OPERATOR(pg_catalog.*<>) NEW THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        before := {schema}.pinned_json(OLD);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := {schema}.pinned_json(NEW);
    END IF;
    PERFORM {schema}.emit(
        TG_ARGV[0], TG_ARGV[CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'UPDATE' THEN 2 ELSE 3 END], TG_RELID, TG_ARGV[4],
        TG_ARGV[5], before, after
    );
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    -- What was to be hidden stays hidden: then only the error is kept.
    hidden := TG_ARGV[5] <> '' AND TG_ARGV[5]::jsonb ?| ARRAY['include', 'exclude', 'mask'];
    INSERT INTO {schema}.outbox_failed (origin, operation, error, before, after) VALUES (
        TG_ARGV[0], lower(TG_OP), CASE WHEN hidden THEN SQLSTATE ELSE SQLERRM END,
        -- By the type's output function: a cast to text may be the table owner's code.
        CASE WHEN NOT hidden AND TG_OP <> 'INSERT' THEN format('%s', OLD) END,
        CASE WHEN NOT hidden AND TG_OP <> 'DELETE' THEN format('%s', NEW) END
    );
    RETURN NULL;
END $pillion$;

-- AFTER TRUNCATE: one event without a key, in no order with the others. Arguments: the table's name, the type of event.
CREATE OR REPLACE FUNCTION {schema}.truncated() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
BEGIN
    PERFORM {schema}.emit(TG_ARGV[0], TG_ARGV[1], TG_RELID, '', '', NULL, NULL);
    RETURN NULL;
END $pillion$;

-- The trigger by which earlier versions read the trace context; a table keeps it until `init` comes to it.
CREATE OR REPLACE FUNCTION {schema}.trace() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
BEGIN
    RETURN NULL;
END $pillion$;
