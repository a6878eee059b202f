"""A service's life in Consul, from start to departure, with everything going wrong on the way."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from agent.demo import backing
from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.waiting import until


def entries(consul: backing.Consul, service: str) -> list[dict[str, Any]]:
    """What Consul's catalogue says of a service's instances, whatever their health.

    It follows what Consul's agent was told by some milliseconds: wait for what it should say.
    """
    with urllib.request.urlopen(f"{consul.url}/v1/health/service/{service}", timeout=30) as response:
        found: list[dict[str, Any]] = json.load(response)
        return found


def passing(consul: backing.Consul, service: str) -> list[dict[str, Any]]:
    """The instances of which every check passes."""
    return [
        entry
        for entry in entries(consul, service)
        if all(check["Status"] == "passing" for check in entry["Checks"])
    ]


async def test_who_only_calls_others_needs_no_port_and_is_not_in_consul(mesh: Mesh, tmp_path: Path) -> None:
    orders = await mesh.service("orders").ready()
    settings = {
        "service": {"name": "report", "port": 0, "register": False},
        "registry": {"address": mesh.consul.url},
    }
    report = Instance(tmp_path / "report", settings).start()
    try:
        await report.ready()
        assert report.get("/envoyz", report.health)[0] == 200
        await until(lambda: _through(report, "http://orders/") == 200)
        assert entries(mesh.consul, "report") == []
        assert set(report.children()) == {"agent", "envoy"}
        await until(lambda: len(passing(mesh.consul, "orders")) == 1)
        report.terminate()
        assert report.process is not None
        await until(lambda: report.process is not None and report.process.poll() is not None, within=60)
        assert report.process.returncode == 0
    finally:
        report.stop()
    assert orders.is_ready()


def _through(instance: Instance, url: str) -> int:
    """The status of a GET through an instance's outbound listener; 0 for no answer."""
    proxy = urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{instance.outbound}"})
    try:
        with urllib.request.build_opener(proxy).open(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.exclusive
async def test_a_killed_agent_is_back_within_two_seconds_and_traffic_never_notices(mesh: Mesh) -> None:
    """SIGKILL of the agent under load: Envoy and service keep their processes, no request fails, no ghost."""
    orders = await mesh.service("orders").ready()
    before = orders.children()
    async with load(f"http://127.0.0.1:{orders.inbound}/") as record:
        await until(lambda: record.sent > 50)
        for _ in range(3):
            agent = orders.children()["agent"]
            os.kill(agent, signal.SIGKILL)
            started = time.monotonic()
            await until(
                lambda agent=agent: orders.children().get("agent", agent) != agent and orders.is_ready(),
                within=6,
                every=0.05,
            )
            assert time.monotonic() - started < 2.0
            sent = record.sent
            await until(lambda sent=sent: record.sent > sent + 50)
    after = orders.children()
    assert record.failures == []
    assert (after["envoy"], after["service"]) == (before["envoy"], before["service"])
    assert after["agent"] != before["agent"]
    await until(lambda: len(passing(mesh.consul, "orders")) == len(entries(mesh.consul, "orders")) == 1)


@pytest.mark.exclusive
async def test_a_consul_that_restarts_empty_has_the_service_back_within_fifteen_seconds(mesh: Mesh) -> None:
    orders = await mesh.service("orders").ready()
    await until(lambda: passing(mesh.consul, "orders"))
    mesh.consul.kill()
    mesh.consul.start()
    answered = time.monotonic()
    await until(lambda: passing(mesh.consul, "orders"), within=15)
    assert time.monotonic() - answered < 15
    assert orders.is_ready()


async def test_with_consul_away_at_start_everything_else_works_and_registration_follows(mesh: Mesh) -> None:
    """Envoy and the service start, known upstreams are reached, status says what is missing; then Consul comes back."""
    inventory = await mesh.service("inventory").ready()
    orders = await mesh.service("orders", label="orders").ready()
    await until(lambda: orders.call("inventory") == 200)
    orders.stop()
    mesh.consul.kill()
    orders.start()
    await until(lambda: orders.call("inventory") == 200, within=60)
    assert not orders.is_ready()
    await until(lambda: orders.status()["components"]["registrar"]["state"] == "degraded")
    assert "Consul" in orders.status()["components"]["registrar"]["detail"]
    mesh.consul.start()
    await orders.ready()
    await until(lambda: passing(mesh.consul, "orders"))
    await inventory.ready()


async def test_a_sick_service_turns_critical_and_comes_back_when_it_recovers(
    mesh: Mesh, tmp_path: Path
) -> None:
    sick = tmp_path / "sick"
    settings = {"service": {"health_path": "/health", "health_interval": 0.2}}
    orders = await mesh.service("orders", settings=settings, environ={"SICK_FILE": str(sick)}).ready()
    await until(lambda: passing(mesh.consul, "orders"))
    sick.touch()
    await until(lambda: entries(mesh.consul, "orders") and not passing(mesh.consul, "orders"))
    assert not orders.is_ready()
    assert "/health" in json.dumps(entries(mesh.consul, "orders")[0]["Checks"])
    sick.unlink()
    await until(lambda: passing(mesh.consul, "orders"))


async def test_a_stop_under_load_through_a_callers_sidecar_loses_no_request(mesh: Mesh) -> None:
    """SIGTERM to one of two instances: critical first, then drained, then gone; the caller sees nothing of it."""
    first, second = mesh.service("orders", label="first"), mesh.service("orders", label="second")
    caller = await mesh.service("shop", label="shop").ready()
    await first.ready()
    await second.ready()
    await until(lambda: len(passing(mesh.consul, "orders")) == 2)
    async with load(f"http://127.0.0.1:{caller.inbound}/call/orders", clients=3) as record:
        await until(lambda: record.sent > 50)
        first.terminate()
        await until(lambda: first.process is not None and first.process.poll() is not None, within=60)
        sent = record.sent
        await until(lambda: record.sent > sent + 30)
    assert record.failures == []
    assert first.process is not None
    assert first.process.returncode == 0
    await until(
        lambda: [entry["Service"]["Port"] for entry in entries(mesh.consul, "orders")] == [second.inbound]
    )


@pytest.mark.parametrize("code", [0, 3])
async def test_the_services_exit_ends_the_whole_with_its_code_and_leaves_no_registration(
    mesh: Mesh, code: int, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = (
        "import http.server, os, sys, threading, time, pathlib\n"
        "address = ('127.0.0.1', int(os.environ['PORT']))\n"
        "server = http.server.ThreadingHTTPServer(address, http.server.SimpleHTTPRequestHandler)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
        f"sys.exit({code})\n"
    )
    job = await mesh.service("job", command=["python", "-c", script]).ready()
    go.touch()
    process = job.process
    assert process is not None
    await until(lambda: process.poll() is not None, within=60)
    assert process.returncode == code
    await until(lambda: entries(mesh.consul, "job") == [])


async def test_a_stop_while_consul_is_away_ends_in_bounded_time(mesh: Mesh) -> None:
    orders: Instance = await mesh.service("orders").ready()
    mesh.consul.kill()
    assert orders.stop(within=40) == 0
    mesh.consul.start()


@pytest.mark.exclusive
async def test_a_stop_while_the_agent_is_coming_back_still_leaves_in_order(mesh: Mesh) -> None:
    """SIGKILL of the agent and SIGTERM of the whole a moment later: Consul is told, the exit is clean.

    A stop waits for it for five seconds, which a busy machine may need more of to start it.
    """
    orders = await mesh.service("orders").ready()
    agent = orders.children()["agent"]
    os.kill(agent, signal.SIGKILL)
    await until(lambda: orders.children().get("agent") not in (None, agent), every=0.005)
    assert orders.stop() == 0
    await until(lambda: entries(mesh.consul, "orders") == [])
