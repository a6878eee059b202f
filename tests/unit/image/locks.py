"""Lock files and the requirements that they lock, read as pip reads them."""

import configparser
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
SERVICES = sorted(path.parent for path in (ROOT / "compose" / "services").glob("*/requirements.in"))
LOCKS = [
    ROOT / "requirements" / "image.txt",
    ROOT / "requirements" / "build.txt",
    *(folder / "requirements.txt" for folder in SERVICES),
]
ENTRY = re.compile(r"^(?P<pin>[^\s#].*?)(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)$")


@dataclass(frozen=True)
class Pin:
    """One locked project: its version, and why it is there in the lock file's own words."""

    name: str
    version: str
    hashes: int
    via: tuple[str, ...]


def pins(text: str) -> dict[str, Pin]:
    """The pins of a lock file by name. Raises ValueError for a line that is no pin with check sums."""
    found: dict[str, Pin] = {}
    for block in re.split(r"\n(?=[^\s#])", text.replace(" \\\n    ", " ")):
        lines = block.splitlines()
        comments = [line.strip().lstrip("# ") for line in lines if line.lstrip().startswith("#")]
        for line in lines:
            if line.strip() and not line.lstrip().startswith("#"):
                pin = _pin(line, comments)
                found[pin.name] = pin
    return found


def _pin(line: str, comments: list[str]) -> Pin:
    match = ENTRY.match(line.rstrip())
    if match is None:
        raise ValueError(f"not a pin with check sums: {line[:80]}")
    requirement = Requirement(match["pin"])
    (exact,) = requirement.specifier
    if exact.operator != "==":
        raise ValueError(f"not pinned: {line[:80]}")
    via = tuple(word.removeprefix("via").strip() for word in comments)
    return Pin(
        str(canonicalize_name(requirement.name)),
        exact.version,
        match["hashes"].count("--hash"),
        tuple(filter(None, via)),
    )


def asked(lines: Iterable[str]) -> list[Requirement]:
    """The requirements of these lines, comments left out."""
    return [Requirement(line) for line in map(str.strip, lines) if line and not line.startswith("#")]


def of_image() -> list[Requirement]:
    """What setup.cfg says that the image holds."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    return asked(
        line
        for text in (
            config["options"]["install_requires"],
            *(extras[name] for name in ("kafka", "kubernetes", "nats", "postgres", "rabbitmq")),
        )
        for line in text.splitlines()
    )


def of_build() -> list[Requirement]:
    """What pyproject.toml says that a wheel is built with."""
    return asked(tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"])


def of_file(path: Path) -> list[Requirement]:
    """What a requirements.in asks for."""
    return asked(path.read_text().splitlines())


def disagreements(wanted: Iterable[Requirement], locked: dict[str, Pin], source: str) -> list[str]:
    """What has to be locked anew: missing, too old or new, or locked for ``source`` which no longer asks."""
    needs = {str(canonicalize_name(one.name)): one for one in wanted}
    found = []
    for name, requirement in sorted(needs.items()):
        pin = locked.get(name)
        if pin is None:
            found.append(f"{requirement} is not locked")
        elif not requirement.specifier.contains(pin.version, prereleases=True):
            found.append(f"{requirement} is locked as {pin.version}")
    left = (pin.name for pin in locked.values() if source in pin.via and pin.name not in needs)
    return found + [f"{name} is locked but no longer asked for" for name in left]
