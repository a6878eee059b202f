"""Makes the image's environment small and quick to start. The Dockerfile runs it with that environment's Python:

    python requirements/slim.py FOLDER

It takes away what no program of ours can load and compiles what the agent loads. Bytecode of the standard
library goes below FOLDER, at the paths that it has in the image: official Python images come without, and where
nothing may be written Python would compile the same modules at every start.
"""

import importlib.util
import pkgutil
import py_compile
import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path, PurePath

BUILD_ONLY = frozenset({".pyx", ".pxd", ".pxi", ".pyi", ".h", ".c"})
"""What compilers and type checkers read."""
BARE = frozenset({"pygments", "confluent_kafka"})
"""Packages of which only what is loaded is kept: rich asks for Pygments, but nothing of ours shows highlighted source;
of Kafka's client we need the client."""
COMMANDS = re.compile(r"pillion|python[0-9.]*")
"""The commands of the environment that are kept."""
TYPE = re.compile(r"type\.googleapis\.com/envoy(?:\.[a-z0-9_]+)+\.[A-Z]\w*")


def main(folder: Path) -> None:
    """Work on the environment of this Python; say what was done."""
    used = loaded()
    site = Path(sysconfig.get_path("purelib"))
    files = [path for path in site.rglob("*") if path.is_file()]
    gone = [path for path in files if dead(path.relative_to(site), needed=path in used)]
    gone += [path for path in Path(sys.prefix, "bin").iterdir() if not COMMANDS.fullmatch(path.name)]
    taken = sum(path.lstat().st_size for path in gone)
    for path in gone:
        path.unlink()
    made = sum(compiled(path, bytecode(path, site, folder)) for path in sorted(used))
    sys.stdout.write(
        f"{len(gone)} files of {taken} bytes removed, {made} bytes of bytecode made of {len(used)} modules\n"
    )


def loaded() -> frozenset[Path]:
    """The source files of all modules that are loaded once the whole agent and the messages that it names are."""
    import agent  # noqa: PLC0415
    from agent.proxy import assets  # noqa: PLC0415
    from agent.proxy.xds import wire  # noqa: PLC0415

    for module in pkgutil.walk_packages(agent.__path__, "agent."):
        if ours(module.name):
            importlib.import_module(module.name)
    texts = [*Path(agent.__file__).parent.rglob("*.py"), *assets.folder().glob("*.yaml")]
    for url in sorted(types(path.read_text() for path in texts)):
        wire.load_types({"@type": url})
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return frozenset(Path(file) for file in files if file and file.endswith(".py") and file != __file__)


def ours(name: str) -> bool:
    """Whether a module of the agent runs in the image: not the demo, nor the hook that runs inside services."""
    return not name.startswith(("agent.demo", "agent.carry.site")) and not name.endswith(".__main__")


def types(sources: Iterable[str]) -> set[str]:
    """The type URLs of Envoy's messages in these texts."""
    return {url for text in sources for url in TYPE.findall(text)}


def dead(path: PurePath, *, needed: bool) -> bool:
    """Whether a file of site-packages can't be of use; ``needed`` says that the agent loads it."""
    bare = path.parts[0] in BARE and path.suffix == ".py" and not needed
    return path.suffix in BUILD_ONLY or bare


def bytecode(source: Path, site: Path, folder: Path) -> Path:
    """Where a module's bytecode is to be written: beside it in site-packages, else below ``folder``."""
    beside = Path(importlib.util.cache_from_source(str(source)))
    return beside if source.is_relative_to(site) else folder / beside.relative_to("/")


def compiled(source: Path, target: Path) -> int:
    """Write the bytecode; its size. It is never compared with its source: both are fixed in the image."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), str(target), dfile=str(source), doraise=True, invalidation_mode=mode)
    return target.stat().st_size


if __name__ == "__main__":
    main(Path(sys.argv[1]))
