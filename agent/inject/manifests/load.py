"""One YAML document as Kubernetes reads it.

kubectl and the API server turn YAML into JSON with sigs.k8s.io/yaml, which reads plain scalars by YAML 1.1 with
exceptions of its own: ``no`` is false, ``0644`` is octal, but a date is a text and ``1:30`` too. What is read in
another way here would be changed by writing it again.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from agent.config import document

DEPTH = 100
"""Levels of nesting beyond which a document is refused."""

MOST = 500_000
"""Values beyond which a document is refused, each alias counted as what it stands for."""

_TAG = "tag:yaml.org,2002:"
_STRING, _LIST, _MAPPING = f"{_TAG}str", f"{_TAG}seq", f"{_TAG}map"
_PLAIN = "plain"
"""Instead of a tag: an untagged scalar without quotes, whose type its text says."""

_MERGE = (_PLAIN, f"{_TAG}merge")

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
"""Plain scalars that are no text."""

_NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = {"x": 16, "b": 2, "o": 8}


class InvalidError(ValueError):
    """The text is no document that Kubernetes would take; the message is a clause that quotes nothing of it."""


def _resolve(_loader: object, kind: object, _value: object, implicit: tuple[bool, bool]) -> str:
    if kind is yaml.ScalarNode:
        return _PLAIN if implicit[0] else _STRING
    return _LIST if kind is yaml.SequenceNode else _MAPPING


# The scanner in C, where PyYAML was built with it, is ten times as fast.
_Loader: Any = type("_Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {"resolve": _resolve})


def compose(text: str) -> yaml.Node | None:
    """The nodes of a text with one document; None when it is empty or null. Raises InvalidError."""
    try:
        node: yaml.Node | None = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        raise InvalidError(document.said(error)) from None
    except RecursionError:
        raise InvalidError(_TOO_DEEP) from None
    except (yaml.YAMLError, ValueError):
        raise InvalidError("holds characters that YAML does not allow") from None
    return None if node is not None and is_null(node) else node


def is_null(node: yaml.Node) -> bool:
    """Whether a node means null, as that of a document with nothing in it does."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _PLAIN and WORDS.get(node.value, "") is None


def from_json(written: str) -> dict[str, Any] | None:
    """The data of a JSON object; None where the text is none, and may be YAML. Raises InvalidError.

    JSON is YAML, except that YAML's scanner does not take tabs for indents."""
    try:
        found = json.loads(written, object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
    except InvalidError:
        raise
    except RecursionError:
        raise InvalidError(_TOO_DEEP) from None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidError("has a key twice in one mapping")
    return found


def _constant(_name: str) -> float:
    raise InvalidError(_INFINITE)


def _float(written: str) -> float:
    value = float(written)
    return value if math.isfinite(value) else _constant(written)


_INFINITE = "holds an infinite number or one that is none"
_TOO_DEEP = f"is nested deeper than {DEPTH} levels"


def entry(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key in a mapping's node; None where there is none."""
    if not isinstance(node, yaml.MappingNode):
        return None
    found = (value for name, value in node.value if isinstance(name, yaml.ScalarNode) and name.value == key)
    return next(found, None)


def text(node: yaml.Node | None) -> str:
    """The text of a scalar's node; empty for anything else."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def end(node: yaml.Node) -> int:
    """The place in the text behind a document's last character that means something; what follows are comments.

    The mark at the end of a collection without brackets stands behind the comments, that of its last value does not."""
    last = node
    for _ in range(2 * DEPTH):
        if not isinstance(last, yaml.CollectionNode) or last.flow_style or not last.value:
            break
        last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]
    return int(last.end_mark.index)


def data(node: yaml.Node) -> Any:
    """The plain data of nodes: what JSON has, with aliases and merge keys resolved. Raises InvalidError."""
    return _Reading().value(node, 0)


class _Reading:
    """One document's reading, which counts what it makes."""

    def __init__(self) -> None:
        self._made = 0

    def value(self, node: yaml.Node, depth: int) -> Any:
        self._made += 1
        if self._made > MOST:
            raise InvalidError(f"stands for more than {MOST} values (aliases count as what they stand for)")
        if depth > DEPTH:
            raise InvalidError(_TOO_DEEP)
        if node.tag == _PLAIN:
            return plain(node.value)
        if node.tag == _STRING and isinstance(node, yaml.ScalarNode):
            return node.value
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
            return [self.value(one, depth + 1) for one in node.value]
        return _tagged(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        own: set[str] = set()
        for name, inner in node.value:
            if name.tag in _MERGE and name.value == "<<":
                # Against YAML's own rule, sigs.k8s.io/yaml lets what stands later win: a merge over a key before it.
                found.update(self._merged(inner, depth))
                continue
            key = _key(name)
            if key in own:
                raise InvalidError(
                    f"has a key twice in one mapping, again at line {name.start_mark.line + 1}"
                )
            own.add(key)
            found[key] = self.value(inner, depth + 1)
        return found

    def _merged(self, node: yaml.Node, depth: int) -> Iterator[tuple[str, Any]]:
        """The pairs of one mapping or of several, of which the first wins: it comes last."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in reversed(parts):
            if not isinstance(part, yaml.MappingNode):
                raise InvalidError(f"merges something that is no mapping at line {node.start_mark.line + 1}")
            yield from self.value(part, depth + 1).items()


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise InvalidError(f"has a key at line {node.start_mark.line + 1} that is no text")
    value = plain(node.value) if node.tag == _PLAIN else node.value
    if value is None:
        raise InvalidError(f"has an empty key at line {node.start_mark.line + 1}")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _tagged(node: yaml.Node) -> Any:
    kind = node.tag.removeprefix(_TAG)
    value = plain(node.value) if isinstance(node, yaml.ScalarNode) else node.value
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(node, yaml.ScalarNode) and isinstance(value, _TYPES.get(kind, ())) and _is(kind, value):
        return value
    raise InvalidError(
        f"has a tag (!) at line {node.start_mark.line + 1} that Kubernetes does not know there"
    )


_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "null": type(None)}


def _is(kind: str, value: object) -> bool:
    return not isinstance(value, bool) or kind == "bool"


def plain(written: str) -> str | int | float | bool | None:
    """What a scalar without quotes and tag means. Raises InvalidError for what JSON can't say."""
    if written in WORDS:
        return WORDS[written]
    if written[0] not in "+-.0123456789":
        return written
    if _NOT_JSON.fullmatch(written):
        raise InvalidError(_INFINITE)
    short = written if written[0] == "." else written.replace("_", "")
    if _INTEGER.fullmatch(short) and len(short) < 80:
        number = _whole(short)
        if -(2**63) <= number < 2**64:
            return number
    if _FLOAT.fullmatch(short):
        value = float(short)
        return value if math.isfinite(value) else written
    return written


def means_itself(written: str) -> bool:
    """Whether a scalar without quotes is the text that it looks like."""
    try:
        return plain(written) == written
    except InvalidError:
        return False


def _whole(short: str) -> int:
    sign, digits = (-1, short[1:]) if short[0] == "-" else (1, short.removeprefix("+"))
    base = _BASES.get(digits[1:2].lower())
    if base:
        return sign * int(digits[2:], base)
    return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
