"""The list and what real agents show are the same."""

import subprocess
import sys
import uuid
from functools import partial

import pytest

from agent.demo import backing
from agent.metrics import catalog
from agent.metrics.declare import Kind, Metric, Where
from agent.metrics.families import envoy, outbox, process
from tests import databases
from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.integration.metrics.admin import all_of_envoy
from tests.integration.metrics.conftest import Tool
from tests.integration.metrics.scrapes import Samples, expected, kinds, otherwise, ours, parsed
from tests.ports import free_port
from tests.waiting import until


class Scene:
    """A service with an outbox, one that calls it and has an inbox, and the gateway; each was called, an event was
    published."""

    def __init__(self, writer: Instance, caller: Instance, gateway: Instance) -> None:
        self.writer = writer
        self.caller = caller
        self.gateway = gateway

    @property
    def all(self) -> tuple[Instance, ...]:
        """All agents."""
        return self.writer, self.caller, self.gateway


@pytest.fixture
async def scene(own_database: str, mesh: Mesh, shared_nats: backing.Nats) -> Scene:
    await databases.execute(own_database, "CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL)")
    file = mesh.folder / "database"
    file.write_text(own_database)
    file.chmod(0o600)
    stream = f"s{uuid.uuid4().hex[:8]}"
    own_metrics = {"metrics_port": free_port()}
    outbox_settings = {
        "database_file": str(file),
        "changes": [{"table": "orders", "topic": f"{stream}.orders"}],
        "broker": {"url": shared_nats.url, "stream": stream, "create": True},
    }
    tracing = {"endpoint": "http://127.0.0.1:1", "sample": 1}
    writer = mesh.service(
        "orders",
        settings={
            "service": {"health_path": "/health", "health_interval": 0.5, "zone": "a", **own_metrics},
            "outbox": outbox_settings,
            "tracing": tracing,
        },
        environ={"SICK_FILE": str(mesh.folder / "sick")},
    )
    argv = [sys.executable, "-m", "agent", "outbox", "init", "--config", str(writer.file)]
    done = subprocess.run(argv, env=writer.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    traffic = {"check_path": "/health", "balance": "ring_hash", "hash_header": "x-user"}
    orders = {"service": {"zone": "b", **own_metrics}, "upstreams": {"*": {}, "orders": {"traffic": traffic}}}
    inbox_settings = {
        "topics": [{"topic": f"{stream}.orders", "path": "/"}],
        "broker": {"url": shared_nats.url},
        "dedupe": "none",
    }
    caller = mesh.service("shop", settings={"tracing": tracing, "inbox": inbox_settings, **orders})
    gateway = mesh.gateway({**orders, "service": {"zone": "b"}})
    for instance in (writer, caller, gateway):
        await instance.ready(within=100)
    await databases.execute(own_database, "INSERT INTO orders (item) VALUES ('shoe')")
    await until(lambda: caller.call("orders") == 200)
    await until(lambda: gateway.get("/orders/", gateway.gateway)[0] == 200)
    return Scene(writer, caller, gateway)


def page(instance: Instance) -> str:
    """What an agent shows now."""
    code, text = instance.get("/metrics", timeout=60)
    assert code == 200, text
    return text


def scrape(instance: Instance) -> Samples:
    """The samples of it."""
    return parsed(page(instance))


def values(instance: Instance, metric: Metric) -> list[dict[str, str]]:
    """The labels of a metric's samples."""
    return [labels for labels, _ in scrape(instance).get(metric.series[0], [])]


def published(instance: Instance) -> float:
    """Events of the topic."""
    samples = scrape(instance).get(outbox.PUBLISHED.name, [])
    return sum(value for labels, value in samples if labels["topic"].endswith(".orders"))


async def test_every_metric_of_the_list_is_there_and_no_other(scene: Scene, promtool: Tool) -> None:
    await until(lambda: published(scene.writer) == 1)
    for instance, where in (
        (scene.writer, {Where.AGENT, Where.SIDECAR, Where.OUTBOX}),
        (scene.caller, {Where.AGENT, Where.SIDECAR, Where.INBOX}),
        (scene.gateway, {Where.AGENT}),
    ):
        assert ours(page(instance)) == expected(where)
    for instance in scene.all:
        assert otherwise(page(instance), catalog.OWN) == []
    steady = {
        metric.series[0] for metric in catalog.OWN if metric.where is not Where.INJECTOR and not metric.late
    }
    await until(partial(nothing_missing, scene, steady))
    for instance in scene.all:
        assert {metric.series[0] for metric in process.OF_THE_LIBRARY} <= set(scrape(instance))
        judged(promtool("check", "metrics", given=page(instance)))


def nothing_missing(scene: Scene, wanted: set[str]) -> bool:
    """Whether each of these series is shown by one of the agents at the least; raises AssertionError if not."""
    missing = wanted - {series for instance in scene.all for series in scrape(instance)}
    assert not missing
    return True


def judged(done: "subprocess.CompletedProcess[str]") -> None:
    """Prometheus itself reads the scrape (3: it would like other names than Envoy's), and each of ours has help."""
    assert done.returncode in {0, 3}, done.stderr
    without = {line.split(" ")[0] for line in done.stderr.splitlines() if line.endswith("no help text")}
    assert not without & {metric.name for metric in (*catalog.OWN, *envoy.ALL)}


async def test_envoys_metrics_have_the_names_and_labels_of_the_list_and_are_in_the_scrape(
    scene: Scene,
) -> None:
    for instance in (scene.caller, scene.gateway):
        text = all_of_envoy(instance)
        there, types = parsed(text), kinds(text)
        for metric in envoy.ALL:
            assert types[metric.name] == metric.kind
            assert set(metric.series) <= set(there), metric.name
            own = {"le"} if metric.kind is Kind.HISTOGRAM else set()
            for labels, _ in there[metric.series[0]]:
                assert set(labels) - own == set(metric.labels), metric.name
    # Histograms come with the next flush, other late ones once they counted.
    steady = {series for metric in envoy.ALL if not metric.late for series in metric.series}
    asked = {
        series for metric in (envoy.ANSWERS, envoy.TIME, envoy.UPSTREAM_TIME) for series in metric.series
    }
    for instance in (scene.caller, scene.gateway):
        await until(lambda instance=instance: steady | asked <= set(scrape(instance)))

    # An Envoy that answers late, as on a busy machine, is left out of that scrape.
    async def has(instance: Instance, metric: Metric, label: str, wanted: set[str]) -> None:
        await until(lambda: wanted <= {labels[label] for labels in values(instance, metric)})

    clusters = {"upstream_orders", "upstream_shop", "service_reuse", "otlp", "xds"}
    await has(scene.caller, envoy.HEALTHY, envoy.CLUSTER, clusters)
    await has(scene.caller, envoy.ANSWERS, envoy.MANAGER, {"inbound", "outbound"})
    await has(scene.gateway, envoy.ANSWERS, envoy.MANAGER, {"gateway"})


async def test_a_service_whose_last_instance_does_not_pass_has_no_healthy_member(
    scene: Scene, mesh: Mesh
) -> None:
    """The alert on upstreams without instances rests on it: the series stays, at 0."""
    (mesh.folder / "sick").touch()

    def healthy() -> list[float]:
        samples = scrape(scene.caller).get(envoy.HEALTHY.name, [])
        return [value for labels, value in samples if labels[envoy.CLUSTER] == "upstream_orders"]

    await until(lambda: healthy() == [0.0], within=60, every=0.2)
