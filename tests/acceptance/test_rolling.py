"""A changed value restarts a service's instances one after the other, and no further than to one that does not pass."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from agent.registry.restarts import key_of
from agent.runtime.files import write_atomically
from tests.acceptance.conftest import GUNICORN, Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.acceptance.test_configuration import put
from tests.integration.registry.side import Recorder
from tests.waiting import until

log = logging.getLogger(__name__)

KEY = key_of("orders")
SETTINGS = {
    "store": {"action": "restart"},
    "service": {"health_path": "/health", "health_interval": 0.5, "health_timeout": 5, "stop_timeout": 10},
}


def ask(mesh: Mesh, path: str) -> Any:
    """Consul's JSON answer."""
    with urllib.request.urlopen(f"{mesh.consul.url}{path}", timeout=30) as answer:
        return json.load(answer)


def passing(mesh: Mesh) -> int:
    """How many instances pass in Consul."""
    return len(ask(mesh, "/v1/health/service/orders?passing=1"))


def greeting(instance: Instance) -> str:
    """What the service itself was started with, asked through its sidecar."""
    code, body = instance.get("/", instance.inbound)
    return str(json.loads(body)["greeting"]) if code == 200 else ""


def word(instance: Instance) -> str:
    """What the agent says of its restarts."""
    return json.dumps(instance.status().get("components", []))


async def greeted(instances: Sequence[Instance], text: str) -> bool:
    """Whether each of them was started with the text. Asked in a thread: whoever records meanwhile goes on."""
    said = await asyncio.to_thread(lambda: [greeting(one) for one in instances])
    return said == [text] * len(instances)


async def three(
    mesh: Mesh, command: Sequence[str] = (), secret: Path | None = None, spread: float = 0.5
) -> list[Instance]:
    """Three instances that pass, with the greeting of before; ``secret`` is a file that holds it."""
    put(mesh, "config/orders/greeting", f"file:{secret}" if secret else "before")
    store = {"action": "restart", **({"secret_dirs": [str(secret.parent)]} if secret else {})}
    settings = {**SETTINGS, "store": store, "registry": {"spread": spread}}
    made = [mesh.service("orders", settings=settings, command=command, label=f"orders-{n}") for n in range(3)]
    for one in made:
        await one.ready()
    await until(lambda: passing(mesh) == 3)
    return made


async def test_a_change_goes_round_one_by_one_without_a_failed_request(mesh: Mesh) -> None:
    # For as long all three pass between two restarts, which must not be missed by a machine that is busy for seconds.
    instances = await three(mesh, spread=4)
    gateway = await mesh.gateway().ready()
    url = f"http://127.0.0.1:{gateway.gateway}/orders/"
    await until(lambda: gateway.get("/orders/", gateway.gateway)[0] == 200)
    async with load(url) as record, Recorder(lambda: passing(mesh)) as seen:
        await until(lambda: record.sent > 50)
        put(mesh, "config/orders/greeting", "after")
        await until(lambda: greeted(instances, "after"), within=120, every=0.2)
        await until(lambda: asyncio.to_thread(_done, mesh), within=40, every=0.1)
        sent = record.sent
        await until(lambda: record.sent > sent + 50)
    log.info("%d requests; instances that passed: %s", record.sent, seen.seen)
    assert record.failures == []
    assert min(seen.seen) == 2
    assert seen.seen.count(2) == 3
    assert not [one for one in ask(mesh, "/v1/session/list") if one["Name"].startswith("pillion")]


def _done(mesh: Mesh) -> bool:
    return json.loads(_last_word(mesh))["phase"] == "done" and passing(mesh) == 3


def _last_word(mesh: Mesh) -> str:
    with urllib.request.urlopen(f"{mesh.consul.url}/v1/kv/{KEY}?raw=1", timeout=30) as answer:
        return str(answer.read().decode())


async def test_it_stops_at_an_instance_that_does_not_pass_says_so_and_goes_on_with_a_better_value(
    mesh: Mesh,
) -> None:
    instances = await three(mesh)
    put(mesh, "config/orders/greeting", "bad")
    await until(lambda: any("does not pass its check" in word(one) for one in instances), within=30)
    (broken,) = [one for one in instances if "the other instances wait for it" in word(one)]
    others = [one for one in instances if one is not broken]
    await until(lambda: all("is restarted first and has to pass" in word(one) for one in others), within=30)
    async with _still(mesh, others):
        await until(lambda: "pillion_store_unsettled 1.0" in broken.get("/metrics")[1])
    put(mesh, "config/orders/greeting", "after")
    await until(lambda: greeted(instances, "after"), within=90, every=0.2)
    await until(lambda: all("restarted" not in word(one) for one in instances), within=60)


