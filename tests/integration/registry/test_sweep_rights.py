"""The sweep with a token that sees a part: real Consul leaves out silently what a token may not read."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.registry import client
from agent.registry.metrics import Sweeps
from agent.registry.sweep import Sweep
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.acl import AclConsul
from tests.integration.registry.side import Side, settings_of, sides
from tests.waiting import until


@pytest.fixture(scope="module")
def consul(server_folder: Path) -> Iterator[AclConsul]:
    server = AclConsul(server_folder / "rights-consul")
    server.start()
    yield server
    server.stop()


def pod(consul: AclConsul, token: str, cluster: str) -> Settings:
    identity = {"pod_uid": str(uuid.uuid4()), "node": "n1", "cluster": cluster}
    registry = {"mode": "catalog", "token": token}
    return settings_of(consul.url, f"s{uuid.uuid4().hex[:12]}", registry=registry, kubernetes=identity)


class Living:
    """The pods of the cluster."""

    def __init__(self, *uids: str) -> None:
        self.uids = frozenset({"me", *uids})

    async def living(self) -> frozenset[str]:
        return self.uids


@pytest.mark.parametrize(
    "rules",
    [
        'node_prefix "pillion-" { policy = "write" }',
        'node_prefix "pillion-" { policy = "write" }\nservice_prefix "other" { policy = "write" }',
    ],
)
async def test_a_node_whose_services_the_token_may_not_see_is_left_alone_and_that_is_said(
    consul: AclConsul, rules: str
) -> None:
    cluster = f"c{uuid.uuid4().hex[:8]}"
    made = pod(consul, consul.management, cluster)
    side = Side(made)
    blind = pod(consul, consul.granted(rules), cluster)
    board = Board(lambda: 0.0)
    async with sides(side), client.connect(blind.registry) as asked:
        await side.start()
        await until(lambda: consul.status(made.service.name) == ["passing"])
        sweep = Sweep(
            asked,
            Living(made.kubernetes.pod_uid),
            Latest(True),
            cluster=cluster,
            own="me",
            health=board.of("sweep"),
            metrics=Sweeps(CollectorRegistry()),
        )
        for _ in range(4):
            await sweep.turn()
        assert consul.status(made.service.name) == ["passing"]
    report = board.reports["sweep"]
    assert "sees only a part of Consul's catalogue" in report.detail
