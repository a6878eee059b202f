"""The two ways in which an instance is written down in Consul."""

import asyncio
import math
from typing import Any

import msgspec
import pytest

from agent.config.settings import Settings
from agent.model.registration import Verdict
from agent.registry import definition
from agent.registry.by_agent import LOOKS, RARELY, AgentLedger
from agent.registry.by_catalog import CatalogLedger
from agent.runtime.errors import Permanent, PillionError, Transient

PASSING, CRITICAL = Verdict(True, "well"), Verdict(False, "unwell")
DOCUMENT = {
    "service": {"name": "orders"},
    "registry": {"mode": "catalog"},
    "kubernetes": {"pod_uid": "u1", "node": "n1", "cluster": "k1", "namespace": "shop"},
}
SETTINGS = msgspec.convert(DOCUMENT, Settings)
DESIRED = definition.build(SETTINGS, "h", "10.0.0.5")


class Consul:
    """Consul as the ledgers ask it, in memory."""

    where = "http://consul:8500"
    credentials = 0

    def __init__(self) -> None:
        self.names = ["a"]
        self.server = False
        self.peers = 1
        self.asked = 0
        self.held = False
        self.registered: list[dict[str, Any]] = []
        self.entered: list[dict[str, Any]] = []
        self.struck: list[tuple[str, str]] = []
        self.rows: list[dict[str, Any]] = []
        self.known: dict[str, Any] | None = None
        self.error: Transient | None = None
        self.refusal: PillionError | None = None
        self.local: dict[str, Any] | None = None
        self.catalogue: bool | PillionError | None = True
        """Whether the servers list the instance; None: they do not answer."""
        self.looks = 0

    async def authenticate(self) -> None:
        """The token is there."""

    async def agent_name(self) -> tuple[str, bool]:
        self.asked += 1
        return self.names[self.asked % len(self.names)], self.server

    async def servers(self) -> int:
        return self.peers

    async def service(self, instance: str) -> dict[str, Any] | None:
        return self.local

    async def listed(self, service: str, instance: str) -> bool:
        assert (service, instance) == ("orders", "orders-u1")
        self.looks += 1
        if isinstance(self.catalogue, PillionError):
            raise self.catalogue
        if self.catalogue is None:
            await asyncio.Event().wait()
        return bool(self.catalogue)

    def hold(self, held: bool) -> None:
        self.held = held

    async def register(self, body: dict[str, Any]) -> None:
        if self.refusal:
            raise self.refusal
        self.registered.append(body)

    async def deregister(self, instance: str) -> None:
        if self.refusal:
            raise self.refusal

    async def local_address(self) -> str:
        return "127.0.0.1"

    async def entries(self, service: str, instance: str) -> list[dict[str, Any]]:
        assert (service, instance) == ("orders", "orders-u1")
        return self.rows

    async def node(self, name: str) -> dict[str, Any] | None:
        assert name == "pillion-k1-n1"
        return self.known

    async def enter(self, entry: dict[str, Any]) -> None:
        if self.error:
            raise self.error
        self.entered.append(entry)

    async def strike(self, node: str, instance: str = "") -> None:
        self.struck.append((node, instance))


def by_agent(consul: Any, *, pinned: bool = True) -> AgentLedger:
    return AgentLedger(consul, SETTINGS.registry, pinned=pinned, clock=lambda: 0.0)


def by_catalog(consul: Any) -> CatalogLedger:
    return CatalogLedger(consul, SETTINGS.kubernetes)


def entry(status: str = "passing", output: str = "well", node: str = "pillion-k1-n1") -> dict[str, Any]:
    meta = {"pillion-node": "virtual", "pillion-cluster": "k1"}
    check = {"CheckID": "service:orders-u1", "Status": status, "Output": output}
    return {"Node": {"Node": node, "Meta": meta}, "Service": {"ID": "orders-u1"}, "Checks": [check]}


