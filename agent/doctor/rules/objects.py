"""Parts of objects of the Kubernetes API; of what is missing or malformed there is nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from agent.runtime.words import plain

Object = Mapping[str, Any]

FEW = 5
"""Names that a sentence holds."""


def part(value: Any, *keys: str) -> Any:
    """The value below some keys, None where there is none."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def text(value: Any, *keys: str) -> str:
    """A text below some keys, empty where there is none; fit for a terminal."""
    found = part(value, *keys)
    return shown(found) if isinstance(found, str) else ""


def mapping(value: Any, *keys: str) -> Object:
    """A mapping below some keys."""
    found = part(value, *keys)
    return found if isinstance(found, Mapping) else {}


def rows(value: Any, *keys: str) -> list[Object]:
    """A list of mappings below some keys."""
    found = part(value, *keys)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def number(value: Any, *keys: str) -> int:
    """A whole number below some keys, 0 where there is none."""
    found = part(value, *keys)
    return found if type(found) is int else 0


def name(one: Object) -> str:
    """What an object is called."""
    return text(one, "metadata", "name")


def namespace(one: Object) -> str:
    """Where it is."""
    return text(one, "metadata", "namespace")


def full(one: Object) -> str:
    """Both, as in ``shop/orders-1``."""
    return f"{namespace(one)}/{name(one)}"


def labels(one: Object) -> Object:
    """Its labels."""
    return mapping(one, "metadata", "labels")


def annotations(one: Object) -> Object:
    """Its annotations."""
    return mapping(one, "metadata", "annotations")


def shown(value: str) -> str:
    """Without control characters, which could rule a terminal."""
    return plain(value[:300])


def listed(names: Iterable[str]) -> str:
    """Some of the names, and how many more there are."""
    every = sorted(set(names))
    more = f" and {len(every) - FEW} more" if len(every) > FEW else ""
    return ", ".join(every[:FEW]) + more
