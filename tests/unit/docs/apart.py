"""The commands of the pages that no test can type as they stand, and what shows instead that they work."""

import fnmatch
from dataclasses import dataclass

from tests.unit.docs.typed import Typed


@dataclass(frozen=True)
class Apart:
    """Commands that are not run from the page."""

    pages: str
    """A pattern of paths from the root of the checkout."""
    words: tuple[str, ...]
    """With which of these a command begins; empty: any command of these pages."""
    why: str
    shown_by: str
    """The folder or file that does the same where it can be done."""

    def holds(self, typed: Typed) -> bool:
        """Whether it is one of these."""
        begins = any(typed.text == word or typed.text.startswith(f"{word} ") for word in self.words)
        return fnmatch.fnmatch(typed.page, self.pages) and (begins or not self.words)


APART = (
    Apart("docs/kubernetes/*", (), "they change a cluster", "tests/kubernetes"),
    Apart("docs/injection.md", ("kubectl",), "they change a cluster", "tests/kubernetes/test_offline.py"),
    Apart(
        "docs/doctor.md",
        ("pillion doctor --kubernetes",),
        "it asks a cluster",
        "tests/kubernetes/test_doctor.py",
    ),
    Apart("docs/discovery.md", ("dig",), "few machines have it", "tests/acceptance/test_discovery.py"),
    Apart("docs/vm/*", (), "they install into the system, as root, for systemd", "tests/integration/systemd"),
    Apart(
        "docs/outbox-restore.md",
        ("psql", "pg_restore"),
        "they put a lost database in the place of the one in use",
        "tests/integration/outbox/test_restore.py",
    ),
    Apart(
        "docs/inbox.md",
        ("pillion inbox replay", "pillion inbox discard"),
        "the demo's service refuses no message, so there is no dead letter",
        "tests/integration/outbox/inbox/test_command.py",
    ),
    Apart("*", ("make",), "they run for minutes, or are what this test is run by", "Makefile"),
    Apart(
        "*",
        ("python3 -m venv", "pip install", "~/pillion/bin/pip install", "export PATH=~/pillion/bin:$PATH"),
        "they make the environment in which all others run",
        "tests/integration/packaging",
    ),
)
"""First come, first served."""


def entry(typed: Typed) -> Apart | None:
    """Why it is not run; None where it is."""
    return next((one for one in APART if one.holds(typed)), None)
