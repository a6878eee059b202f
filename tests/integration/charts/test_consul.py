"""A Consul server and the client of a node as the chart runs them: their commands, configuration and secrets."""

import contextlib
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import consul_tokens
import make_secrets
import pytest

from agent.demo import backing
from agent.demo.process import Process
from tests.integration.charts.rendering import Helm, one
from tests.unit.charts.cluster import Cluster
from tests.waiting import until

VALUES = {"consul": {"acl": {"enabled": True}, "server": {"replicas": 1}}}
SERVER = ("StatefulSet", "infrastructure-consul-server")
CLIENT = ("DaemonSet", "infrastructure-consul-client")
HERE = "127.0.0.1"


class Agents:
    """The agents of one release, each with what its pod mounts below a folder."""

    def __init__(self, rendered: list[dict[str, Any]], folder: Path) -> None:
        plan = json.loads(one(rendered, "ConfigMap", "infrastructure-secrets")["data"]["plan.json"])
        cluster = Cluster()
        make_secrets.ensure(plan, cluster.call)
        key = "/api/v1/namespaces/somewhere/secrets/infrastructure-consul"
        self.secret = make_secrets._data(cluster.secrets[key])
        self._rendered = rendered
        self._folder = folder
        # On one machine they can't have the ports that the chart gives both.
        taken: set[int] = set()
        self.ports: dict[str, dict[str, int]] = {}
        for _, name in (SERVER, CLIENT):
            self.ports[name] = {}
            for port in ("server", "serf_lan", "http", "dns"):
                self.ports[name][port] = backing.free_port(taken)
                taken.add(self.ports[name][port])

    def agent(self, kind: str, name: str, rendered: list[dict[str, Any]] | None = None) -> Process:
        """The agent of the pods of ``kind`` called ``name``; it is there when the client's readiness probe passes.

        ``rendered`` is another revision of the release.
        """
        rendered = rendered or self._rendered
        (container,) = one(rendered, kind, name)["spec"]["template"]["spec"]["containers"]
        file = f"{name.rpartition('-')[2]}.json"
        folder = self._folder / name
        for part in ("config", "secrets", "data"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        told = json.loads(one(rendered, "ConfigMap", "infrastructure-consul")["data"][file])
        ports = self.ports[name]
        told["ports"].update({key: port for key, port in ports.items() if told["ports"].get(key) != -1})
        told |= {"data_dir": str(folder / "data"), "client_addr": HERE}
        told["retry_join"] = [f"{HERE}:{self.ports[SERVER[1]]['serf_lan']}"]
        (folder / "config" / file).write_text(json.dumps(told))
        secret = json.loads(self.secret[file])
        if "acl" not in told:
            secret.pop("acl", None)
        (folder / "secrets" / "secrets.json").write_text(json.dumps(secret))
        words = {"$(POD_IP)": HERE, "$(POD_NAME)": f"{name}-0", "$(NODE_NAME)": "node-a.example"}
        argv = [backing.binary("consul"), *container["command"][1:]]
        for before, after in (*words.items(), ("/consul/", f"{folder}/")):
            argv = [word.replace(before, after) for word in argv]
        url = f"http://{HERE}:{ports['http']}/v1/status/leader"
        return Process(name, argv, folder / "log", answers=lambda: backing.http_ok(url))

    def as_(self, token: str) -> Callable[[str, str, object], Any]:
        """Requests to the server as the holder of a token of the release."""
        return consul_tokens.consul(HERE, self.ports[SERVER[1]]["http"], self.secret[token])


@pytest.fixture
async def agents(helm: Helm, tmp_path: Path) -> AsyncIterator[tuple[Agents, Process]]:
    """Both agents, ready as their pods are, and Consul's tokens made after that as the hook makes them."""
    rendered = helm.render("infrastructure", VALUES)
    found = Agents(rendered, tmp_path)
    server = found.agent(*SERVER)
    client = found.agent(*CLIENT)
    with contextlib.ExitStack() as stack:
        for agent in (server, client):
            agent.start()
            stack.callback(agent.stop, within=ENDS)
        plan = json.loads(one(rendered, "ConfigMap", "infrastructure-consul-acl")["data"]["plan.json"])
        management = found.as_("management")
        consul_tokens.led(management)
        consul_tokens.ensure(plan, management, lambda file: found.secret[Path(file).name])
        yield found, client


ENDS = 60.0
"""Seconds that an agent may take to leave in order, before it is ended by force and has not left."""
LEFT = 90.0
"""Seconds until a node that left is out of the catalogue. At once, but what a client still sends of its services while
it leaves puts them back, until the leader's next look at all members: one a minute."""


@pytest.mark.timeout(600)
async def test_a_sidecar_registers_at_its_nodes_client_and_is_gone_when_that_ends_in_order(
    agents: tuple[Agents, Process], tmp_path: Path
) -> None:
    release, client = agents
    gateway = release.as_("gateway")
    await until(lambda: "node-a.example" in _nodes(gateway), 30)
    await until(lambda: _registered(release), 30)
    await until(lambda: gateway("GET", "/v1/catalog/service/orders", None), 30)
    client.stop(within=ENDS)
    await until(lambda: not gateway("GET", "/v1/catalog/service/orders", None), LEFT, every=0.2)

    # A pod of the same node made anew has lost its data, so the node has another id.
    shutil.rmtree(tmp_path / CLIENT[1] / "data")
    again = release.agent(*CLIENT)
    again.start()
    try:
        await until(lambda: _registered(release), 30)
        await until(lambda: gateway("GET", "/v1/catalog/service/orders", None), 30)
    finally:
        again.stop(within=ENDS)


async def test_acls_are_turned_on_in_a_release_that_runs_without_refusing_who_has_no_token_yet(
    helm: Helm, tmp_path: Path
) -> None:
    """First everybody gets a token while none is needed, then one is needed; what Consul holds stays."""
    before = helm.render("infrastructure")
    acl = {"enabled": True, "defaultPolicy": "allow"}
    between = helm.render("infrastructure", {"consul": {"acl": acl}})
    after = helm.render("infrastructure", {"consul": {"acl": {"enabled": True}}})
    found = Agents(between, tmp_path)
    codes = []
    for number, rendered in enumerate((before, between, after)):
        server = found.agent(*SERVER, rendered)
        server.start()
        try:
            if number:
                consul_tokens.led(found.as_("management"))
                plan = json.loads(
                    one(rendered, "ConfigMap", "infrastructure-consul-acl")["data"]["plan.json"]
                )
                consul_tokens.ensure(
                    plan, found.as_("management"), lambda file: found.secret[Path(file).name]
                )
                assert "catalog" in found.as_("sidecar")("GET", "/v1/kv/config/?keys", None)[0]
            codes.append(await until(lambda: _written(found), 30))
        finally:
            server.stop(within=ENDS)
    assert codes == [200, 200, 403]


def _written(release: Agents) -> int:
    """The status with which a key is written by somebody without a token; 0 while there is no leader."""
    url = f"http://{HERE}:{release.ports[SERVER[1]]['http']}/v1/kv/config/catalog"
    request = urllib.request.Request(url, b"x", method="PUT")
    try:
        with backing.direct().open(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code if error.code == 403 else 0
    except OSError:
        return 0


def _nodes(call: Callable[[str, str, object], Any]) -> set[str]:
    return {node["Node"] for node in call("GET", "/v1/catalog/nodes", None)}


def _registered(release: Agents) -> bool:
    """Whether the client takes the registration; it answers with nothing, which is no JSON."""
    url = f"http://{HERE}:{release.ports[CLIENT[1]]['http']}/v1/agent/service/register"
    body = json.dumps({"Name": "orders", "Port": 15006}).encode()
    headers = {"X-Consul-Token": release.secret["sidecar"]}
    request = urllib.request.Request(url, body, headers, method="PUT")
    try:
        with backing.direct().open(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
