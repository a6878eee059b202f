-- The trigger functions. They run with their owner's rights, and so does the code of a cast that the type of a column
-- has to json: their owner must be able to do nothing but add events. Whatever changes how a value is written as text
-- is pinned: a session's TimeZone must not change an event's key. {schema} is the schema's quoted name.

-- A row as JSON, whatever the session's settings are.
CREATE OR REPLACE FUNCTION {schema}.pinned(row_ anyelement) RETURNS jsonb LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET DateStyle = 'ISO, MDY' SET IntervalStyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = '1' SET lc_monetary = 'C' AS $pillion$
BEGIN
    RETURN to_jsonb(row_);
END $pillion$;

-- In which bucket a key is; without a key any will do. One expression, so that PostgreSQL puts it in place of the call.
CREATE OR REPLACE FUNCTION {schema}.bucket_of(key text, number bigint) RETURNS bigint LANGUAGE sql STABLE AS $pillion$
    SELECT CASE WHEN key IS NULL THEN number & 63 ELSE get_byte(sha256(convert_to(key, 'UTF8')), 0) & 63 END
$pillion$;

-- The key as text: a single column's value, else a JSON array; NULL where a single column is NULL.
CREATE OR REPLACE FUNCTION {schema}.key_of(row_ jsonb, names text[]) RETURNS text LANGUAGE plpgsql AS $pillion$
BEGIN
    IF row_ IS NULL THEN
        RETURN NULL;
    ELSIF array_length(names, 1) = 1 THEN
        RETURN row_->>names[1];
    END IF;
    RETURN (SELECT jsonb_agg(row_->name ORDER BY n)::text FROM unnest(names) WITH ORDINALITY AS u (name, n));
END $pillion$;

-- The columns that belong into the event.
CREATE OR REPLACE FUNCTION {schema}.chosen(rules jsonb, row_ jsonb) RETURNS jsonb LANGUAGE plpgsql AS $pillion$
BEGIN
    IF row_ IS NOT NULL AND rules ? 'include' THEN
        RETURN (
            SELECT coalesce(jsonb_object_agg(e.key, e.value), '{{}}') FROM jsonb_each(row_) AS e
            WHERE rules->'include' ? e.key
        );
    ELSIF row_ IS NOT NULL AND rules ? 'exclude' THEN
        RETURN row_ - ARRAY(SELECT jsonb_array_elements_text(rules->'exclude'));
    END IF;
    RETURN row_;
END $pillion$;

CREATE OR REPLACE FUNCTION {schema}.masked(rules jsonb, row_ jsonb) RETURNS jsonb LANGUAGE plpgsql AS $pillion$
BEGIN
    IF row_ IS NOT NULL AND rules ? 'mask' THEN
        RETURN row_ || (
            SELECT coalesce(jsonb_object_agg(name, '***'), '{{}}') FROM jsonb_array_elements_text(rules->'mask') AS name
            WHERE row_ ? name
        );
    END IF;
    RETURN row_;
END $pillion$;

-- One change of a table, under its old key too where that changed. "about" is empty where the key is the one column
-- "key_column" and all columns are shown; else it tells. For the trigger functions only, with their search_path.
CREATE OR REPLACE FUNCTION {schema}.emit(
    origin text, type text, key_column text, about text, before jsonb, after jsonb
) RETURNS void LANGUAGE plpgsql AS $pillion$
DECLARE
    newest jsonb := coalesce(after, before);
    names text[] := ARRAY[key_column];
    rules jsonb;
    key text;
    former text;
    moved boolean;
    number bigint;
    trace text := current_setting('pillion.trace', true);
    note text[];
    payload jsonb;
BEGIN
    IF about <> '' THEN
        rules := about::jsonb;
        names := ARRAY(SELECT jsonb_array_elements_text(rules->'key'));
    END IF;
    IF NOT newest ?& names THEN
        RAISE EXCEPTION 'pillion: % has no column % any more', origin, names
            USING HINT = 'Run `pillion outbox init` again, with the new name of the key in outbox.changes.';
    END IF;
    IF rules IS NULL THEN
        key := newest->>key_column;
        former := before->>key_column;
    ELSE
        key := {schema}.key_of(newest, names);
        former := {schema}.key_of(before, names);
    END IF;
    moved := before IS NOT NULL AND after IS NOT NULL AND key IS DISTINCT FROM former;
    IF rules IS NOT NULL THEN
        before := {schema}.chosen(rules, before);
        after := {schema}.chosen(rules, after);
        IF before = after AND NOT moved THEN
            RETURN;
        END IF;
        before := {schema}.masked(rules, before);
        after := {schema}.masked(rules, after);
    END IF;
    payload := jsonb_build_object('before', before, 'after', after);
    -- Another statement's note is not this one's: a statement on a partition by its own name has no statement trigger.
    IF trace <> '' AND split_part(trace, ' ', 1) = extract(epoch FROM statement_timestamp())::text THEN
        note := string_to_array(trace, ' ');
    END IF;
    IF moved THEN
        number := nextval('{schema}.outbox_id');
        INSERT INTO {schema}.outbox (id, bucket, origin, type, key, payload, traceparent, tracestate) VALUES (
            number, {schema}.bucket_of(former, number), origin, type, former, payload, note[2], note[3]
        );
    END IF;
    number := nextval('{schema}.outbox_id');
    INSERT INTO {schema}.outbox (id, bucket, origin, type, key, payload, traceparent, tracestate) VALUES (
        number, {schema}.bucket_of(key, number), origin, type, key, payload, note[2], note[3]
    );
