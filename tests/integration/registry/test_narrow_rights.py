"""Registration by who may write its service and may not see it in the catalogue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.model.registration import Verdict
from agent.registry import client, definition
from agent.registry.by_agent import AgentLedger
from tests.acl import AclConsul
from tests.integration.registry.side import settings_of
from tests.waiting import until

WELL = Verdict(True, "well")
NARROW = 'service_prefix "" { policy = "write" }'
"""No right to read nodes: the catalogue leaves out each instance."""
LONG = 600.0
"""Seconds of a TTL that nobody feeds."""
NOBODY = "00000000-0000-0000-0000-000000000002"
"""Consul's id of the token of who has none."""


@pytest.fixture(scope="module")
def guarded(server_folder: Path) -> Iterator[AclConsul]:
    server = AclConsul(server_folder / "narrow-consul")
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("named", "again"), [(True, []), (False, [0, 2, 5, 10])], ids=["with a token", "without one"]
)
async def test_an_instance_that_it_may_not_see_is_not_registered_again_and_again(
    guarded: AclConsul, named: bool, again: list[int]
) -> None:
    """Who has no token is not told that something was left out, and tries ever more rarely."""
    name = "orders" if named else "open-orders"
    if named:
        settings = settings_of(guarded.url, name, registry={"ttl": LONG, "token": guarded.granted(NARROW)})
    else:
        policy = guarded.ask("/v1/acl/policy", {"Name": "of-nobody", "Rules": NARROW}, "PUT")
        guarded.ask(f"/v1/acl/token/{NOBODY}", {"Policies": [{"ID": policy["ID"]}]}, "PUT")
        settings = settings_of(guarded.url, name, registry={"ttl": LONG})
    desired = definition.build(settings, "host", "127.0.0.1")
    async with client.connect(settings.registry) as consul:
        ledger = AgentLedger(consul, settings.registry, clock=lambda: 0.0)
        await ledger.write(desired, WELL)
        looks = range(16)
        assert [number for number in looks if await ledger.look(desired) is None] == again
    await until(lambda: guarded.status(name) == ["passing"])
