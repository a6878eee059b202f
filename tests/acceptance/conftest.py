"""A mesh on one machine: a Consul of its own and any number of `pillion` processes, all ended with the story."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.demo import backing
from tests.acceptance.instance import Instance

APPS = Path(__file__).parent / "apps"
GUNICORN = (
    sys.executable,
    "-m",
    "gunicorn",
    "--workers",
    "1",
    "--threads",
    "4",
    "--chdir",
    str(APPS),
    "--log-level",
    "warning",
)


class Mesh:
    """Starts instances against one Consul and remembers them."""

    def __init__(self, folder: Path, consul: backing.Consul) -> None:
        self.folder = folder
        self.consul = consul
        self.instances: list[Instance] = []

    def service(
        self,
        name: str,
        *,
        app: str = "plain:app",
        settings: dict[str, Any] | None = None,
        label: str = "",
        environ: dict[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> Instance:
        """A `pillion run -- gunicorn app`; not ready yet."""
        label = label or f"{name}-{len(self.instances)}"
        extra = dict(settings or {})
        service = {"name": name, **extra.pop("service", {})}
        registry = {"address": self.consul.url, "spread": 0.5, **extra.pop("registry", {})}
        return self._start(
            label,
            {"service": service, "registry": registry, **extra},
            list(command) or [*GUNICORN, app],
            environ={"NAME": label, **(environ or {})},
        )

    def gateway(self, settings: dict[str, Any] | None = None, label: str = "gateway") -> Instance:
        """A `pillion gateway`; not ready yet."""
        return self._start(
            label, {"registry": {"address": self.consul.url}, **(settings or {})}, [], verb="gateway"
        )

    def _start(self, label: str, settings: dict[str, Any], command: list[str], **more: Any) -> Instance:
        instance = Instance(self.folder / label, settings, command, **more)
        self.instances.append(instance)
        return instance.start()

    def close(self) -> None:
        """End all instances, last first."""
        errors = []
        for instance in reversed(self.instances):
            try:
                instance.stop()
            except AssertionError as error:
                errors.append(str(error))
        assert not errors, "\n".join(errors)


@pytest.fixture
def mesh(short_folder: Path, own_consul: backing.Consul) -> Iterator[Mesh]:
    mesh = Mesh(short_folder, own_consul)
    yield mesh
    mesh.close()


@pytest.fixture
def mesh_without_consul(short_folder: Path) -> Callable[[backing.Consul], Mesh]:
    """Makes a mesh against a Consul that the story starts itself."""
    return lambda consul: Mesh(short_folder, consul)
