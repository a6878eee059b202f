"""The versions of a service in a few words, for people."""

from datetime import UTC, datetime

from agent.model.version import Version
from agent.versions.resolve import Table


def words(table: Table) -> str:
    """``v1 (deprecated, until 2027-01-01), v2.1 (default), v2.3``."""
    return ", ".join(_of(version, table) for version in table.versions)


def _of(version: Version, table: Table) -> str:
    said = ["default"] if version == table.default else []
    deprecation = table.deprecated.get(version)
    if deprecation is not None:
        said.append("deprecated")
        if deprecation.sunset is not None:
            said.append(f"until {_day(deprecation.sunset)}")
    return f"{version} ({', '.join(said)})" if said else str(version)


def _day(second: int) -> str:
    try:
        return datetime.fromtimestamp(second, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "an unknown day"