END $pillion$;

-- AFTER … FOR EACH ROW. No column is named here: the service can drop and alter its columns. Arguments: the table's name,
-- three types of event, its only key column, "about" of emit, whether the table holds money.
CREATE OR REPLACE FUNCTION {schema}.capture() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    before jsonb;
    after jsonb;
BEGIN
    IF TG_OP = 'UPDATE' AND NOT OLD OPERATOR(pg_catalog.*<>) NEW THEN
        RETURN NULL;
    END IF;
    -- To pin what a session may have set costs more than to ask whether it is set so anyway. What money is written by is
    -- not asked: the last argument says that the table has some.
    IF TG_ARGV[6] = '' AND current_setting('TimeZone') IN ('UTC', 'Etc/UTC', 'GMT', 'Etc/GMT')
        AND current_setting('DateStyle') LIKE 'ISO%' AND current_setting('IntervalStyle') = 'postgres'
        AND current_setting('bytea_output') = 'hex' AND current_setting('extra_float_digits')::int > 0
    THEN
        IF TG_OP <> 'INSERT' THEN
            before := to_jsonb(OLD);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            after := to_jsonb(NEW);
        END IF;
    ELSE
        IF TG_OP <> 'INSERT' THEN
            before := {schema}.pinned(OLD);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            after := {schema}.pinned(NEW);
        END IF;
    END IF;
    PERFORM {schema}.emit(
        TG_ARGV[0], TG_ARGV[CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'UPDATE' THEN 2 ELSE 3 END], TG_ARGV[4], TG_ARGV[5],
        before, after
    );
    RETURN NULL;
END $pillion$;

-- The same, but what goes wrong is recorded and the service's write goes on. The handler costs a transaction id a row.
CREATE OR REPLACE FUNCTION {schema}.capture_or_record() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    before jsonb;
    after jsonb;
    hidden boolean;
BEGIN
    IF TG_OP = 'UPDATE' AND NOT OLD OPERATOR(pg_catalog.*<>) NEW THEN
        RETURN NULL;
    END IF;
    -- To pin what a session may have set costs more than to ask whether it is set so anyway. What money is written by is
    -- not asked: the last argument says that the table has some.
    IF TG_ARGV[6] = '' AND current_setting('TimeZone') IN ('UTC', 'Etc/UTC', 'GMT', 'Etc/GMT')
        AND current_setting('DateStyle') LIKE 'ISO%' AND current_setting('IntervalStyle') = 'postgres'
        AND current_setting('bytea_output') = 'hex' AND current_setting('extra_float_digits')::int > 0
    THEN
        IF TG_OP <> 'INSERT' THEN
            before := to_jsonb(OLD);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            after := to_jsonb(NEW);
        END IF;
    ELSE
        IF TG_OP <> 'INSERT' THEN
            before := {schema}.pinned(OLD);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            after := {schema}.pinned(NEW);
        END IF;
    END IF;
    PERFORM {schema}.emit(
        TG_ARGV[0], TG_ARGV[CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'UPDATE' THEN 2 ELSE 3 END], TG_ARGV[4], TG_ARGV[5],
        before, after
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
    PERFORM {schema}.emit(TG_ARGV[0], TG_ARGV[1], '', '', NULL, NULL);
    RETURN NULL;
END $pillion$;

-- BEFORE … FOR EACH STATEMENT: the trace context from a sqlcommenter comment at the statement's end, once a statement
-- (the text may be long, and a row trigger would read it for every row).
CREATE OR REPLACE FUNCTION {schema}.trace() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    note text := right(coalesce(current_query(), ''), 2048);
    parent text;
    told text := '';
BEGIN
    IF strpos(note, 'traceparent=') > 0 THEN
        note := substring(note FROM '/\*([^*]+)\*/[\s;]*$');
        parent := substring(note FROM 'traceparent=''([0-9a-f]{{2}}-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}})''');
    END IF;
    IF parent IS NOT NULL THEN
        told := concat_ws(' ', extract(epoch FROM statement_timestamp()), parent,
            substring(note FROM 'tracestate=''([!-&(-~]+)'''));
    END IF;
    IF told <> coalesce(current_setting('pillion.trace', true), '') THEN
        PERFORM set_config('pillion.trace', told, true);
    END IF;
    RETURN NULL;
END $pillion$;
