"""The Consul token of two services and a gateway is replaced under load."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.acl import AclConsul
from tests.integration.registry.side import Recorder
from tests.waiting import until

NAMES = ("orders", "storefront")
TTL = 8
"""Seconds; an agent that a busy machine stops for five is still in time to feed its check."""


class Tokens:
    """A token for each instance, in a file of its own."""

    def __init__(self, consul: AclConsul, folder: Path) -> None:
        self._consul = consul
        self._folder = folder
        self._former: dict[str, str] = {}

    def give(self, name: str) -> dict[str, Any]:
        """The settings that name the instance's file, with a first token in it."""
        self.write(name)
        return {"token_file": str(self._file(name)), "ttl": TTL}

    def write(self, name: str) -> None:
        accessor, secret = self._consul.grant()
        beside = self._file(name).with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_text(secret)
        beside.replace(self._file(name))
        self._former[name] = accessor

    def replace_all(self) -> None:
        """A new token in each file, and the former ones deleted at once."""
        former = dict(self._former)
        for name in former:
            self.write(name)
        for accessor in former.values():
            self._consul.revoke(accessor)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.token"


@pytest.fixture
def acl_consul(tmp_path: Path) -> Iterator[AclConsul]:
    server = AclConsul(tmp_path / "consul")
    server.start()
    server.prepare()
    yield server
    server.stop()


@pytest.fixture
def acl_mesh(short_folder: Path, acl_consul: AclConsul) -> Iterator[Mesh]:
    mesh = Mesh(short_folder, acl_consul)
    yield mesh
    mesh.close()


async def test_tokens_are_replaced_under_load_and_no_request_fails(
    acl_mesh: Mesh, acl_consul: AclConsul, tmp_path: Path
) -> None:
    tokens = Tokens(acl_consul, tmp_path)
    orders, storefront = (
        acl_mesh.service(name, label=name, settings={"registry": tokens.give(name)}) for name in NAMES
    )
    gateway = acl_mesh.gateway({"registry": {"address": acl_consul.url, **tokens.give("gateway")}})
    for instance in (orders, storefront, gateway):
        await instance.ready()
    before = [instance.children() for instance in acl_mesh.instances]
    await until(lambda: storefront.call("orders") == 200, within=60)
    await until(lambda: gateway.get("/orders/", gateway.gateway)[0] == 200, within=60)
    inner = f"http://127.0.0.1:{storefront.outbound}/"
    outer = f"http://127.0.0.1:{gateway.gateway}/orders/"
    async with (
        load(inner, clients=2, pause=0.02, headers={"Host": "orders"}) as calls,
        load(outer, clients=2, pause=0.02) as entries,
        Recorder(lambda: [acl_consul.status(name) for name in NAMES]) as seen,
    ):
        for round_ in range(1, 4):
            tokens.replace_all()
            at, sent = time.monotonic(), (calls.sent, entries.sent)
            # Who was not registered anew would be critical after its TTL.
            await until(lambda at=at: time.monotonic() - at > TTL * 1.5, within=60)
            await until(lambda round_=round_: all(anew(one) >= round_ for one in (orders, storefront)))
            await until(lambda: working(orders, "registrar") and working(storefront, "registrar"))
            await until(lambda: working(gateway))
            assert calls.sent > sent[0] + 30
            assert entries.sent > sent[1] + 30
    assert (calls.failures, entries.failures) == ([], [])
    assert seen.seen == [[["passing"], ["passing"]]]
    assert [instance.children() for instance in acl_mesh.instances] == before
    # What changes afterwards is seen with the new tokens.
    orders.stop()
    await until(lambda: acl_consul.status("orders") == [])
    await until(lambda: storefront.call("orders") == 503)


def working(instance: Instance, *others: str) -> bool:
    """Whether these components of the agent say that all is well, beside those that every agent has."""
    components = instance.status().get("components", {})
    return {components.get(name, {}).get("state") for name in ("watcher", "secrets", *others)} == {"ok"}


def anew(instance: Instance) -> int:
    """How often the agent registered because of another token."""
    repaired = [line for line in instance.log.read_text().splitlines() if "registration.repaired" in line]
    return sum('"token"' in line for line in repaired)
