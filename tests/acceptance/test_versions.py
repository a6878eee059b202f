"""Versions that come and go with their instances: whole agents on a real Consul, under load."""

import contextlib
import json
from typing import Any

from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.waiting import until


async def test_a_version_leaves_and_returns_with_its_instance_and_the_others_notice_nothing(
    mesh: Mesh,
) -> None:
    """v1 stays by another instance: no request for it fails. v2 is refused while nobody serves it, then served."""
    offers: dict[str, list[str]] = {"stays": ["v1"], "goes": ["v1", "v2"]}
    stays, goes = (
        mesh.service("orders", label=label, settings={"versions": {"serves": serves, "strip_prefix": True}})
        for label, serves in offers.items()
    )
    gateway = mesh.gateway()
    for instance in (stays, goes, gateway):
        await instance.ready()

    def asked(path: str) -> tuple[int, Any]:
        status, body = gateway.get(path, gateway.gateway)
        with contextlib.suppress(ValueError):
            return status, json.loads(body)
        return status, body

    def latest() -> str:
        return str(gateway.json("/api/versions", gateway.gateway)["services"]["orders"]["latest"])

    await until(lambda: asked("/orders/api/v2/")[0] == 200)
    async with load(f"http://127.0.0.1:{gateway.gateway}/orders/api/v1/") as record:
        await until(lambda: {"stays", "goes"} <= set(record.served_by), within=60)
        for _ in range(2):
            goes.terminate()
            await until(lambda: asked("/orders/api/v2/")[0] == 404, within=40, every=0.1)
            assert asked("/orders/api/v2/")[1]["available"] == ["v1"]
            await until(lambda: ended(goes), within=40, every=0.1)
            await goes.start().ready()
            await until(lambda: asked("/orders/api/v2/")[0] == 200, every=0.1)
            await until(lambda: latest() == "v2")
    assert record.failures == []
    assert record.sent > 200
    assert goes.status()["versions"]["this instance"] == "v1, v2"


def ended(instance: Instance) -> bool:
    """Whether its process is gone."""
    return instance.process is not None and instance.process.poll() is not None
