"""docs/versions.md: the table of what a request says and what it gets."""

import re

import pytest

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Offer, Version
from agent.proxy import assets
from agent.proxy.planner import plan
from tests.unit.docs.blocks import ROOT
from tests.unit.proxy.planner import sample
from tests.unit.proxy.planner.routing import Request, outcome

SERVES = tuple(map(Version.parse, ("v1", "v2.1", "v2.3")))
TABLE = (
    (ROOT / "docs" / "versions.md")
    .read_text(encoding="utf-8")
    .split("| the request says |")[1]
    .split("\n\n")[0]
)
ROWS = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in TABLE.splitlines()[2:]]


def said(row: str, header: str) -> str:
    """The value that a row gives a header; empty for none."""
    found = re.search(f"`{header}: ([^`]+)`", row)
    return found[1] if found else ""


@pytest.mark.parametrize(("row", "gets"), ROWS)
def test_a_row_of_the_table_is_true(row: str, gets: str) -> None:
    """By the planned routes, for the service of the example."""
    default = None if "no `default`" in row else Version(2, 1)
    instance = Instance("i", Address("10.0.0.1", 1), Offer(SERVES, default))
    pin = re.search(r"pins (\S+)$", row)
    over = {"upstreams": {"*": {}, **({"orders": {"version": pin[1]}} if pin else {})}}
    snapshot = plan(sample.settings(over), Catalog({"orders": Service("orders", (instance,))}), assets.load())
    path = re.search(r"`GET ([^`]+)`", row)
    named = {"x-api-version": said(row, "X-API-Version"), "accept": said(row, "Accept")}
    request = Request(path[1] if path else "/items", {name: value for name, value in named.items() if value})
    got = outcome(snapshot.routes["outbound"]["virtual_hosts"][0]["routes"], request)
    assert (got.version or str(got.status)) == gets


def test_the_table_is_found() -> None:
    assert len(ROWS) > 15
