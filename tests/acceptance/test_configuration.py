"""A value in Consul's KV reaches an unmodified service: as environment, as a file with a signal, over HTTP."""

import asyncio
import json
import logging
import urllib.request
from functools import partial
from pathlib import Path

from tests.acceptance.conftest import GUNICORN, Mesh
from tests.acceptance.load import load
from tests.waiting import until

log = logging.getLogger(__name__)


def put(mesh: Mesh, key: str, value: str) -> None:
    """Write one key of Consul's KV."""
    request = urllib.request.Request(f"{mesh.consul.url}/v1/kv/{key}", data=value.encode(), method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


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

    async def greeting() -> str:
        # In a thread, so that the load goes on; slow is no failure, anything but 200 is.
        code, body = await asyncio.to_thread(orders.get, "/", orders.inbound, 20.0)
        return str(json.loads(body)["greeting"]) if code == 200 else f"{code} {body}"

    seen = [await greeting()]

    async def arrived(text: str) -> bool:
        seen.append(await greeting())
        return seen[-1] == text

    async with load(f"http://127.0.0.1:{orders.inbound}/") as record:
        await until(lambda: record.sent > 20)
        for text in ("after", "later"):
            put(mesh, "config/orders/greeting", text)
            await until(partial(arrived, text), within=60)
            sent = record.sent
            await until(lambda sent=sent: record.sent > sent + 50, within=30)
    log.info("%d requests, failed: %s", record.sent, record.failures)
    assert record.failures == []
    assert list(dict.fromkeys(seen)) == ["before", "after", "later"], (
        "no answer but 200, and none that is older"
    )


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


def volume(folder: Path, text: str) -> None:
    """A secret as the kubelet writes it into a volume: a folder of its own, then the switch of ``..data``."""
    folder.mkdir(exist_ok=True)
    new = folder / f"..{text}"
    new.mkdir()
    (new / "greeting").write_text(text)
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").replace(folder / "..data")
    if not (folder / "greeting").is_symlink():
        (folder / "greeting").symlink_to("..data/greeting")


async def test_a_secret_of_a_volume_reaches_the_service_and_so_does_its_successor(mesh: Mesh) -> None:
    secrets = mesh.folder / "secrets"
    volume(secrets, "hunter2")
    put(mesh, "config/orders/greeting", f"file:{secrets}/greeting")
    put(mesh, "config/orders/other", "file:/etc/passwd")
    settings = {"store": {"action": "restart", "secret_dirs": [str(secrets)]}}
    orders = await mesh.service("orders", settings=settings).ready()

    def serves(secret: str) -> bool:
        code, body = orders.get("/", orders.inbound)
        return code == 200 and json.loads(body)["greeting"] == secret

    await until(partial(serves, "hunter2"), within=30)
    assert orders.get("/v1/config/greeting") == (200, f"file:{secrets}/greeting"), "the API tells no secret"
    await until(lambda: "below none of store.secret_dirs" in json.dumps(orders.status()["components"]))
    volume(secrets, "hunter3")
    await until(partial(serves, "hunter3"), within=60)
    said = orders.tail(1_000_000) + json.dumps(orders.status()) + orders.get("/metrics")[1]
    state = [file.read_bytes() for file in (orders.folder / "state").iterdir() if file.is_file()]
    assert b"hunter" not in b"".join([said.encode(), *state])


async def test_a_command_follows_a_change_of_a_file_for_a_service_that_runs_already(mesh: Mesh) -> None:
    put(mesh, "config/orders/greeting", "before")
    folder = mesh.folder / "conf"
    folder.mkdir()
    script = folder / "reload.sh"
    script.write_text(f'#!/bin/sh\nenv > {folder}/env\ncat "$1" >> {folder}/seen\ncat "$1"\n')
    script.chmod(0o755)
    file = folder / "orders.json"
    store = {"file": str(file), "format": "json", "action": "exec", "exec": [str(script), str(file)]}
    settings = {"store": store, "registry": {"token": "hunter2-token"}}
    orders = await mesh.service("orders", settings=settings, environ={"CONSUL_HTTP_TOKEN": "hunter2"}).ready()
    put(mesh, "config/orders/greeting", "changed-value")
    await until((folder / "seen").exists)
    await until(lambda: "changed-value" in (folder / "seen").read_text())
    assert "hunter2" not in (folder / "env").read_text()
    await until(lambda: "configuration.command" in orders.tail(100_000))
    assert "changed-value" not in orders.tail(1_000_000)
    script.write_text("#!/bin/sh\necho no room; exit 4\n")
    put(mesh, "config/orders/greeting", "third")
    await until(lambda: "ended with exit code 4: no room" in json.dumps(orders.status()["components"]))
    assert "pillion_store_deliveries_total" in orders.get("/metrics")[1]
