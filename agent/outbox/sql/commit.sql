-- The body of the trigger function of one outbox table, whose rows are numbered anew as their transaction commits: AFTER
-- INSERT, for each row, deferred. {table} is the table as SQL, {name} the same as a text.
-- The number that the row was written with is its place among the rows of its transaction, and what it keeps where the
-- trigger is off. No lock is taken: whoever waited for a lock that this transaction holds gets it when this one has
-- committed, and so takes its numbers later.
DECLARE
    pillion_root regclass;
    pillion_part regclass := TG_RELID;
    pillion_number bigint;
    pillion_found boolean;
BEGIN
    -- A row is found by its place: to look for it in an index would be a conflict with whoever writes there, for a service
    -- whose transactions are SERIALIZABLE. Only where its own transaction wrote it again, or deleted it, its number helps.
    -- Said in full it is planned once a session, which is most of what it costs.
    IF to_regclass({name}) = TG_RELID THEN
        UPDATE {table} SET pillion_id = DEFAULT WHERE ctid = NEW.ctid AND xid = NEW.xid
        RETURNING pillion_id INTO pillion_number;
        IF NOT FOUND THEN
            UPDATE {table} SET pillion_id = DEFAULT WHERE xid = NEW.xid AND pillion_id = NEW.pillion_id
            RETURNING pillion_id INTO pillion_number;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
        END IF;
    ELSE
        -- A partition, or the table has another name by now. What may not be done to a partition that came since
        -- `pillion outbox init` may be done through its root.
        pillion_root := coalesce(pg_partition_root(TG_RELID), TG_RELID);
        IF NOT has_column_privilege(TG_RELID, 'pillion_id', 'UPDATE') THEN
            pillion_part := pillion_root;
        END IF;
        pillion_number := nextval(pg_get_serial_sequence(pillion_root::text, 'pillion_id'));
        EXECUTE format('UPDATE %s SET pillion_id = $1 WHERE ctid = $2 AND tableoid = $3 AND xid = $4 AND $1 IS NOT NULL '
            'RETURNING true', pillion_part)
            INTO pillion_found USING pillion_number, NEW.ctid, TG_RELID, NEW.xid;
        IF pillion_found IS NULL THEN
            EXECUTE format('UPDATE %s SET pillion_id = $1 WHERE xid = $2 AND pillion_id = $3 AND $1 IS NOT NULL',
                pillion_part) USING pillion_number, NEW.xid, NEW.pillion_id;
        END IF;
    END IF;
    IF pillion_number IS NULL THEN
        RAISE EXCEPTION 'pillion: nothing numbers the rows of % any more', TG_RELID::regclass
            USING HINT = 'Run `pillion outbox init` again.';
    END IF;
    RETURN NULL;
END
