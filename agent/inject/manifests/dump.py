"""Plain data as YAML that every reader reads as the same data, whichever version of YAML it goes by."""

import json
import re
from functools import lru_cache
from typing import Any

import yaml

from agent.inject.manifests.load import means_itself

_TAG = "tag:yaml.org,2002:"
_OURS = (
    (re.compile(r"true|false"), f"{_TAG}bool"),
    (re.compile(r"null"), f"{_TAG}null"),
    (re.compile(r"-?(0|[1-9][0-9]*)"), f"{_TAG}int"),
    (re.compile(r"-?[0-9]+\.[0-9]+(e[-+]?[0-9]+)?"), f"{_TAG}float"),
)
"""How what is no text is written."""

# Base 60 and dates are numbers and dates for readers of YAML 1.1 only, 0o17 for those of 1.2 only.
_NUMBERS = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F_]*|0[bB][01_]*|0[oO][0-7_]*|[0-9_]*\.?[0-9_]*([eE][-+]?[0-9_]*)?"
    r"|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[0-9]{1,4}-.*|\.(inf|Inf|INF|nan|NaN|NAN))",
    re.DOTALL,
)
_OTHER = frozenset({"<<", "="})
_BLOCK = re.compile(r"[^\s\x00-\x1f][^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]*", re.DOTALL)
_TRAILING = re.compile(r"[ \t]+(\n|$)|\n\n$")

_NOT_PRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON may hold as it is, but YAML not."""


def is_ambiguous(value: str) -> bool:
    """Whether some reader takes the text for something else when it has no quotes."""
    return value in _OTHER or bool(_NUMBERS.fullmatch(value)) or not means_itself(value)


@lru_cache(8192)
def _tag(value: str) -> str:
    """What readers take a scalar without quotes for."""
    ours = next((tag for form, tag in _OURS if form.fullmatch(value)), "")
    return ours or (f"{_TAG}ambiguous" if is_ambiguous(value) else f"{_TAG}str")


def _resolve(_dumper: object, kind: object, value: str, implicit: tuple[bool, bool]) -> str:
    """What the emitter takes a node for; a text that would be anything else gets quotes."""
    if kind is yaml.ScalarNode:
        return _tag(value) if implicit[0] else f"{_TAG}str"
    return f"{_TAG}seq" if kind is yaml.SequenceNode else f"{_TAG}map"


def _text(dumper: Any, value: str) -> yaml.Node:
    lines = "\n" in value and _BLOCK.fullmatch(value) and not _TRAILING.search(value)
    node: yaml.Node = dumper.represent_scalar(f"{_TAG}str", value, style="|" if lines else None)
    return node


def _never(_dumper: object, _value: object) -> bool:
    return True


_Dumper: Any = type(
    "_Dumper",
    (getattr(yaml, "CSafeDumper", yaml.SafeDumper),),
    {"resolve": _resolve, "ignore_aliases": _never},
)
_Dumper.add_representer(str, _text)


def as_yaml(value: Any) -> str:
    """A document in block style, keys in the order of the data, texts of several lines as such."""
    written: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=2**30
    )
    return written


def as_json(value: Any) -> str:
    """The same as JSON, indented as kubectl does."""
    written = json.dumps(value, indent=4, ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda one: f"\\u{ord(one[0]):04x}", written) + "\n"
