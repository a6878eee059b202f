"""One installation for all tests here, made from nothing and taken out at the end."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from agent.demo import obtain
from agent.demo.report import Report
from agent.runtime.errors import Permanent
from tests.commands import CommandError
from tests.kubernetes import evidence, images, install
from tests.kubernetes.cluster import Cluster, find, find_kubectl
from tests.kubernetes.helm import Helm
from tests.kubernetes.kube import Kube
from tests.kubernetes.world import World
from tests.record import Record

ORDER = (
    *("install", "mesh", "admission", "offline", "doctor", "start"),
    *("lifecycle", "scaling", "rolling", "webhook", "crashes", "backup", "catalog", "upgrade"),
)
"""The modules: what only looks first, what destroys last."""
OUT = Path(__file__).parents[2] / "build"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--keep-installed`` takes what is installed already and leaves it."""
    parser.addoption(
        "--keep-installed", action="store_true", help="use and leave an installation of these tests"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules into their order; stories take longer than other tests."""
    places = {f"test_{name}.py": number for number, name in enumerate(ORDER)}
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in here:
        item.add_marker(pytest.mark.timeout(1800))
    turns = iter(sorted(here, key=lambda item: places.get(item.path.name, -1)))
    items[:] = [next(turns) if item in here else item for item in items]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a failed test left, before the next one changes it."""
    report = yield
    world = getattr(item, "funcargs", {}).get("world")
    if call.when == "call" and call.excinfo is not None and isinstance(world, World):
        evidence.keep(world.kube, OUT, item.name)
    return report


@pytest.fixture(scope="session")
def record() -> Record:
    """The report, ``build/kubernetes-report.md``."""
    return Record(OUT / "kubernetes-report.md", "Pillion on a real Kubernetes, measured")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, running; stopped at the end if it was not running before."""
    OUT.mkdir(exist_ok=True)
    try:
        found = find(os.environ, OUT)
    except CommandError as error:
        pytest.fail(str(error), pytrace=False)
    yield found
    found.stop()


@pytest.fixture(scope="session")
def kube(cluster: Cluster) -> Kube:
    """kubectl for the cluster."""
    kubeconfig = cluster.start()
    return Kube(find_kubectl(os.environ), kubeconfig)


@pytest.fixture(scope="session")
def helm(kube: Kube) -> Helm:
    """helm, obtained if need be."""
    try:
        return Helm(str(obtain.obtain("helm", Report(Console()))), kube.kubeconfig)
    except Permanent as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def world(
    request: pytest.FixtureRequest, cluster: Cluster, kube: Kube, helm: Helm, record: Record
) -> Iterator[World]:
    """The cluster with everything installed."""
    keep = request.config.getoption("--keep-installed")
    tags = images.build()
    images.bring(cluster, kube, tags)
    if not keep:
        install.remove(kube, helm)
    install.make_namespaces(kube)
    version = kube.json("version")["serverVersion"]["gitVersion"]
    record.section("Machine", [f"Kubernetes {version}, {cluster.words}, {os.cpu_count()} processors"])
    built = install.Images(tags)
    try:
        with kube.proxy() as api:
            made = World(kube, helm, built, record, api)
            try:
                install.install(helm, built)
                # A pod is ready when its service answers; that callers find it is another matter.
                for name, count in install.SERVICES.items():
                    made.has(name, count, 180)
            except (CommandError, AssertionError):
                evidence.keep(kube, OUT, "installation")
                raise
            yield made
    finally:
        if not keep:
            install.remove(kube, helm)
