"""Names of tables as an operator writes them, and their safe form in SQL."""

import re
from dataclasses import dataclass

_PART = r'(?:"(?:[^"\0]|"")+"|[^".\0]+)'
_NAME = re.compile(rf"(?:({_PART})\.)?({_PART})")
LONGEST = 63
"""Bytes of an identifier that PostgreSQL keeps; a longer one would be cut, and so name another table."""


@dataclass(frozen=True, order=True)
class Name:
    """A table by schema and name, both exactly as in the catalogue."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str) -> "Name":
        """Read ``NAME`` (in the schema public) or ``SCHEMA.NAME``; letters keep their case, a part with a
        dot stands in double quotes. Raises ValueError with a clause that says what is wrong.
        """
        match = _NAME.fullmatch(text)
        if match is None:
            raise ValueError(f"is {text!r}, not NAME or SCHEMA.NAME")
        name = cls(_plain(match[1] or "public"), _plain(match[2]))
        if any(len(part.encode()) > LONGEST for part in (name.schema, name.table)):
            raise ValueError(f"is {text!r}, longer than the {LONGEST} bytes of a PostgreSQL name")
        return name

    @property
    def sql(self) -> str:
        """The name as SQL, always quoted."""
        return f"{identifier(self.schema)}.{identifier(self.table)}"

    def __str__(self) -> str:
        return ".".join(
            identifier(part) if '"' in part or "." in part else part for part in (self.schema, self.table)
        )


def identifier(text: str) -> str:
    """An identifier in double quotes; raises ValueError for what can't be one."""
    if not text or "\0" in text:
        raise ValueError(f"{text!r} can't be a name in PostgreSQL")
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string constant that means the same whatever ``standard_conforming_strings`` says."""
    if "\0" in text:
        raise ValueError("a string with a NUL byte can't be written in SQL")
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in quoted else quoted


def _plain(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
