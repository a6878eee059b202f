"""Fresh environments that borrow the dependencies of the one that runs the tests, but not Pillion itself."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
BUILT_FROM = ("setup.cfg", "pyproject.toml", "README.md", "agent", "envoy", "compose")

LOOK = """
import json, importlib.metadata, pathlib
import agent
from agent.demo import components
from agent.proxy import assets
assets.load()
package = pathlib.Path(agent.__file__).parent
data = components.data()
print(json.dumps({
    "agent": str(package),
    "services": sorted(path.parent.name for path in (data / "services").glob("*/app.py")),
    "modules": sorted(path.parent.name for path in (data / "servers").glob("*/go.sum")),
    "sql": len(list((package / "outbox" / "sql").glob("*.sql"))),
    "hook": sorted(path.name for path in (package / "carry" / "site").iterdir()),
    "fragments": sorted(path.name for path in assets.folder().glob("*.yaml")),
}))
"""


@dataclass
class Environment:
    """A virtual environment and the folder from which commands are run."""

    folder: Path
    cwd: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *argv: str) -> str:
        """Standard output of a command that must succeed."""
        done = subprocess.run(
            [str(self.python), *argv],
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=240,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def look(self) -> dict[str, Any]:
        """Where the package and its data are found from here."""
        found: dict[str, Any] = json.loads(self.run("-c", LOOK))
        return found


def environment(folder: Path, cwd: Path) -> Environment:
    """A virtual environment with the dependencies of ours; made without pip, which takes seconds."""
    venv.create(folder, with_pip=False, symlinks=True)
    fresh = Environment(folder, cwd)
    # A .pth line adds our site-packages but not the .pth files there: an editable Pillion stays invisible.
    site = Path(fresh.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return fresh


def pip(into: Environment | None, *words: str) -> None:
    """Our pip, working on another environment."""
    target = ["--python", str(into.python)] if into else []
    argv = [sys.executable, "-m", "pip", *target, "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def copy(folder: Path) -> Path:
    """A copy of what a package is built from: a build writes beside its source."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


def build(checkout: Path, folder: Path) -> Path:
    """The wheel built from a copy of the checkout."""
    pip(None, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(checkout))
    (built,) = folder.glob("*.whl")
    return built
