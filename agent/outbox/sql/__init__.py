"""The SQL that Pillion brings into the service's database, as files, and how it is made: ``plan`` decides
what is needed.

Everything here is text for PostgreSQL 14 and later. Names come from settings and are always quoted.
"""

from importlib import resources

from agent.outbox.names import identifier

VERSION = 4
"""Of what ``schema.sql``, ``capture.sql`` and the files of ``TABLES`` make; it is kept in the database."""

TABLES = ("held.sql",)
"""Files of tables beside those of ``schema.sql``; each leaves alone what is there already."""

TRIGGER_FUNCTIONS = ("capture", "capture_or_record", "truncated", "trace")

NUMBERS = "number_"
"""How the functions begin that number the rows of one table at the commit; ``commit`` makes them."""

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
"""What a trigger function runs with: its owner's rights, and nobody's objects before PostgreSQL's own."""


def rendered(file: str, schema: str) -> str:
    """A file of this folder with the schema's name put in."""
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    quoted = identifier(schema)
    if "'" in quoted or "\\" in quoted:
        raise ValueError(f"{schema!r} can't be the schema's name")
    return text.format(schema=quoted, definer=DEFINER)
