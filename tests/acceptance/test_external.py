"""An Envoy that someone else runs with what `pillion envoy bootstrap` prints, and the agent that directs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from agent.demo import backing
from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.acceptance.test_registration import passing
from tests.waiting import until

NOBODY, GROUP = 65534, 4242
EXTERNAL = {"mode": "external"}


class Foreign:
    """An Envoy of its own, started with a printed bootstrap; as another user where this one may do that."""

    def __init__(self, instance: Instance, folder: Path, *, user: int | None = None) -> None:
        self._folder = folder
        self._log = folder / "envoy.log"
        self.user = user if os.geteuid() == 0 else None
        self.printed = bootstrap(instance)
        self.file = folder / "envoy.yaml"
        self.file.write_text(self.printed)
        self._file_for_all()
        self.process: subprocess.Popen[bytes] | None = None

    def _file_for_all(self) -> None:
        self.binary = Path(backing.binary("envoy"))
        if self.user is not None:  # the cache may be below a home that is closed to others
            self.binary = Path(shutil.copy(self.binary, self._folder / "envoy"))

    def start(self) -> None:
        argv = [str(self.binary), "-c", str(self.file), "--disable-hot-restart", "--log-level", "warning"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                user=self.user, group=GROUP if self.user is not None else None,
                extra_groups=[] if self.user is not None else None,
            )  # fmt: skip

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def bootstrap(instance: Instance) -> str:
    """What `pillion envoy bootstrap` prints for an instance's settings."""
    argv = [sys.executable, "-m", "agent", "envoy", "bootstrap", "--config", str(instance.file)]
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=instance.environ).stdout


@pytest.fixture
def foreign(short_folder: Path) -> Iterator[Callable[..., Foreign]]:
    """Starts Envoys that end with the test."""
    started: list[Foreign] = []

    def make(instance: Instance, *, user: int | None = None) -> Foreign:
        one = Foreign(instance, short_folder, user=user)
        started.append(one)
        one.start()
        return one

    yield make
    for one in started:
        one.kill()


async def test_it_is_told_what_to_do_and_outlives_the_agent(
    mesh: Mesh, foreign: Callable[..., Foreign]
) -> None:
    orders = mesh.service("orders", settings={"proxy": EXTERNAL})
    await until(lambda: "pillion envoy bootstrap" in json.dumps(orders.status().get("components", {})))
    assert passing(mesh.consul, "orders") == []
    envoy = foreign(orders)
    await orders.ready()
    assert set(orders.children()) == {"agent", "service"}
    assert orders.get("/", orders.inbound)[0] == 200
    assert "envoy_cluster_upstream_rq" in orders.get("/metrics")[1]
    async with load(f"http://127.0.0.1:{orders.inbound}/") as record:
        await until(lambda: record.sent > 20)
        before = orders.children()
        os.kill(before["agent"], signal.SIGKILL)
        await until(lambda: orders.children().get("agent") not in (None, before["agent"]))
        await until(lambda: orders.status().get("envoy", {}).get("connected"))
        sent = record.sent
        await until(lambda: record.sent > sent + 100)
    assert record.failures == []
    assert envoy.runs


async def test_a_new_one_gets_everything_again(mesh: Mesh, foreign: Callable[..., Foreign]) -> None:
    orders = mesh.service("orders", settings={"proxy": EXTERNAL})
    envoy = foreign(orders)
    await orders.ready()
    envoy.kill()
    await until(lambda: not orders.status()["envoy"]["connected"])
    envoy.start()
    await until(lambda: orders.get("/", orders.inbound)[0] == 200)
    await until(lambda: (told := orders.status()["envoy"])["in_force"] == told["sent"] != "")
    assert orders.status()["envoy"]["refusals"] == []
    assert envoy.runs


async def test_a_stopped_agent_drains_it_and_the_next_one_has_it_serve_again(
    mesh: Mesh, foreign: Callable[..., Foreign]
) -> None:
    orders = mesh.service("orders", settings={"proxy": EXTERNAL})
    envoy = foreign(orders)
    await orders.ready()
    assert orders.stop() == 0
    assert passing(mesh.consul, "orders") == []
    assert envoy.runs
    await orders.start().ready()
    await until(lambda: orders.get("/", orders.inbound)[0] == 200)
    async with load(f"http://127.0.0.1:{orders.inbound}/") as record:
        await until(lambda: record.sent > 50)
    assert record.failures == []
    metrics = orders.get("/metrics")[1].splitlines()
    drained = [line for line in metrics if "downstream_cx_drain_close" in line and "inbound" in line]
    assert all(line.endswith(" 0") for line in drained), drained


async def test_one_of_another_user_reaches_the_sockets_by_its_group(
    mesh: Mesh, foreign: Callable[..., Foreign]
) -> None:
    group = GROUP if os.geteuid() == 0 else os.getegid()
    orders = mesh.service("orders", settings={"proxy": {**EXTERNAL, "xds_group": str(group)}})
    printed = yaml.safe_load(bootstrap(orders))
    assert printed["admin"]["address"]["pipe"]["mode"] == 0o660
    await until(lambda: orders.status() != {})
    folder = orders.folder / "state"
    socket = folder / "envoy" / "xds.sock"
    await until(socket.exists)
    assert (socket.stat().st_gid, socket.stat().st_mode & 0o777) == (group, 0o660)
    assert folder.stat().st_mode & 0o777 == 0o710
    foreign(orders, user=NOBODY)
    await orders.ready()
    assert orders.get("/", orders.inbound)[0] == 200
    assert "envoy_cluster_upstream_rq" in orders.get("/metrics")[1]


def test_a_group_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    settings = {"service": {"name": "orders"}, "proxy": {**EXTERNAL, "xds_group": "no-such-group"}}
    instance = Instance(tmp_path, settings).start()
    assert instance.process is not None
    try:
        assert instance.process.wait(60) == 2
    finally:
        instance.kill()
    assert "proxy.xds_group is 'no-such-group', which is no group of this machine" in instance.tail()
