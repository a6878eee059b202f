"""Envoy's static fragments on disk: the installed folder if there is one, else the checkout's ``envoy``."""

from pathlib import Path
from typing import Any

import yaml

from agent.proxy.planner.fragments import NAMES, Fragments
from agent.runtime.errors import Misconfigured, Problem


def folder() -> Path:
    """Where Pillion's own fragments are."""
    here = Path(__file__).parent
    installed = here / "data"
    return installed if installed.is_dir() else here.parent.parent / "envoy"


def load(assets_dir: str = "") -> Fragments:
    """Read all fragments; a file of the same name in ``assets_dir`` (``proxy.assets_dir``) replaces
    Pillion's own.

    Raises Misconfigured with everything that is wrong with the replacing files: the folder or a file can't
    be read, is no YAML, or has no mapping or list at its top; a file whose name no fragment has.
    """
    wrongs: list[str] = []
    overriding = _overriding(assets_dir, wrongs)
    content = {name: _read(overriding.get(name, folder() / f"{name}.yaml"), wrongs) for name in NAMES}
    if wrongs:
        allowed = "a folder of YAML files named " + ", ".join(f"{name}.yaml" for name in NAMES)
        raise Misconfigured([Problem("proxy.assets_dir", wrong, allowed) for wrong in wrongs])
    return Fragments(content)


def _overriding(assets_dir: str, wrongs: list[str]) -> dict[str, Path]:
    if not assets_dir:
        return {}
    try:
        files = {path.stem: path for path in sorted(Path(assets_dir).iterdir()) if path.suffix == ".yaml"}
    except OSError as error:
        wrongs.append(f"is {assets_dir!r}, which can't be read: {error.strerror}")
        return {}
    wrongs += [
        f"holds {path.name}, which replaces nothing" for name, path in files.items() if name not in NAMES
    ]
    return files


def _read(path: Path, wrongs: list[str]) -> Any:
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        wrongs.append(f"has {path.name}, which can't be read: {error}")
        return {}
    if not isinstance(content, (dict, list)):
        wrongs.append(f"has {path.name}, which holds neither a mapping nor a list")
    return content
