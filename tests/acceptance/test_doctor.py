"""`pillion doctor` beside a running agent, on a real mesh; and what a person reads when a service ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.config import sources
from agent.config.disk import LocalDisk
from agent.registry import rights
from tests.acceptance.conftest import APPS, GUNICORN, Mesh
from tests.acceptance.instance import Instance
from tests.acl import AclConsul
from tests.waiting import until

Findings = list[dict[str, str]]


def doctor(instance: Instance, *more: str) -> tuple[int, Findings]:
    """Exit code and findings, with the instance's own settings."""
    argv = [sys.executable, "-m", "agent", "doctor", "--json", "--config", str(instance.file), *more]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=instance.environ, timeout=120
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found["findings"]


def wrong(findings: Findings) -> dict[str, str]:
    """What is wrong, by id."""
    return {one["id"]: one["found"] for one in findings if one["level"] in {"problem", "warning"}}


def one(findings: Findings, id_: str) -> dict[str, str]:
    """The only finding of that id."""
    (found,) = [each for each in findings if each["id"] == id_]
    return found


async def test_beside_an_agent_in_order_nothing_is_wrong_and_its_ports_are_its_own(mesh: Mesh) -> None:
    orders = await mesh.service("orders").ready()
    for _ in range(2):
        assert orders.get("/", orders.inbound)[0] == 200
    await until(lambda: orders.status()["hook"]["active"] == "yes")
    await until(lambda: _degraded(orders) == {})
    code, found = doctor(orders)
    assert (code, wrong(found)) == (0, {})
    assert one(found, "ports.free")["found"] == "the agent with this state folder has them"
    assert one(found, "carry.active")["found"] == "it is in the service's answers"
    assert one(found, "files.limit")["subject"] == "how many files Envoy may open"
    gateway = await mesh.gateway().ready()
    await until(lambda: _degraded(gateway) == {})
    code, found = doctor(gateway, "--gateway")
    assert (code, wrong(found)) == (0, {})


async def test_an_agent_whose_consul_and_service_are_away_says_so(mesh: Mesh) -> None:
    settings = {"service": {"health_path": "/health", "health_interval": 0.2}}
    orders = await mesh.service("orders", settings=settings).ready()
    service = orders.children()["service"]
    for process in (service, *_below(service)):
        os.kill(process, signal.SIGSTOP)
    try:
        await until(lambda: not orders.is_ready())
        mesh.consul.kill()
        await until(lambda: orders.status()["components"]["registrar"]["state"] == "degraded")
        code, found = doctor(orders)
    finally:
        for process in (service, *_below(service)):
            os.kill(process, signal.SIGCONT)
    assert code == 1
    assert {"agent.ready", "agent.component", "consul.reachable"} <= set(wrong(found))
    parts = {each["subject"] for each in found if each["id"] == "agent.component"}
    assert {"the agent's registrar", "the agent's probe"} <= parts


def _below(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("option", ["-S", "-E"])
async def test_why_the_hook_is_not_in_a_service_behind_a_shell_is_found(mesh: Mesh, option: str) -> None:
    """What a shell starts can't be seen before; the running processes tell."""
    paths = os.pathsep.join([str(APPS), *filter(None, sys.path)])
    program = (
        f"import sys; sys.path[:0] = {paths.split(os.pathsep)!r}; from gunicorn.app.wsgiapp import run; run()"
    )
    line = f'{sys.executable} {option} -c "$1" {" ".join(GUNICORN[3:])} plain:app'
    orders = await mesh.service("orders", command=["sh", "-c", f"{line}; true", "sh", program]).ready()
    assert orders.get("/", orders.inbound)[0] == 200
    await until(lambda: orders.status()["hook"]["active"] == "no")
    _, found = doctor(orders)
    assert f"{option}, which" in one(found, "carry.active")["found"]


@pytest.mark.parametrize("verb", ["run", "gateway"])
async def test_the_rules_that_doctor_asks_for_are_enough_for_an_agent(short_folder: Path, verb: str) -> None:
    """With a token of exactly these rules, on a Consul that denies all else, nothing is degraded."""
    consul = AclConsul(short_folder / "consul")
    consul.start()
    mesh = Mesh(short_folder, consul)
    try:
        settings = sources.load({"service.name": "orders"} if verb == "run" else {}, {}, None, LocalDisk())
        wanted = rights.wanted(settings.settings, gateway=verb == "gateway")
        consul.ask("/v1/acl/policy", {"Name": "all", "Rules": "\n".join(map(str, wanted))}, "PUT")
        token = consul.ask("/v1/acl/token", {"Policies": [{"Name": "all"}]}, "PUT")["SecretID"]
        (short_folder / "token").write_text(token)
        (short_folder / "token").chmod(0o600)
        registry = {"address": consul.url, "token_file": str(short_folder / "token")}
        if verb == "run":
            instance = await mesh.service("orders", settings={"registry": registry}).ready()
        else:
            instance = await mesh.gateway({"registry": registry}).ready()
        await until(lambda: _degraded(instance) == {})
        _, found = doctor(instance, *(["--gateway"] if verb == "gateway" else []))
        assert wrong(found) == {}
    finally:
        try:
            mesh.close()
        finally:
            consul.stop()


def _degraded(instance: Instance) -> dict[str, str]:
    components = instance.status()["components"]
    return {name: told["detail"] for name, told in components.items() if told["state"] != "ok"}


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -TERM $$", 143)])
async def test_a_service_that_ends_is_told_with_its_code_which_is_ours(
    mesh: Mesh, script: str, code: int
) -> None:
    job = mesh.service("job", command=["sh", "-c", f"sleep 1; {script}"])
    process = job.process
    assert process is not None
    await until(lambda: process.poll() is not None, within=90)
    assert process.returncode == code
    leaving = [json.loads(line) for line in job.tail(100_000).splitlines() if '"supervisor.leaving"' in line]
    assert leaving[0]["because"] == "service ended"
    assert "Traceback" not in job.tail(100_000)


async def test_a_program_that_is_gone_when_it_is_to_start_is_told(mesh: Mesh, tmp_path: Path) -> None:
    """The command line was checked; then its interpreter turns out not to be there."""
    program = tmp_path / "serve"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    job = mesh.service("job", command=[str(program)])
    process = job.process
    assert process is not None
    await until(lambda: process.poll() is not None, within=90)
    assert process.returncode != 0
    assert "No such file or directory" in job.tail(100_000)
    assert "Traceback" not in job.tail(100_000)
