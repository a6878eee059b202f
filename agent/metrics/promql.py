"""Which series and labels an expression of PromQL names. Not a parser: Prometheus' own tool is asked about form.

Source: Prometheus' manual, "Querying basics" and "Operators".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

KEYWORDS = frozenset(
    {"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end"}
    | {"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile"}
)
"""Words that are no series though no parenthesis follows them at once."""

_TOKEN = re.compile(
    r"(?P<text>\"(?:[^\"\\]|\\.)*\"|'[^']*')"
    r"|(?P<range>\[[^\]]*\])"
    r"|(?P<grouping>\b(?:by|without|on|ignoring|group_left|group_right)\s*\((?P<labels>[^)]*)\))"
    r"|(?P<series>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<selector>\{(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*\})?(?P<call>\s*\()?"
    r"|(?P<number>[0-9][0-9a-zA-Z_.]*)"
)
_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)")
_TEXTS = re.compile(r"\"(?:[^\"\\]|\\.)*\"")


@dataclass(frozen=True)
class Named:
    """What an expression names."""

    order: tuple[str, ...]
    """The series as they come."""
    matched: frozenset[tuple[str, str]]
    """A series and a label that it is selected by."""
    grouped: frozenset[str]
    """Labels of ``by (…)``, ``on (…)`` and the like."""

    @property
    def series(self) -> frozenset[str]:
        """The series."""
        return frozenset(self.order)


def named(expression: str) -> Named:
    """What the expression names."""
    series: dict[str, None] = {}
    matched: set[tuple[str, str]] = set()
    grouped: set[str] = set()
    for token in _TOKEN.finditer(expression):
        if token["grouping"]:
            grouped.update(label.strip() for label in token["labels"].split(",") if label.strip())
        elif token["series"] and not token["call"] and token["series"] not in KEYWORDS:
            series[token["series"]] = None
            matched.update((token["series"], label) for label in _labels(token["selector"] or ""))
    return Named(tuple(series), frozenset(matched), frozenset(grouped))


def _labels(selector: str) -> Iterator[str]:
    yield from _MATCHER.findall(_TEXTS.sub('""', selector))
