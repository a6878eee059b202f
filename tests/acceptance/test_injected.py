"""A pod that was injected, as processes on this machine: they get what the manifest says, and nothing else."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.config.sections.injector import Injector
from agent.config.settings import Settings
from agent.inject.injection import Namespace, Verdict, inject
from tests.acceptance.conftest import APPS, Mesh
from tests.acceptance.test_registration import entries, passing
from tests.ports import free_port
from tests.unit.inject.examples import expanded, told
from tests.waiting import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
DOWNWARD = {
    "POD_IP": "127.0.0.1",
    "HOST_IP": "127.0.0.1",
    "PILLION_KUBERNETES_POD_UID": "0b5a3e0e-6f0f-4d6c-9a55-0c5b5a3a2a11",
    "PILLION_KUBERNETES_POD": "orders-7c5d",
    "PILLION_KUBERNETES_NAMESPACE": "shop",
    "PILLION_KUBERNETES_NODE": "node-a",
}


class Machine:
    """One node with one pod: its folders are below ``folder``, its ports are others than the pod's."""

    def __init__(self, folder: Path, spec: Mapping[str, Any]) -> None:
        self.folder = folder
        self.sidecar = spec["initContainers"][0]
        self.application = spec["containers"][0]
        self.ports = {port: free_port() for port in (15001, 15006, 15020, 15021, 15090)}
        self._children: list[subprocess.Popen[bytes]] = []

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """What the kubelet would give, with this machine's folders and ports."""
        known = expanded(told(container), KUBERNETES_SERVICE_HOST="10.96.0.1", **DOWNWARD)
        known |= {name: value for name, value in DOWNWARD.items() if name in told(container)}
        form = re.compile(r"\b(15001|15006|15020|15021|15090)\b")
        here = {
            name: form.sub(lambda one: str(self.ports[int(one[0])]), value) for name, value in known.items()
        }
        for mount in container["volumeMounts"]:
            place = str(self.folder / mount["name"])
            here = {name: value.replace(mount["mountPath"], place) for name, value in here.items()}
        return {"PATH": os.environ["PATH"], "HOME": str(Path.home()), **here}

    def run(self, argv: Sequence[str], container: Mapping[str, Any], name: str) -> None:
        """Start a container's process."""
        with (self.folder / f"{name}.log").open("wb") as log:
            environ = self.environment(container)
            self._children.append(
                subprocess.Popen(
                    argv, env=environ, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
                )
            )

    def get(self, port: int, path: str, **headers: str) -> tuple[int, Any]:
        """GET from one of the pod's ports, by its number in the manifest; status 0 while nobody answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[port]}{path}", headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def probe(self, kind: str) -> bool:
        """Whether one of the sidecar's probes passes."""
        asked = self.sidecar[kind]["httpGet"]
        return self.get(asked["port"], asked["path"])[0] == 200

    def before_stop(self) -> None:
        """Run the sidecar's preStop."""
        command = self.sidecar["lifecycle"]["preStop"]["exec"]["command"]
        argv = [sys.executable, "-m", "agent", *command[1:]]
        environ = self.environment(self.sidecar)
        subprocess.run(argv, env=environ, cwd=self.folder, check=True, capture_output=True, timeout=60)

    def close(self) -> None:
        """End all of it, as the kubelet does: the application first."""
        for child in reversed(self._children):
            if child.poll() is None:
                child.terminate()
        for child in reversed(self._children):
            try:
                child.wait(40)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@asynccontextmanager
async def started(mesh: Mesh) -> AsyncIterator[Machine]:
    """The pod's machine, once its application was started."""
    port = free_port()
    pod = {
        "metadata": {
            "labels": {"app": "orders", "pillion.dev/inject": "true"},
            "annotations": {"pillion.dev/health-path": "/health", "pillion.dev/meta-team": "shop"},
        },
        "spec": {"containers": [{"name": "app", "image": "orders:1", "ports": [{"containerPort": port}]}]},
    }
    settings = Settings(injector=Injector(consul_address=mesh.consul.url))
    outcome = inject(pod, Namespace("shop"), settings)
    assert outcome.verdict is Verdict.INJECTED
    folder = mesh.folder / "pod"
    folder.mkdir()
    found = Machine(folder, outcome.pod["spec"])
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "--chdir",
        str(APPS),
        "--bind",
        f"127.0.0.1:{port}",
        "plain:app",
    ]
    try:
        found.run([sys.executable, "-m", "agent", *found.sidecar["args"]], found.sidecar, "sidecar")
        # The kubelet starts the application once the sidecar's start-up probe has passed.
        await until(lambda: found.probe("startupProbe"), within=60)
        assert (folder / "pillion-hook" / "sitecustomize.py").is_file()
        found.run(gunicorn, found.application, "app")
        yield found
    finally:
        found.close()


async def test_what_the_manifest_says_is_all_that_a_service_needs(mesh: Mesh) -> None:
    """Registered, called through Envoy, calling another by name, one trace through both, gone at the end."""
    await mesh.service("stock").ready()
    async with started(mesh) as machine:
        await until(lambda: len(passing(mesh.consul, "orders")) == 1, within=60)
        assert len(entries(mesh.consul, "orders")) == 1
        assert machine.probe("readinessProbe")
        (entry,) = entries(mesh.consul, "orders")
        assert (entry["Service"]["Address"], entry["Service"]["Port"]) == ("127.0.0.1", machine.ports[15006])
        assert entry["Service"]["Meta"]["team"] == "shop"
        await until(lambda: machine.get(15006, "/call/stock?path=headers")[0] == 200, within=30)
        parent = f"00-{TRACE}-b7ad6b7169203331-01"
        status, body = machine.get(15006, "/call/stock?path=headers", traceparent=parent)
        assert status == 200
        seen = {name.lower(): value for name, value in json.loads(body)["body"].items()}
        assert seen["traceparent"].split("-")[1] == TRACE
        assert machine.probe("readinessProbe")
        assert "envoy_" in machine.get(15090, "/metrics")[1]
        machine.before_stop()
        await until(lambda: not machine.probe("readinessProbe"), within=30)
        await until(lambda: passing(mesh.consul, "orders") == [], within=30)
    await until(lambda: entries(mesh.consul, "orders") == [])


async def test_the_application_starts_while_consul_is_away_and_is_registered_later(mesh: Mesh) -> None:
    """The start-up probe passes without the service and without Consul, and so does readiness: no deadlock."""
    mesh.consul.stop()
    async with started(mesh) as machine:
        await until(lambda: machine.probe("readinessProbe"), within=30)
        await until(lambda: machine.get(15006, "/")[0] == 200, within=30)
        mesh.consul.start()
        await until(lambda: len(passing(mesh.consul, "orders")) == 1, within=60)
        (entry,) = entries(mesh.consul, "orders")
        assert entry["Service"]["Port"] == machine.ports[15006]
        assert machine.get(15006, "/")[0] == 200
