-- Rows of an outbox table are numbered anew as their transaction commits. {schema} is the schema's quoted name.

-- AFTER INSERT … DEFERRABLE INITIALLY DEFERRED … FOR EACH ROW. The number that the row was written with is its place among
-- the rows of the transaction, and what it keeps where this trigger is off. No lock is taken: whoever waited for a lock that
-- this transaction holds gets it when this one has committed, and so takes its numbers later.
CREATE OR REPLACE FUNCTION {schema}.number_at_commit() RETURNS trigger LANGUAGE plpgsql {definer} AS $pillion$
DECLARE
    root regclass := coalesce(pg_partition_root(TG_RELID), TG_RELID);
    written regclass := TG_RELID;
    numbers text := pg_get_serial_sequence(root::text, 'pillion_id');
    found_ bigint;
BEGIN
    IF numbers IS NULL THEN
        RAISE EXCEPTION 'pillion: no sequence belongs to the column pillion_id of %', root
            USING HINT = 'Run `pillion outbox init` again.';
    END IF;
    -- What may not be done to a partition that came since `pillion outbox init` may be done through its root.
    IF NOT has_column_privilege(written, 'pillion_id', 'UPDATE') THEN
        written := root;
    END IF;
    -- By its place: to look for it in an index would be a conflict with whoever writes there, for a SERIALIZABLE service.
    EXECUTE format('UPDATE %s SET pillion_id = nextval($1) WHERE ctid = $2 AND tableoid = $3 AND xid = $4', written)
        USING numbers::regclass, NEW.ctid, TG_RELID, NEW.xid;
    GET DIAGNOSTICS found_ = ROW_COUNT;
    IF found_ = 0 THEN
        -- Its own transaction wrote it again since, or deleted it.
        EXECUTE format('UPDATE %s SET pillion_id = nextval($1) WHERE xid = $2 AND pillion_id = $3', written)
            USING numbers::regclass, NEW.xid, NEW.pillion_id;
    END IF;
    RETURN NULL;
END $pillion$;
