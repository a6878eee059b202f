-- The trigger functions. They run with their owner's rights and with everything pinned that changes how a value is written
-- as text: a session's TimeZone must not change an event's key. {schema} is the schema's quoted name.

-- One change: "about" is the trigger's argument. Called by the trigger functions only, with their settings.
CREATE OR REPLACE FUNCTION {schema}.emit(about jsonb, operation text, before jsonb, after jsonb) RETURNS void
LANGUAGE plpgsql AS $pillion$
DECLARE
    newest jsonb := coalesce(after, before);
    names text[] := ARRAY(SELECT jsonb_array_elements_text(about->'key'));
    keys text[];
    key text;
    number bigint;
    note text[];
    payload jsonb;
BEGIN
    IF NOT newest ?& names THEN
        RAISE EXCEPTION 'pillion: % has no column % any more', about->>'origin', names
            USING HINT = 'Run `pillion outbox init` again, with the new name of the key in outbox.changes.';
    END IF;
    keys := ARRAY[{schema}.key_of(newest, names)];
    IF operation = 'update' AND before IS NOT NULL AND {schema}.key_of(before, names) IS DISTINCT FROM keys[1] THEN
        keys := {schema}.key_of(before, names) || keys;
    END IF;
    before := {schema}.chosen(about, before);
    after := {schema}.chosen(about, after);
    IF operation = 'update' AND before = after AND array_length(keys, 1) = 1 THEN
        RETURN;
    END IF;
    payload := jsonb_build_object('before', {schema}.masked(about, before), 'after', {schema}.masked(about, after));
    note := string_to_array(current_setting('pillion.trace', true), ' ');
    -- Another statement's note is not this one's: a statement on a partition by its own name has no statement trigger.
    IF note[1] IS DISTINCT FROM extract(epoch FROM statement_timestamp())::text THEN
        note := NULL;
    END IF;
    FOREACH key IN ARRAY keys LOOP
        number := nextval('{schema}.outbox_id');
        INSERT INTO {schema}.outbox (id, bucket, origin, type, key, payload, traceparent, tracestate) VALUES (
            number,
            CASE WHEN key IS NULL THEN number & 63 ELSE get_byte(sha256(convert_to(key, 'UTF8')), 0) & 63 END,
            about->>'origin', about->'types'->>operation, key, payload, nullif(note[2], ''), nullif(note[3], '')
        );
    END LOOP;
END $pillion$;

-- The key as text: a single column's value, else a JSON array; NULL where a single column is NULL or there is none.
CREATE OR REPLACE FUNCTION {schema}.key_of(row_ jsonb, names text[]) RETURNS text LANGUAGE plpgsql AS $pillion$
BEGIN
    IF array_length(names, 1) = 1 THEN
        RETURN row_->>names[1];
    END IF;
    RETURN (SELECT jsonb_agg(row_->name ORDER BY n)::text FROM unnest(names) WITH ORDINALITY AS u (name, n));
END $pillion$;

-- The columns that belong into the event.
CREATE OR REPLACE FUNCTION {schema}.chosen(about jsonb, row_ jsonb) RETURNS jsonb LANGUAGE plpgsql AS $pillion$
BEGIN
    IF row_ IS NOT NULL AND about ? 'include' THEN
        RETURN (SELECT coalesce(jsonb_object_agg(e.key, e.value), '{{}}') FROM jsonb_each(row_) AS e WHERE about->'include' ? e.key);
    ELSIF row_ IS NOT NULL AND about ? 'exclude' THEN
        RETURN row_ - ARRAY(SELECT jsonb_array_elements_text(about->'exclude'));
    END IF;
    RETURN row_;
END $pillion$;

CREATE OR REPLACE FUNCTION {schema}.masked(about jsonb, row_ jsonb) RETURNS jsonb LANGUAGE plpgsql AS $pillion$
BEGIN
    IF row_ IS NOT NULL AND about ? 'mask' THEN
        RETURN row_ || (
            SELECT coalesce(jsonb_object_agg(name, '***'), '{{}}') FROM jsonb_array_elements_text(about->'mask') AS name WHERE row_ ? name
        );
    END IF;
    RETURN row_;
END $pillion$;

-- AFTER … FOR EACH ROW. No column is named here: the service can drop and alter its columns.
CREATE OR REPLACE FUNCTION {schema}.capture() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM {schema}.emit(TG_ARGV[0]::jsonb, 'insert', NULL, to_jsonb(NEW));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM {schema}.emit(TG_ARGV[0]::jsonb, 'delete', to_jsonb(OLD), NULL);
    ELSIF OLD OPERATOR(pg_catalog.*<>) NEW THEN
        PERFORM {schema}.emit(TG_ARGV[0]::jsonb, 'update', to_jsonb(OLD), to_jsonb(NEW));
    END IF;
    RETURN NULL;
END $pillion$;

-- The same, but what goes wrong is recorded and the service's write goes on. The handler costs a transaction id a row.
CREATE OR REPLACE FUNCTION {schema}.capture_or_record() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    hidden boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM {schema}.emit(TG_ARGV[0]::jsonb, 'insert', NULL, to_jsonb(NEW));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM {schema}.emit(TG_ARGV[0]::jsonb, 'delete', to_jsonb(OLD), NULL);
    ELSIF OLD OPERATOR(pg_catalog.*<>) NEW THEN
        PERFORM {schema}.emit(TG_ARGV[0]::jsonb, 'update', to_jsonb(OLD), to_jsonb(NEW));
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    -- What was to be hidden stays hidden: then only the error is kept.
    hidden := TG_ARGV[0]::jsonb ?| ARRAY['include', 'exclude', 'mask'];
    INSERT INTO {schema}.outbox_failed (origin, operation, error, before, after) VALUES (
        TG_ARGV[0]::jsonb->>'origin', lower(TG_OP), SQLERRM,
        CASE WHEN NOT hidden AND TG_OP <> 'INSERT' THEN OLD::text END,
        CASE WHEN NOT hidden AND TG_OP <> 'DELETE' THEN NEW::text END
    );
    RETURN NULL;
END $pillion$;

-- AFTER TRUNCATE: one event without a key, in no order with the others.
CREATE OR REPLACE FUNCTION {schema}.truncated() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    about jsonb := TG_ARGV[0]::jsonb;
BEGIN
    PERFORM {schema}.emit(about || '{{"key": []}}', 'truncate', NULL, NULL);
    RETURN NULL;
END $pillion$;

-- BEFORE … FOR EACH STATEMENT: the trace context from a sqlcommenter comment at the statement's end, once a statement
-- (the text may be long, and a row trigger would read it for every row).
CREATE OR REPLACE FUNCTION {schema}.trace() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    note text := substring(right(coalesce(current_query(), ''), 2048) FROM '/\*([^*]+)\*/[\s;]*$');
    parent text := substring(note FROM 'traceparent=''([0-9a-f]{{2}}-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}})''');
BEGIN
    PERFORM set_config('pillion.trace', CASE WHEN parent IS NULL THEN '' ELSE concat_ws(' ',
        extract(epoch FROM statement_timestamp()), parent, substring(note FROM 'tracestate=''([!-&(-~]+)''')
    ) END, true);
    RETURN NULL;
END $pillion$;
