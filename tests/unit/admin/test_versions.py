"""Versions in the status."""

from agent.admin.status import status
from agent.cli.status import tables
from agent.model.version import Offer, Version
from tests.unit.admin.examples import sources


async def test_the_status_says_the_versions_of_this_instance_and_of_others_in_few_words() -> None:
    found = await status(sources(offer=Offer((Version(2), Version(3)), Version(2))))
    assert found["versions"] == {"this instance": "v2 (default), v3", "stock": "v1, v2.1"}
    assert "Versions" in [
        column.header for table in tables(found) for column in getattr(table, "columns", ())
    ]


async def test_who_declares_no_version_is_not_named() -> None:
    assert set((await status(sources()))["versions"]) == {"stock"}
