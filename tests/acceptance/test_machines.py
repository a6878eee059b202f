"""Gateways on machines of their own, which network namespaces stand for."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.demo import backing
from tests.acceptance.conftest import GUNICORN
from tests.acceptance.instance import Instance
from tests.acceptance.machines import Machine, machines, seen
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2"
)
HTTP = 8500
SPREAD = 12
"""Seconds for which one that leaves still answers: what stands for a balancer here is slow to look."""


class Lan:
    """Consul and a service on the machine `hub`, a gateway on each of two others, clients on a fourth."""

    def __init__(self, folder: Path, hub: Machine, one: Machine, two: Machine, client: Machine) -> None:
        self.folder = folder
        self.hub, self.client = hub, client
        self.places = {"one": one, "two": two}
        self._running: list[subprocess.Popen[bytes]] = []
        self._consul()
        self.orders = self._start(
            "orders", hub, "run", {"service": {"name": "orders"}}, [*GUNICORN, "plain:app"]
        )
        self.gateways = {
            name: self._start(name, place, "gateway", {}, []) for name, place in self.places.items()
        }

    def _consul(self) -> None:
        argv = [backing.binary("consul"), "agent", "-dev", "-client", "0.0.0.0", "-bind", self.hub.address]
        with (self.folder / "consul.log").open("wb") as log:
            started = subprocess.Popen(
                [*self.hub.prefix, *argv], stdout=log, stderr=log, start_new_session=True
            )
        self._running.append(started)

    def _start(
        self, name: str, place: Machine, verb: str, settings: dict[str, Any], command: list[str]
    ) -> Instance:
        own = {
            "registry": {"address": f"http://{self.hub.address}:{HTTP}", "spread": SPREAD},
            "proxy": {"inbound": f"{place.address}:15006", "outbound": "127.0.0.1:15001"},
            "gateway": {"listen": f"{place.address}:10000"},
            **settings,
        }
        instance = Instance(
            self.folder / name, own, command, verb=verb, prefix=place.prefix, environ={"NAME": name}
        )
        return instance.start()

    def url(self, name: str, path: str = "/orders/") -> str:
        """Where a gateway is reached from other machines."""
        return f"http://{self.places[name].address}:10000{path}"

    def serves(self, name: str) -> bool:
        """Whether the gateway answers the clients' machine for the service."""
        return self.client.get(self.url(name))[0] == 200

    def close(self) -> None:
        """End everything, whatever a story left."""
        with contextlib.ExitStack() as last:
            for process in self._running:
                last.callback(process.wait, 60)
                last.callback(process.terminate)
            for instance in (self.orders, *self.gateways.values()):
                last.callback(instance.stop)


@pytest.fixture
def lan(short_folder: Path) -> Iterator[Lan]:
    with machines("hub", "one", "two", "client") as made:
        found = Lan(short_folder, *made)
        yield found
        found.close()


async def clients(lan: Lan, name: str) -> tuple["subprocess.Popen[bytes]", Path]:
    """Clients of one gateway that have begun."""
    file = lan.folder / f"{name}.json"
    load = lan.client.load(lan.url(name), file)
    await until(file.with_suffix(".going").exists, within=60)
    return load, file


async def test_gateways_on_two_machines_do_not_need_each_other(lan: Lan) -> None:
    """Both list and serve the same. One is drained under load, comes back, and then its machine is lost."""
    for name in lan.gateways:
        await until(partial(lan.serves, name), within=60)
    listed = {name: json.loads(lan.client.get(lan.url(name, "/api/versions"))[1]) for name in lan.gateways}
    assert listed["one"] == listed["two"]
    assert listed["one"]["services"].keys() == {"orders"}

    other, others = await clients(lan, "two")
    leaving, left = await clients(lan, "one")
    lan.gateways["one"].terminate()
    # A balancer in front sees /readyz and sends nobody any more; requests up to then are answered.
    await until(lambda: not ready(lan, "one"))
    assert seen(leaving, left)["failures"] == []
    assert lan.gateways["one"].stop() == 0

    lan.gateways["one"].start()
    await until(partial(lan.serves, "one"), within=60)
    lan.places["one"].unplug()
    assert not lan.serves("one")
    for _ in range(5):
        assert lan.serves("two")
    lan.gateways["one"].process.send_signal(signal.SIGKILL)
    found = seen(other, others)
    assert found["failures"] == []
    assert found["sent"] > 100


def ready(lan: Lan, name: str) -> bool:
    """Whether a gateway says on its own machine that it may get traffic."""
    instance = lan.gateways[name]
    return lan.places[name].get(f"http://127.0.0.1:{instance.health}/readyz")[0] == 200
