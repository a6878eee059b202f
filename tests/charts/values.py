"""A chart's values.yaml as what its comments declare.

Above each value stands ``# -- MEANING``, which may go on in further comment lines, and where the type of its default
does not say enough a line ``# @ SCHEMA``: a JSON Schema, or ``$NAME`` for one of ``schema.DEFINITIONS``. A mapping with
such comments on its keys is a group of values; one without is a single value.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_KEY = re.compile(r"( *)([A-Za-z][A-Za-z0-9]*):(.*)")
_COMMENT = re.compile(r" *# ?(.*)")


class UndocumentedError(ValueError):
    """A value without a meaning."""


@dataclass(frozen=True)
class Value:
    """One documented value or group."""

    path: tuple[str, ...]
    meaning: str
    schema: str
    """What follows ``# @``; empty: the type of the default."""
    default: Any

    @property
    def key(self) -> str:
        """As ``--set`` takes it."""
        return ".".join(self.path)


def read(text: str) -> tuple[Value, ...]:
    """All values, in their order. Raises UndocumentedError naming those that no comment explains."""
    whole = yaml.safe_load(text)
    found = tuple(_entries(text, whole))
    known = {value.path for value in found}
    bare = [".".join(path) for path in _leaves(whole, known) if not _covered(path, known)]
    if bare:
        raise UndocumentedError(f"no `# --` comment stands above {', '.join(bare)}")
    return found


def groups(values: tuple[Value, ...]) -> frozenset[tuple[str, ...]]:
    """Paths below which other values are documented."""
    return frozenset(value.path[:depth] for value in values for depth in range(1, len(value.path)))


def _entries(text: str, whole: Mapping[str, Any]) -> Iterator[Value]:
    stack: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if (said := _COMMENT.fullmatch(line)) is not None:
            comment.append(said[1])
            continue
        if (key := _KEY.fullmatch(line)) is not None:
            indent = len(key[1])
            stack = [*(one for one in stack if one[0] < indent), (indent, key[2])]
            path = tuple(name for _, name in stack)
            if comment and comment[0].startswith("-- "):
                schema = " ".join(one[2:] for one in comment if one.startswith("@ "))
                meaning = " ".join(one.strip() for one in comment if not one.startswith("@ "))
                yield Value(path, meaning.removeprefix("-- "), schema, _at(whole, path))
        comment = []


def _at(whole: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        whole = whole[name]
    return whole


def _leaves(whole: Any, known: set[tuple[str, ...]], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in whole.items():
        here = (*path, name)
        if isinstance(value, dict) and value and here not in known:
            yield from _leaves(value, known, here)
        else:
            yield here


def _covered(path: tuple[str, ...], known: set[tuple[str, ...]]) -> bool:
    return any(path[:depth] in known for depth in range(1, len(path) + 1))
