"""What every command of ``pillion outbox`` begins with: the settings and the database."""

from agent.config import sources
from agent.config.sections.outbox import Outbox
from agent.outbox.database import Database
from agent.outbox.feeds import feeds
from agent.outbox.sql.install import SESSION
from agent.runtime.errors import Misconfigured, Problem

SECTIONS = ("outbox", "service")


def database(settings: Outbox) -> Database:
    """The service's database, for a command that may wait."""
    return Database(lambda: settings.database, settings=SESSION)


def needed(resolved: sources.Resolved) -> Outbox:
    """The settings of the outbox; raises Misconfigured where they name no database or no table."""
    settings = resolved.settings.outbox
    problems = []
    if not settings.database:
        problems.append(Problem("outbox.database", "is not set", "postgresql://… or outbox.database_file"))
    if not feeds(settings):
        problems.append(Problem("outbox", "has neither tables nor changes", "at least one of them"))
    if problems:
        raise Misconfigured(problems)
    return settings
