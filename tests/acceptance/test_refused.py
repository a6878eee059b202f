"""What an operator sees while Envoy refuses a configuration, and what callers see: nothing."""

import json
import shutil
import subprocess
import sys

from agent.proxy import assets
from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.acceptance.test_configuration import put
from tests.waiting import until


def said(instance: Instance) -> str:
    """What `pillion status` prints."""
    argv = [sys.executable, "-m", "agent", "status", "--config", str(instance.file)]
    return subprocess.run(
        argv, capture_output=True, text=True, check=True, env={**instance.environ, "COLUMNS": "250"}
    ).stdout


async def test_a_refused_override_is_told_in_envoys_words_everywhere_and_no_request_fails(mesh: Mesh) -> None:
    """A fragment of the operator's own is fine until a live override makes Envoy look at it."""
    folder = mesh.folder / "assets"
    folder.mkdir()
    fragment = folder / "upstream_cluster.yaml"
    shutil.copy(assets.folder() / "upstream_cluster.yaml", fragment)
    with fragment.open("a") as file:
        file.write("\nring_hash_lb_config: {minimum_ring_size: 1024, maximum_ring_size: 2}\n")
    await mesh.service("inventory").ready()
    shop = await mesh.service("shop", settings={"proxy": {"assets_dir": str(folder)}}).ready()
    await shop.settled("inventory", "shop")
    good = shop.status()["envoy"]["in_force"]
    async with load(f"http://127.0.0.1:{shop.inbound}/call/inventory", clients=2) as record:
        put(mesh, "pillion/shop", json.dumps({"traffic": {"balance": "ring_hash", "hash_header": "x-user"}}))
        await until(lambda: shop.status()["envoy"]["refusals"])
        await until(lambda: shop.status()["envoy"]["in_force"] == good)
        printed = said(shop)
        assert "refused cluster" in printed
        assert "minimum_ring_size" in printed or "maximum_ring_size" in printed or "ring hash" in printed, (
            printed
        )
        await until(lambda: 'pillion_xds_refusals_total{type="cluster"}' in shop.get("/metrics")[1])
        await until(lambda: "envoy.refused" in shop.tail(100_000))
        assert shop.is_ready()
        sent = record.sent
        await until(lambda: record.sent > sent + 50)
        put(mesh, "pillion/shop", "{}")
        await until(lambda: shop.status()["envoy"]["refusals"] == [])
        await until(lambda: (told := shop.status()["envoy"])["in_force"] == told["sent"])
    assert record.failures == []