async def test_agents_in_turn_are_found_out_before_anything_is_written() -> None:
    consul = Consul()
    consul.names = ["a", "b"]
    with pytest.raises(Permanent, match=r"at several: give registry\.address .* or set registry\.mode"):
        await by_agent(consul).write(DESIRED, PASSING)
    assert consul.registered == []


async def test_a_single_agent_is_asked_several_times_and_then_written_to() -> None:
    consul = Consul()
    await by_agent(consul).write(DESIRED, PASSING)
    assert (len(consul.registered), consul.asked) == (1, LOOKS)


async def test_the_token_is_kept_for_as_long_as_consuls_agent_may_have_a_registration_with_it() -> None:
    consul = Consul()
    ledger = by_agent(consul)
    consul.refusal = Permanent("no right")
    with pytest.raises(Permanent):
        await ledger.write(DESIRED, PASSING)
    assert not consul.held
    consul.refusal = Transient("away")
    with pytest.raises(Transient):
        await ledger.write(DESIRED, PASSING)
    assert consul.held, "it may have arrived"
    consul.refusal = None
    await ledger.write(DESIRED, PASSING)
    consul.refusal = Permanent("no right")
    for asked in (ledger.write(DESIRED, PASSING), ledger.remove(DESIRED.instance)):
        with pytest.raises(Permanent):
            await asked
        assert consul.held
    consul.refusal = None
    await ledger.remove(DESIRED.instance)
    assert not consul.held


@pytest.mark.parametrize(("peers", "refused"), [(1, False), (3, True)])
async def test_a_server_is_refused_where_it_is_one_of_several(peers: int, refused: bool) -> None:
    consul = Consul()
    consul.server, consul.peers = True, peers
    if refused:
        with pytest.raises(Permanent, match="is a, one of 3 servers"):
            await by_agent(consul).look(DESIRED)
    else:
        assert await by_agent(consul).look(DESIRED) is None


async def test_outside_a_pod_nobody_asks_who_answers() -> None:
    consul = Consul()
    consul.names, consul.server, consul.peers = ["a", "b"], True, 3
    await by_agent(consul, pinned=False).write(DESIRED, PASSING)
    assert (len(consul.registered), consul.asked) == (1, 0)


async def test_what_only_the_agent_has_is_written_once_more_in_a_way_that_it_tells_its_servers() -> None:
    """Else they would learn of it with the agent's next full synchronisation, in one to two minutes."""
    consul = Consul()
    consul.local, consul.catalogue = {"ID": "orders-u1"}, False
    ledger = by_agent(consul)
    assert await ledger.look(DESIRED) is None
    await ledger.write(DESIRED, PASSING)
    consul.catalogue = True
    assert await ledger.look(DESIRED) == {"ID": "orders-u1"}
    await ledger.write(DESIRED, PASSING)
    told, again = (body["Check"] for body in consul.registered)
    assert told["Notes"].startswith("registered 20")
    assert "Notes" not in again


async def test_what_no_write_brings_to_the_servers_is_written_ever_more_rarely() -> None:
    """A token that may not read nodes sees no instance, and need not be told that it sees less than there is."""
    consul = Consul()
    consul.local, consul.catalogue = {"ID": "orders-u1"}, False
    ledger = by_agent(consul)
    unlisted = [number for number in range(400) if await ledger.look(DESIRED) is None]
    assert unlisted == [0, 2, 5, 10, 19, 36, 69, 134, 199, 264, 329, 394]
    consul.catalogue = True
    assert [await ledger.look(DESIRED) for _ in range(RARELY)] == [consul.local] * RARELY
    consul.catalogue = False
    assert None in [await ledger.look(DESIRED) for _ in range(2)]


@pytest.mark.parametrize("silent", [Transient("no leader"), Permanent("403"), None])
async def test_servers_that_do_not_say_what_they_list_count_as_listing_it(
    silent: PillionError | None,
) -> None:
    consul = Consul()
    consul.local, consul.catalogue = {"ID": "orders-u1"}, silent
    assert await by_agent(consul).look(DESIRED) == {"ID": "orders-u1"}


