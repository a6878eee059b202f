"""The difference of two documents as a JSON Patch (RFC 6902)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any


def between(before: object, after: object) -> list[dict[str, Any]]:
    """Operations (``add``, ``remove``, ``replace``) that make ``after`` of ``before``, in the order in which they
    apply; paths are JSON Pointers (RFC 6901).

    Only what differs is named: an item that was put into a list is one ``add``; a list whose items changed places is
    replaced as a whole. Numbers and booleans are told apart, as in JSON. The time that it takes grows with the size of
    the documents and no faster, whatever they hold: who made a pod need not mean well.
    """
    return list(_between(before, after, ""))


def _between(before: object, after: object, path: str) -> Iterator[dict[str, Any]]:
    if before is after:
        return  # most of a pod: the injection copies only what it changes
    match before, after:
        case Mapping(), Mapping():
            yield from _mappings(before, after, path)
        case list(), list():
            yield from _lists(before, after, path)
        case _ if not same(before, after):
            yield {"op": "replace", "path": path, "value": after}


def _mappings(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    for key in before:
        if key not in after:
            yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key, value in after.items():
        if key in before:
            yield from _between(before[key], value, f"{path}/{_escaped(key)}")
        else:
            yield {"op": "add", "path": f"{path}/{_escaped(key)}", "value": value}


def _lists(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[dict[str, Any]]:
    same_begin = _identical(zip(before, after, strict=False))
    rest = min(len(before), len(after)) - same_begin
    same_end = min(rest, _identical(zip(reversed(before), reversed(after), strict=False)))
    old = _keyed(before[same_begin : len(before) - same_end])
    new = _keyed(after[same_begin : len(after) - same_end])
    if [key for key in old if key in new] != [key for key in new if key in old]:
        yield {"op": "replace", "path": path, "value": after}
        return
    yield from _merged(old, new, path, same_begin)


_Key = tuple[str, str, int]


def _merged(
    old: Mapping[_Key, Any], new: Mapping[_Key, Any], path: str, here: int
) -> Iterator[dict[str, Any]]:
    """The operations on items from the index ``here`` on, where what is in both stands in the same order."""
    left = iter(old)
    for key, value in new.items():
        if key not in old:
            yield {"op": "add", "path": f"{path}/{here}", "value": value}
        else:
            gone = sum(1 for _ in takewhile(lambda one: one != key, left))  # noqa: B023 - used up at once
            yield from [{"op": "remove", "path": f"{path}/{here}"}] * gone
            if key[0] == _NAMED:
                yield from _between(old[key], value, f"{path}/{here}")
        here += 1
    yield from [{"op": "remove", "path": f"{path}/{here}"} for _ in left]


def _identical(pairs: Iterable[tuple[Any, Any]]) -> int:
    """How many pairs from the first on are one and the same object: what the injection only took over."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))


_NAMED = "name"


def _keyed(items: Sequence[Any]) -> dict[_Key, Any]:
    """Each item by what it is and how often the same came before it."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[_Key, Any] = {}
    for item in items:
        key = _key(item)
        found[(*key, seen[key])] = item
        seen[key] += 1
    return found


def _key(item: Any) -> tuple[str, str]:
    # What has a name is the same thing with other contents, as Kubernetes' own merge keys have it.
    if isinstance(item, Mapping) and isinstance(item.get("name"), str):
        return _NAMED, item["name"]
    return type(item).__name__, _canonical(item)


def _canonical(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ",".join(f"{key!r}:{_canonical(value[key])}" for key in sorted(value, key=str))
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    return repr(value)


def same(one: object, other: object) -> bool:
    """Whether two documents are equal as JSON data, where 1, 1.0 and true are not the same."""
    return type(one) is type(other) and _canonical(one) == _canonical(other)


def _escaped(key: str) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
