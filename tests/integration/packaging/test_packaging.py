"""What belongs to Pillion is found however it was installed."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.integration.packaging.builds import ROOT, Environment, environment, pip

SERVICES = ["inventory", "orders", "storefront"]
IMAGE_ONLY = {"Dockerfile", "requirements.in"}
"""Beside the demo's services, but only for their container images."""
MODULES = ["actionlint", "alertmanager", "compose-v2", "consul", "helm", "jaeger", "prometheus"]


def complete(found: dict[str, object]) -> None:
    """Assert that the package has all its data."""
    assert found["services"] == SERVICES
    assert found["modules"] == MODULES
    assert found["sql"] == len(list((ROOT / "agent/outbox/sql").glob("*.sql")))
    assert found["fragments"] == sorted(path.name for path in (ROOT / "envoy").glob("*.yaml"))
    assert "sitecustomize.py" in found["hook"]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel installed, looked at from an empty folder."""
    fresh = environment(tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("elsewhere"))
    pip(fresh, "install", "--no-deps", str(wheel))
    return fresh


def test_an_installed_wheel_finds_its_data_beside_itself(installed: Environment) -> None:
    found = installed.look()
    assert str(found["agent"]).startswith(str(installed.folder))
    complete(found)


def test_an_installed_wheel_has_a_working_command(installed: Environment) -> None:
    script = installed.folder / "bin" / "pillion"
    said = subprocess.run([script, "--help"], capture_output=True, text=True, cwd=installed.cwd, check=False)
    assert said.returncode == 0, said.stderr
    assert "demo" in said.stdout


def test_the_wheel_holds_every_file_of_the_package_and_no_other(checkout: Path, wheel: Path) -> None:
    """What setup.cfg does not name would be missing only in what users install."""
    moved = {
        "envoy": "agent/proxy/data",
        "compose/services": "agent/demo/services",
        "compose/servers": "agent/demo/servers",
    }
    wanted = {str(path.relative_to(checkout)) for path in (checkout / "agent").rglob("*") if path.is_file()}
    for source, target in moved.items():
        for path in (checkout / source).rglob("*"):
            if path.is_file() and path.name not in {".keep", *IMAGE_ONLY}:
                wanted.add(f"{target}/{path.relative_to(checkout / source)}")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in wanted if not name.endswith(".keep")}


def test_setup_cfg_names_exactly_the_packages_that_exist() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    named = config["options"]["packages"].split()
    lines = config["options"]["package_dir"].strip().splitlines()
    moved = {line.split("=")[0].strip() for line in lines}
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "agent").rglob("__init__.py")}
    assert set(named) - moved == {name for name in there if not name.startswith("agent.carry.site")}
    assert named == sorted(named)


def test_envoys_folder_holds_no_python() -> None:
    """A module there would shadow the messages of xds-protos, whose top-level module is called envoy too."""
    assert not list((ROOT / "envoy").rglob("*.py"))


def test_an_editable_install_finds_its_data_in_the_checkout(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fresh = environment(tmp_path_factory.mktemp("editable"), tmp_path_factory.mktemp("elsewhere"))
    pip(fresh, "install", "--no-deps", "--no-build-isolation", "--editable", str(checkout))
    found = fresh.look()
    assert found["agent"] == str(checkout / "agent")
    complete(found)


def test_a_checkout_works_without_being_installed(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fresh = environment(tmp_path_factory.mktemp("bare"), checkout)
    found = fresh.look()
    assert found["agent"] == str(checkout / "agent")
    complete(found)
    assert "demo" in fresh.run("-m", "agent", "--help")


@pytest.mark.parametrize("first", ["spans", "messages"])
def test_spans_are_sent_and_xds_messages_made_in_one_process(first: str) -> None:
    """opentelemetry-proto and xds-protos install different files of the same names.

    Nothing of Pillion may need either's: whichever was installed last would win.
    """
    spans = "from agent.tracing import otlp, spans"
    messages = (
        "from envoy.config.cluster.v3 import cluster_pb2\n"
        "from envoy.service.discovery.v3 import discovery_pb2\n"
        "cluster_pb2.Cluster(); discovery_pb2.DiscoveryRequest()"
    )
    both = [spans, messages] if first == "spans" else [messages, spans]
    code = "\n".join(
        [*both, "import sys", "print([name for name in sys.modules if 'opentelemetry.proto' in name])"]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