async def test_servers_are_not_asked_for_what_the_agent_does_not_have() -> None:
    consul = Consul()
    assert await by_agent(consul).look(DESIRED) is None
    assert consul.looks == 0


async def test_a_new_instance_is_written_whole_on_a_node_that_is_marked() -> None:
    consul = Consul()
    ledger = by_catalog(consul)
    assert await ledger.look(DESIRED) is None
    await ledger.write(DESIRED, CRITICAL)
    (written,) = consul.entered
    assert written["Node"] == "pillion-k1-n1"
    assert written["NodeMeta"] == {"pillion-node": "virtual", "pillion-cluster": "k1"}
    assert written["SkipNodeUpdate"] is True
    assert written["Service"]["Service"] == "orders"
    assert (written["Check"]["Status"], written["Check"]["Output"]) == ("critical", "unwell")
    assert "TTL" not in written["Check"]
    assert ledger.feeding == math.inf


async def test_a_repair_of_the_service_keeps_the_checks_state() -> None:
    consul = Consul()
    consul.rows = [entry("passing")]
    ledger = by_catalog(consul)
    await ledger.look(DESIRED)
    await ledger.write(DESIRED, CRITICAL)
    assert consul.entered[0]["Check"]["Status"] == "passing"


async def test_a_verdict_is_written_once_and_again_when_the_catalogue_has_another() -> None:
    consul = Consul()
    consul.rows = [entry("critical", "unwell")]
    ledger = by_catalog(consul)
    await ledger.look(DESIRED)
    for verdict in (CRITICAL, PASSING, PASSING):
        assert await ledger.tell(DESIRED, verdict)
    assert [one["Check"]["Status"] for one in consul.entered] == ["passing"]
    await ledger.look(DESIRED)
    assert await ledger.tell(DESIRED, PASSING)
    assert [one["Check"]["Status"] for one in consul.entered] == ["passing", "passing"]


async def test_a_check_of_a_service_that_is_gone_is_unknown_and_other_failures_pass_through() -> None:
    consul = Consul()
    consul.rows = [entry("critical")]
    ledger = by_catalog(consul)
    await ledger.look(DESIRED)
    consul.error = Transient("failed with 500: Unknown service ID 'orders-u1' for check ID 'c'")
    assert not await ledger.tell(DESIRED, PASSING)
    assert not await ledger.tell(DESIRED, PASSING)
    await ledger.look(DESIRED)
    consul.error = Transient("failed with 500: no leader")
    with pytest.raises(Transient, match="no leader"):
        await ledger.tell(DESIRED, PASSING)


async def test_an_entry_on_another_node_is_not_this_instance() -> None:
    consul = Consul()
    consul.rows = [entry(node="vm")]
    assert await by_catalog(consul).look(DESIRED) is None


@pytest.mark.parametrize("meta", [None, {}, {"pillion-node": "virtual", "pillion-cluster": "k2"}])
async def test_a_node_of_somebody_else_is_not_written_to(meta: Any) -> None:
    consul = Consul()
    consul.known = {"Node": "pillion-k1-n1", "Meta": meta}
    with pytest.raises(Permanent, match=r"give kubernetes\.cluster another name"):
        await by_catalog(consul).write(DESIRED, PASSING)
    assert consul.entered == []


async def test_leaving_takes_the_instance_and_not_the_node() -> None:
    consul = Consul()
    await by_catalog(consul).remove("orders-u1")
    assert consul.struck == [("pillion-k1-n1", "orders-u1")]


def test_catalogue_mode_without_a_pods_identity_is_refused() -> None:
    lonely = msgspec.convert({**DOCUMENT, "kubernetes": {"node": "n1"}}, Settings)
    assert [problem.key for problem in definition.problems(lonely)] == ["registry.mode"]
    assert definition.problems(SETTINGS) == []