async def test_a_service_that_ends_of_a_value_takes_no_other_with_it(mesh: Mesh) -> None:
    script = 'test "$GREETING" != fatal || exit 3; exec "$@"'
    instances = await three(mesh, ["/bin/sh", "-c", script, "sh", *GUNICORN, "plain:app"])
    put(mesh, "config/orders/greeting", "fatal")
    await until(lambda: any(one.process.poll() is not None for one in instances), within=40)
    (ended,) = [one for one in instances if one.process.poll() is not None]
    assert ended.process.returncode == 3
    others = [one for one in instances if one is not ended]
    await until(lambda: all("never passed its check; change them" in word(one) for one in others), within=60)
    async with _still(mesh, others):
        assert json.loads(_last_word(mesh))["phase"] == "failed"
    put(mesh, "config/orders/greeting", "after")
    await until(lambda: greeted(others, "after"), within=60, every=0.2)


async def test_a_secret_that_was_bad_and_is_good_again_goes_round_without_a_hand_at_the_lock(
    mesh: Mesh, tmp_path: Path
) -> None:
    """What is written in KV refers to the same file all the time."""
    secret = tmp_path / "secrets" / "greeting"
    secret.parent.mkdir()
    write_atomically(secret, b"before", 0o600)
    script = 'test "$GREETING" != fatal || exit 3; exec "$@"'
    instances = await three(mesh, ["/bin/sh", "-c", script, "sh", *GUNICORN, "plain:app"], secret)
    write_atomically(secret, b"fatal", 0o600)
    await until(lambda: any(one.process.poll() is not None for one in instances), within=40)
    others = [one for one in instances if one.process.poll() is None]
    await until(lambda: all("never passed its check; change them" in word(one) for one in others), within=60)
    async with _still(mesh, others):
        assert json.loads(_last_word(mesh))["phase"] == "failed"
    write_atomically(secret, b"after", 0o600)
    await until(lambda: greeted(others, "after"), within=60, every=0.2)
    await until(lambda: all("restarted" not in word(one) for one in others), within=60)


async def test_one_that_dies_with_the_lock_holds_the_others_up_for_seconds_only(mesh: Mesh) -> None:
    put(mesh, "config/orders/greeting", "before")
    slow = {**SETTINGS, "registry": {"spread": 20}}
    first = await mesh.service("orders", settings=slow, label="orders-0").ready()
    second = await mesh.service("orders", settings=SETTINGS, label="orders-1").ready()
    await until(lambda: passing(mesh) == 2)
    os.kill(second.children()["agent"], signal.SIGSTOP)
    put(mesh, "config/orders/greeting", "after")
    await until(lambda: _holder(mesh) == "taken", within=20)
    everything = [*first.children().values(), first.process.pid]
    for pid in everything:
        os.kill(pid, signal.SIGKILL)
    first.process.wait()
    os.kill(second.children()["agent"], signal.SIGCONT)
    await until(lambda: greeting(second) == "after", within=60, every=0.2)


def _holder(mesh: Mesh) -> str:
    with contextlib.suppress(OSError):
        return str(json.loads(_last_word(mesh))["phase"])
    return ""


@contextlib.asynccontextmanager
async def _still(mesh: Mesh, others: Sequence[Instance]) -> AsyncIterator[None]:
    """The others serve what they had, for as long as two turns of the lock at least."""
    pids = [one.children()["service"] for one in others]
    yield
    index = ask_index(mesh)
    await asyncio.to_thread(ask, mesh, f"/v1/kv/{KEY}?index={index}&wait=8s")
    assert [one.children()["service"] for one in others] == pids
    assert [greeting(one) for one in others] == ["before"] * len(others)


def ask_index(mesh: Mesh) -> str:
    """The lock's index for a question that waits."""
    with urllib.request.urlopen(f"{mesh.consul.url}/v1/kv/{KEY}", timeout=30) as answer:
        return str(answer.headers["X-Consul-Index"])
