"""Findings about the outbox and the inbox."""

from agent.doctor.catalog.declare import Entry, Part

OUTBOX = Part(
    "The outbox",
    "Where the settings have one: its database with the relay's own role and way, and its broker as the relay opens "
    "it. No row of yours is read, nothing is sent.",
    (
        Entry(
            "outbox.database",
            "the server",
            "no connection; a standby; older than 14; the driver is not installed",
            "",
            "start it, or mend `outbox.database(_file)`",
        ),
        Entry(
            "outbox.pooler",
            "two connections, at once and one within a transaction, and the settings that are in force",
            "a pooler gives each transaction another server process (PgBouncer's `pool_mode=transaction`), drops "
            "settings, or refuses them",
            "",
            "lead `outbox.database` to PostgreSQL itself",
        ),
        Entry(
            "outbox.clock",
            "this host's clock and the database's",
            "",
            "more than 2 s apart",
            "synchronise both",
        ),
        Entry(
            "outbox.transactions",
            "open and prepared transactions of the database",
            "",
            "open for more than 60 s, with who and since when; without `pg_read_all_stats` the time of other roles' "
            "is not to be seen, and one during which 100,000 others began is told",
            "see what it waits for, or end it",
        ),
        Entry(
            "outbox.rights",
            "what `pillion outbox sql --role` grants",
            "something of it is lacking, or a table is missing",
            "the role is a superuser",
            "grant what is named",
        ),
        Entry(
            "outbox.prepared",
            "each feed: schema, record, buckets, columns",
            "not prepared; restored and not adopted; made by a later Pillion",
            "made by an earlier one",
            "`pillion outbox init`, `adopt`",
        ),
        Entry(
            "outbox.sequence",
            "what numbers the rows of each feed",
            "no sequence; a cache, a step or a cycle, by which numbers are given out in another order than rows are "
            "written",
            "",
            "alter it as is told",
        ),
        Entry(
            "outbox.index",
            "the indexes of each feed, and PostgreSQL's plan of a poll that is up to date",
            "an index is missing or invalid",
            "the plan reads the whole of a large table all the same",
            "`pillion outbox init`",
        ),
        Entry(
            "outbox.triggers",
            "the triggers of each table in `changes`, and those of `order: commit`",
            "missing or disabled, also on one partition: changes are no events",
            "of other settings or another version",
            "`pillion outbox init`",
        ),
        Entry(
            "outbox.functions",
            "whom the trigger functions belong to and how they run",
            "a superuser's rights; altered; their owner lacks a right",
            "",
            "`pillion outbox init`",
        ),
        Entry(
            "outbox.broker",
            "a link as the relay has it, and what is published to",
            "no answer, a refusal of user or password, a stream, topic or exchange that is not there and not to be "
            "made, a driver that is not installed, a scheme that is not known",
            "the broker may lose what it acknowledges, as far as it tells",
            "start it, create what is missing, or mend `outbox.broker.url(_file)`",
        ),
    ),
)

INBOX = Part(
    "The inbox",
    "Where the settings have topics. The broker is only knocked at: reading there would take messages from an agent.",
    (
        Entry(
            "inbox.database",
            "the inbox's tables",
            "no connection, they are missing, or the driver is not installed",
            "",
            "`pillion inbox init`, `inbox.database(_file)`",
        ),
        Entry(
            "inbox.dead",
            "dead letters",
            "",
            "some wait for a person",
            "`pillion inbox dead`, `replay`, `discard`",
        ),
        Entry(
            "inbox.broker",
            "the broker's port",
            "none of its hosts answers, a driver that is not installed, a scheme that is not known",
            "",
            "start it, or mend its URL",
        ),
    ),
)
