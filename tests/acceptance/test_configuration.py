"""A value in Consul's KV reaches an unmodified service: as environment, as a file with a signal, over HTTP."""

import json
import urllib.request

from tests.acceptance.conftest import GUNICORN, Mesh
from tests.acceptance.load import load
from tests.waiting import until


def put(mesh: Mesh, key: str, value: str) -> None:
    """Write one key of Consul's KV."""
    request = urllib.request.Request(f"{mesh.consul.url}/v1/kv/{key}", data=value.encode(), method="PUT")
    urllib.request.urlopen(request, timeout=2).close()


async def test_a_value_reaches_the_service_as_environment_and_over_http(mesh: Mesh) -> None:
    put(mesh, "config/orders/greeting", "hello")
    put(mesh, "config/_shared/greeting", "lost to the service's own")
    put(mesh, "config/orders/LD_PRELOAD", "/evil.so")
    orders = await mesh.service("orders").ready()
    assert json.loads(orders.get("/", orders.inbound)[1])["greeting"] == "hello"
    assert orders.get("/v1/config/greeting") == (200, "hello")
    assert "LD_PRELOAD" in json.dumps(orders.status())


async def test_a_change_shows_in_gunicorn_after_hup_without_a_failed_request(mesh: Mesh) -> None:
    """gunicorn re-reads its env file on HUP by a line of ordinary configuration; requests go on meanwhile."""
    put(mesh, "config/orders/greeting", "before")
    folder = mesh.folder / "conf"
    folder.mkdir()
    (folder / "gunicorn.conf.py").write_text(
        "import pathlib\n"
        f"lines = pathlib.Path({str(folder / 'orders.env')!r}).read_text().splitlines()\n"
        "raw_env = [line.replace(chr(34), '').replace(chr(39), '') for line in lines if '=' in line]\n"
    )
    settings = {
        "store": {
            "environment": False,
            "file": str(folder / "orders.env"),
            "action": "signal",
            "signal": "HUP",
        }
    }
    command = [*GUNICORN, "-c", str(folder / "gunicorn.conf.py"), "plain:app"]
    orders = await mesh.service("orders", settings=settings, command=command).ready()
    greeting = lambda: json.loads(orders.get("/", orders.inbound)[1])["greeting"]  # noqa: E731
    await until(lambda: greeting() == "before")
    async with load(f"http://127.0.0.1:{orders.inbound}/") as record:
        await until(lambda: record.sent > 20)
        put(mesh, "config/orders/greeting", "after")
        await until(lambda: greeting() == "after", within=15)
        sent = record.sent
        await until(lambda: record.sent > sent + 50)
    assert record.failures == []


async def test_a_live_override_changes_routes_and_a_bad_one_is_refused_and_reported(mesh: Mesh) -> None:
    inventory = await mesh.service("inventory").ready()
    shop = await mesh.service("shop").ready()
    call = lambda: shop.call("inventory", "slow%3Fseconds=1")  # noqa: E731
    await until(lambda: call() == 200)
    put(mesh, "pillion/shop", json.dumps({"traffic": {"timeout": "200ms"}}))
    await until(lambda: call() == 504)
    put(mesh, "pillion/shop", json.dumps({"traffic": {"timeout": "a while"}}))
    await until(lambda: "a while" in json.dumps(shop.status()["components"]))
    assert call() == 504
    await inventory.ready()
