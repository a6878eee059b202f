"""The images as they are built and run: confined, with nothing to talk to, and ended."""

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run
from tests.waiting import until

ROOT = Path(__file__).parents[2]
IMAGE, CARRY = "pillion:test", "pillion-carry:test"
LARGEST = 260_000_000
"""Bytes of the image; Envoy alone is 107 million."""
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
STATE = ("--tmpfs", "/tmp", "--tmpfs", "/var/lib/pillion:uid=65532,gid=65532,mode=0700")
CHECK_OFTEN = ("--health-interval", "1s", "--health-retries", "2", "--health-start-period", "0s")
"""Otherwise as the image says; it would take a quarter of a minute to call something unhealthy."""

Starter = Callable[..., str]


@pytest.fixture(scope="module")
def image() -> str:
    """The image, built from the checkout."""
    run("docker", "build", "--tag", IMAGE, str(ROOT), within=1500)
    return IMAGE


@pytest.fixture
def start(image: str) -> Iterator[Starter]:
    """Starts the image confined and returns the container's id; what was started is gone afterwards."""
    started: list[str] = []

    def start(*command: str, options: tuple[str, ...] = ()) -> str:
        started.append(
            run("docker", "run", "-d", *CONFINED, *STATE, *CHECK_OFTEN, *options, image, *command).strip()
        )
        return started[-1]

    yield start
    for container in started:
        run("docker", "rm", "--force", "--volumes", container)


def inspect(kind: str, name: str) -> dict[str, Any]:
    """What Docker knows of an image or a container."""
    (found,) = json.loads(run("docker", kind, "inspect", name))
    described: dict[str, Any] = found
    return described


def python(image: str, code: str) -> Any:
    """What Python says in the image, as JSON."""
    return json.loads(run("docker", "run", "--rm", *CONFINED, "--entrypoint", "python", image, "-c", code))


async def becomes(container: str, health: str) -> None:
    """Wait until the image's own health check says so."""

    def said() -> bool:
        state = inspect("container", container)["State"]
        assert state["Running"], run("docker", "logs", container, both=True)[-2000:]
        assert state["Health"]["Status"] == health, state["Health"]
        return True

    await until(said, within=60, every=0.5)


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("gateway", "--help")])
def test_the_command_runs_confined(image: str, words: tuple[str, ...]) -> None:
    said = run("docker", "run", "--rm", *CONFINED, "--user", "65532", image, *words)
    assert "pillion" in said


async def test_a_gateway_without_consul_stays_up_and_ends_at_once_when_told(start: Starter) -> None:
    container = start("gateway")
    await becomes(container, "healthy")
    began = time.monotonic()
    run("docker", "stop", "--time", "60", container)
    assert inspect("container", container)["State"]["ExitCode"] == 0
    assert time.monotonic() - began < 20


async def test_the_health_check_asks_where_the_setting_says(start: Starter) -> None:
    container = start("gateway", options=("--env", "PILLION_ADMIN_HEALTH=127.0.0.1:16021"))
    await becomes(container, "healthy")


async def test_without_a_health_address_there_is_nothing_to_complain_of(start: Starter) -> None:
    container = start("gateway", options=("--env", "PILLION_ADMIN_HEALTH="))
    await becomes(container, "healthy")


async def test_a_container_in_which_nothing_answers_is_unhealthy(start: Starter) -> None:
    container = start("600", options=("--entrypoint", "sleep"))
    await becomes(container, "unhealthy")


def test_the_user_may_write_nowhere_but_in_its_folder(image: str) -> None:
    """Seen without the read-only root, which would hide it."""
    look = (
        "find / -xdev -path /proc -prune -o -writable ! -type l ! -path '/dev/*' -print 2>/dev/null || true"
    )
    found = run("docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", look)
    assert set(found.split()) == {"/tmp", "/var/tmp", "/run/lock", "/var/lib/pillion"} & set(found.split())
    assert "/var/lib/pillion" in found.split()


def test_nothing_is_left_of_building(image: str) -> None:
    look = (
        "find /opt /usr/local -xdev '(' -name 'pip*' -o -name '*.pyx' -o -name '*.pyi' -o -name '*.whl' ')' -print;"
        " find /source /image /root/.cache /tmp /var/cache/apt /var/lib/apt -mindepth 1 2>/dev/null;"
        " command -v strip gcc pip apt-get perl || true"
    )
    assert not run("docker", "run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", look)
    assert (
        python(image, "import importlib.util as u; print('[]' if u.find_spec('pip') is None else '[1]')")
        == []
    )


def test_no_program_gives_its_caller_another_user(image: str) -> None:
    look = "find / -xdev -type f -perm /6000 -print"
    assert not run("docker", "run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", look)


def test_what_is_not_there_is_not_in_the_list_of_packages_either(image: str) -> None:
    """A scanner believes the list."""
    listed = run("docker", "run", "--rm", "--entrypoint", "dpkg-query", image, "-W", "-f", "${Package}\\n")
    assert "libc6" in listed.split()
    assert not {"apt", "perl-base", "python3-pip"} & set(listed.split())


def test_nothing_is_compiled_at_a_start(image: str) -> None:
    """Where nothing can be written it would be compiled at every start."""
    code = (
        "import json, os, sys, agent.wiring.gateway, agent.wiring.sidecar, agent.outbox.brokers.nats\n"
        "specs = [module.__spec__ for module in list(sys.modules.values()) if getattr(module, '__spec__', 0)]\n"
        "print(json.dumps([s.name for s in specs if s.cached and not os.path.exists(s.cached)]))"
    )
    assert python(image, code) == []


def test_the_image_says_what_it_is(image: str) -> None:
    config = inspect("image", image)["Config"]
    version = run("docker", "run", "--rm", *CONFINED, image, "--version").split()[-1]
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert {"title", "description", "licenses", "revision", "source"} <= {
        label.rpartition(".")[2]
        for label in config["Labels"]
        if label.startswith("org.opencontainers.image.")
    }
    assert (config["User"], config["StopSignal"]) == ("65532:65532", "SIGTERM")


def test_the_usual_authorities_are_trusted(image: str) -> None:
    code = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    assert python(image, code) > 50


def test_the_image_is_no_larger_than_it_may_be(image: str) -> None:
    assert inspect("image", image)["Size"] < LARGEST


def test_the_image_of_the_hook_holds_the_hook_alone() -> None:
    run("docker", "build", "--tag", CARRY, "--target", "carry", str(ROOT), within=600)
    container = run("docker", "create", CARRY, "none").strip()
    try:
        exported = subprocess.run(["docker", "export", container], capture_output=True, check=True).stdout
    finally:
        run("docker", "rm", container)
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        files = {member.name: member.mode for member in tar if member.isfile()}
    site = ROOT / "agent" / "carry" / "site"
    docker = {".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf"}
    assert files.keys() - docker == {str(path.relative_to(site)) for path in site.rglob("*.py")}
    assert all(mode & 0o444 == 0o444 for name, mode in files.items() if name not in docker)
