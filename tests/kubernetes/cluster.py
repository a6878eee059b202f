"""Finding a Kubernetes: one that KUBECONFIG names, else kind, else the cluster beside this checkout."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.commands import CommandError, run

KIND_NAME = "pillion-test"
BESIDE = Path(__file__).parents[2].parent / "shared" / "cluster"
NOTHING = (
    "test-kubernetes needs a Kubernetes of 1.29 or later: name one by KUBECONFIG, or install kind, or let "
    "PILLION_CLUSTER name a folder with the programs `up`, `load` and `down`"
)


class Cluster(Protocol):
    """Where the tests run."""

    @property
    def words(self) -> str:
        """What it is, for the report."""
        ...

    def start(self) -> Path:
        """Start it unless it runs; its kubeconfig. Raises CommandError."""
        ...

    def load(self, images: Sequence[str], folder: Path) -> None:
        """Let pods run these images of Docker's; ``folder`` may hold files meanwhile. Raises CommandError."""
        ...

    def stop(self) -> None:
        """Stop it if ``start`` started it."""
        ...


@dataclass
class Given:
    """Somebody else's cluster, by KUBECONFIG. PILLION_LOAD is a command that takes archives of ``docker save``."""

    kubeconfig: Path
    loads: str

    @property
    def words(self) -> str:
        return "the cluster of KUBECONFIG"

    def start(self) -> Path:
        return self.kubeconfig

    def load(self, images: Sequence[str], folder: Path) -> None:
        if not self.loads:
            raise CommandError(
                f"the cluster of KUBECONFIG lacks {', '.join(images)}: let PILLION_LOAD be a command that takes the "
                "name of an archive made by `docker save`, or load them yourself"
            )
        run(*self.loads.split(), str(saved(images, folder)), within=1200)

    def stop(self) -> None:
        """It is not ours."""


@dataclass
class Kind:
    """A cluster made by kind."""

    folder: Path
    ours: bool = False

    @property
    def words(self) -> str:
        return f"kind's cluster {KIND_NAME}"

    def start(self) -> Path:
        kubeconfig = self.folder / "kind.kubeconfig"
        if KIND_NAME not in run("kind", "get", "clusters").split():
            self.ours = True
            run(
                "kind",
                "create",
                "cluster",
                "--name",
                KIND_NAME,
                "--wait",
                "180s",
                "--kubeconfig",
                str(kubeconfig),
            )
        kubeconfig.write_text(run("kind", "get", "kubeconfig", "--name", KIND_NAME))
        kubeconfig.chmod(0o600)
        return kubeconfig

    def load(self, images: Sequence[str], folder: Path) -> None:
        run("kind", "load", "docker-image", "--name", KIND_NAME, *images, within=1200)

    def stop(self) -> None:
        if self.ours:
            run("kind", "delete", "cluster", "--name", KIND_NAME)


@dataclass
class Beside:
    """A folder with ``up``, which prints the kubeconfig's path, ``load ARCHIVE`` and ``down``."""

    folder: Path
    state: Path
    ours: bool = False

    @property
    def words(self) -> str:
        return "a single node from the programs beside this checkout"

    def start(self) -> Path:
        self.ours = not (self.state / "kubeconfig").exists()
        return Path(run(str(self.folder / "up"), within=3600).strip().splitlines()[-1])

    def load(self, images: Sequence[str], folder: Path) -> None:
        run(str(self.folder / "load"), str(saved(images, folder)), within=1200)

    def stop(self) -> None:
        if self.ours:
            run(str(self.folder / "down"), within=120)


def find(environ: Mapping[str, str], folder: Path) -> Cluster:
    """The cluster that this machine offers; ``folder`` is for files. Raises CommandError with what to do."""
    if environ.get("KUBECONFIG"):
        return Given(Path(environ["KUBECONFIG"]), environ.get("PILLION_LOAD", ""))
    if shutil.which("kind"):
        return Kind(folder)
    beside = Path(environ.get("PILLION_CLUSTER") or BESIDE)
    if (beside / "up").is_file():
        return Beside(beside, Path(environ.get("PILLION_CLUSTER_STATE", "/var/lib/pillion-cluster")))
    raise CommandError(NOTHING)


def find_kubectl(environ: Mapping[str, str]) -> str:
    """kubectl from PATH, else the one that the cluster beside this checkout built. Raises CommandError."""
    cache = Path(environ.get("PILLION_CLUSTER_CACHE", Path.home() / ".cache" / "pillion-cluster"))
    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(cache / "bin"))
    if found is None:
        raise CommandError("test-kubernetes needs kubectl on PATH")
    return found


def saved(images: Sequence[str], folder: Path) -> Path:
    """One archive with these images, layers that they share in it once."""
    archive = folder / "images.tar"
    archive.unlink(missing_ok=True)
    run("docker", "save", "--output", str(archive), *images, within=1200)
    archive.chmod(0o644)
    return archive
