"""Outbox tables that the service writes: what they need so that they can be read in order. Pure."""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

from agent.config.sections.outbox import Outbox
from agent.outbox.feeds import Feed, missing
from agent.outbox.names import identifier, literal
from agent.outbox.shape import ADDED, order
from agent.outbox.sql.commit import commit_steps
from agent.outbox.sql.facts import Facts, TableFacts
from agent.outbox.sql.partitioned import index_steps
from agent.outbox.sql.steps import NOTHING_SEEN, Existing, Step, made, opening, record
from agent.runtime.errors import Problem

FIRST = 2**40
"""Where the added sequence starts: rows from before have the numbers below it, and so come first."""

BATCH = 5000
"""Rows that are numbered in one transaction."""


def table_steps(
    feed: Feed, settings: Outbox, facts: Facts, existing: Existing | None, problems: list[Problem]
) -> list[Step]:
    """What an outbox table still needs; what is wrong with it goes to ``problems``."""
    table = facts.tables.get(feed.table)
    wrong = _unusable(feed, table)
    if wrong or table is None:
        problems.append(Problem("outbox.tables", f"names {feed.name}, which {wrong}"))
        return []
    known = facts.feeds.get(feed.name)
    if known is None and table.has_rows and existing is None:
        wrong = f"names {feed.name}, which has rows: say what becomes of them"
        problems.append(Problem("outbox.tables", wrong, "--existing publish or --existing ignore"))
        return []
    number = order(feed, table.columns)
    if known is not None and known.open and number not in table.columns and feed.by_commit:
        wrong = (
            f"wants {feed.name} in order of commit, but it is read by its own {feed.columns['id']} since long"
        )
        fix = "let the relay catch up, run what `pillion outbox sql --remove` prints, and init with --existing ignore"
        problems.append(Problem("outbox.tables", wrong, fix))
        return []
    if known is not None and known.open and number not in table.columns:
        wrong = f"names {feed.name}, whose {feed.columns['id']} is not filled by its sequence any more"
        problems.append(Problem("outbox.tables", wrong, "the column as it was when reading started"))
        return []
    said = known.existing if known is not None else existing if table.has_rows and existing else "none"
    steps = []
    if "xid" not in table.columns or number not in table.columns:
        steps.append(_alter(feed, settings, table, number, said, fresh=known is None))
    elif known is None:
        base = "pg_current_snapshot()" if said == "ignore" else NOTHING_SEEN
        steps.append(Step(f"note where reading {feed.name} starts", record(feed, settings, said, base)))
    opened = known is not None and known.open
    if number == ADDED and said == "publish" and not opened:
        parts = [each.name for each in table.partitions if each.leaf] if table.kind == "p" else [feed.table]
        steps += [
            Step(f"number the rows of {part}", _numbering(feed.table.sql, part.sql), alone=True)
            for part in parts
        ]
    steps += _indexes(feed, table, number)
    steps += commit_steps(feed, settings, facts, table, problems)
    if not opened:
        steps.append(Step(f"start reading {feed.name}", opening(feed, settings)))
    return steps


def _unusable(feed: Feed, table: TableFacts | None) -> str:
    if table is None:
        return "does not exist, or this role may not see it"
    if wrong := _no_table(table):
        return wrong
    lacking = missing(feed, table.columns)
    if lacking:
        return f"has no column {', '.join(lacking)}: name the right ones in its columns"
    if "xid" in table.columns and table.columns["xid"].type != "xid8":
        there = table.columns["xid"].type
        return f"has a column xid of the type {there}, where Pillion needs one of the type xid8"
    return _unordered(feed, table)


def _no_table(table: TableFacts) -> str:
    if table.kind not in ("r", "p"):
        return "is no table"
    if table.partition:
        return "is a partition: name the partitioned table"
    foreign = [str(each.name) for each in table.partitions if each.kind not in ("r", "p")]
    return f"has a partition in another database: {', '.join(foreign)}" if foreign else ""


def _unordered(feed: Feed, table: TableFacts) -> str:
    if "xid" in table.columns and not table.columns["xid"].written:
        # A row without its transaction's number would never be read.
        fix = f"ALTER TABLE {feed.table.sql} ALTER COLUMN xid SET DEFAULT pg_current_xact_id()"
        return f"has a column xid that need not hold the row's transaction: run {fix}, ALTER COLUMN xid SET NOT NULL"
    numbering = table.sequences.get(order(feed, table.columns))
    # With a step above 1 it is the service that gives out the numbers in between, in what order it likes.
    if numbering is not None and (numbering.cache != 1 or numbering.step != 1 or numbering.cycle):
        fix = f"ALTER SEQUENCE {numbering.name} CACHE 1 INCREMENT BY 1 NO CYCLE"
        return f"is not numbered in order: run {fix} first"
    return ""


