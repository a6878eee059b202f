"""The form of commands that no test types: files, targets of make and values of charts that they name are there."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import yaml

from tests.unit.docs.blocks import ROOT
from tests.unit.docs.typed import Typed

_OURS = ("charts/", "docs/", "compose/", "requirements/", "tests/")
"""With which of these a word begins that names a file of the checkout."""
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def wrong(typed: Typed) -> list[str]:
    """What a command names that is not there; nothing for a right one."""
    try:
        words = shlex.split(typed.text, comments=True)
    except ValueError as error:
        return [str(error)]
    if words[0] == "make":
        return [f"no target {word}" for word in words[1:] if "=" not in word and word not in targets()]
    missing = [word for word in words if word.startswith(_OURS) and not (ROOT / word).exists()]
    return [*(f"no file {word}" for word in missing), *(_helm(words) if words[0] == "helm" else [])]


def targets() -> frozenset[str]:
    """The targets of the Makefile."""
    return frozenset(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


def _helm(words: list[str]) -> Iterator[str]:
    """The values that a helm command sets and that its chart does not have."""
    chart = next((ROOT / word for word in words if word.startswith("charts/")), None)
    if chart is None or not chart.exists():
        return
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    for option, given in pairwise(words):
        if option in ("--set", "--set-json", "--set-string"):
            for pair in [given] if option == "--set-json" else given.split(","):
                if not _has(values, pair.partition("=")[0].split(".")):
                    yield f"{chart.name} has no value {pair}"


def _has(values: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True