def _alter(feed: Feed, settings: Outbox, table: TableFacts, number: str, said: str, *, fresh: bool) -> Step:
    name = feed.table.sql
    lines = [f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE;"]
    if fresh and said == "none":
        reason = literal(f"{feed.name} has rows by now: say --existing publish or --existing ignore")
        check = f"IF EXISTS (SELECT FROM {name}) THEN RAISE EXCEPTION USING MESSAGE = {reason}; END IF;"
        lines.append(f"DO {literal(f'BEGIN {check} END')};")
    if "xid" not in table.columns:
        lines.append(
            f"ALTER TABLE {name} ADD COLUMN xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id();"
        )
    if number not in table.columns:
        lines += _number_column(feed, table)
    if fresh:
        base = _ALTERED if said == "ignore" and "xid" not in table.columns else ""
        base = base or ("pg_current_snapshot()" if said == "ignore" else NOTHING_SEEN)
        lines.append(record(feed, settings, said, base))
    return Step(f"add what reading needs to {feed.name}", "\n".join(lines), locks=feed.table)


def _number_column(feed: Feed, table: TableFacts) -> list[str]:
    name = feed.table.sql
    sequence = f"{identifier(feed.table.schema)}.{identifier(made(feed.table.table, 'seq'))}"
    # Who inserts into the table takes a number from its sequence, and needs the right to.
    grant = (
        "DECLARE who text; BEGIN FOR who IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' "
        "ELSE quote_ident(pg_get_userbyid(a.grantee)) END FROM ("
        f"SELECT (aclexplode(relacl)).* FROM pg_class WHERE oid = {literal(name)}::regclass UNION ALL "
        f"SELECT (aclexplode(attacl)).* FROM pg_attribute WHERE attrelid = {literal(name)}::regclass"
        ") a WHERE a.privilege_type = 'INSERT' LOOP "
        f"EXECUTE {literal(f'GRANT USAGE ON SEQUENCE {sequence} TO ')} || who; END LOOP; END"
    )
    return [
        f"CREATE SEQUENCE {sequence} AS bigint START {FIRST} CACHE 1;",
        f"ALTER TABLE {name} ADD COLUMN {ADDED} bigint;",
        f"ALTER TABLE {name} ALTER COLUMN {ADDED} SET DEFAULT nextval({literal(sequence)});",
        f"ALTER SEQUENCE {sequence} OWNER TO {identifier(table.owner)};",
        f"ALTER SEQUENCE {sequence} OWNED BY {name}.{ADDED};",
        f"DO {literal(grant)};",
    ]


# All rows that are there have this transaction's id now; everyone else who may still write has another. So
# this sees this transaction and what ended before it, and nothing that is still open.
_ALTERED = """(
    WITH now AS (SELECT pg_current_snapshot() AS s, pg_current_xact_id()::text::bigint AS x),
    open AS (
        SELECT i::text::bigint AS i FROM now, pg_snapshot_xip(s) AS i WHERE i::text::bigint <> x
        UNION SELECT g FROM now, generate_series(pg_snapshot_xmax(s)::text::bigint, x - 1) AS g
    )
    SELECT format('%s:%s:%s', coalesce((SELECT min(i) FROM open), top), top,
                  (SELECT string_agg(i::text, ',' ORDER BY i) FROM open))::pg_snapshot
    FROM (SELECT greatest(pg_snapshot_xmax(s)::text::bigint, x + 1) AS top FROM now) AS t
)"""


def _numbering(whole: str, name: str) -> str:
    body = f"""
#variable_conflict use_variable
DECLARE
    pillion_at tid := '(0,0)';
    pillion_next bigint := (SELECT coalesce(max({ADDED}), 0) FROM {whole} WHERE {ADDED} < {FIRST});
    pillion_done bigint;
    pillion_reached tid;
BEGIN
    LOOP
        WITH todo AS (
            SELECT ctid AS place, row_number() OVER (ORDER BY ctid) AS n
            FROM (
                SELECT ctid FROM {name} WHERE ctid > pillion_at AND {ADDED} IS NULL
                ORDER BY ctid LIMIT {BATCH}
            ) AS t
        ), numbered AS (
            UPDATE {name} AS o SET {ADDED} = pillion_next + todo.n FROM todo
            WHERE o.ctid = todo.place RETURNING todo.place AS place
        )
        SELECT count(*), max(place) INTO pillion_done, pillion_reached FROM todo;
        EXIT WHEN pillion_done = 0;
        pillion_next := pillion_next + pillion_done;
        pillion_at := pillion_reached;
        COMMIT;
    END LOOP;
    IF EXISTS (SELECT FROM {name} WHERE {ADDED} IS NULL) THEN
        RAISE EXCEPTION 'some rows were changed while they were numbered: run this again';
    END IF;
END"""
    return f"DO {literal(body)};"


def _indexes(feed: Feed, table: TableFacts, number: str) -> list[Step]:
    steps: list[Step] = []
    for columns, suffix in ((("xid", number), "xid"), ((number,), "id")):
        if any(
            each.valid and each.plain and each.columns[: len(columns)] == columns for each in table.indexes
        ):
            continue
        if table.kind == "p":
            steps += index_steps(feed.table, table, columns, suffix)
            continue
        name = made(feed.table.table, suffix)
        if any(each.name == name for each in table.indexes):
            left = f"DROP INDEX CONCURRENTLY {identifier(feed.table.schema)}.{identifier(name)};"
            steps.append(Step(f"drop what a failed build left of the index {name}", left, alone=True))
        listed = ", ".join(map(identifier, columns))
        sql = f"CREATE INDEX CONCURRENTLY {identifier(name)} ON {feed.table.sql} ({listed});"
        steps.append(Step(f"index {feed.name} by {' and '.join(columns)}", sql, alone=True))
    return steps
