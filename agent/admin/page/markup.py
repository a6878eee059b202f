"""Tags. A text is escaped unless it is markup already, which only this module makes."""

import html
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any


class Markup(str):
    """HTML that is safe as it stands."""

    __slots__ = ()


EMPTY = Markup()
_VOID = {"meta", "link", "circle", "line", "path", "polyline", "rect"}
_LONGEST = 2000
"""Characters of a text: nobody reads more of it, and a hostile one could fill the page."""


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """An element. ``class_`` is ``class``, ``view_box`` ``viewBox``, other underscores hyphens; None is left out."""
    given = "".join(
        f' {_attribute(key)}="{text(value)}"' for key, value in attributes.items() if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}/>") if name not in {"meta", "link"} else Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Iterable[str]) -> Markup:
    """One after the other, each escaped unless it is markup."""
    return Markup("".join(child if isinstance(child, Markup) else text(child) for child in children))


def text(value: object) -> Markup:
    """A value as text: control characters become ``?``, long ones are cut."""
    said = str(value)
    cut = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    return Markup(html.escape("".join(char if char.isprintable() else "?" for char in cut), quote=True))


def words(value: Any) -> str:
    """A value in plain words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {words(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(words(inner) for inner in value)
    return "" if value is None else str(value)


def section(title: str, *children: str, name: str = "") -> Markup:
    """A part of the page; empty where it has nothing to show. The script replaces a part that changed by its id."""
    content = joined(children)
    identity = name or title.lower().replace(" ", "-").replace("'", "")
    return tag("section", tag("h2", title), content, id=identity) if content else EMPTY


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    """A table; empty without rows. Each cell knows its column's name: a phone shows a row as a block of lines."""
    names = list(heads)
    lines = [
        tag("tr", *(tag("td", cell, data_head=name or None) for name, cell in zip(names, row, strict=True)))
        for row in rows
    ]
    if not lines:
        return EMPTY
    head = tag("thead", tag("tr", *(tag("th", name) for name in names))) if any(names) else EMPTY
    return tag("table", head, tag("tbody", *lines))


def facts(rows: Iterable[tuple[str, str]]) -> Markup:
    """Names and values; those without a value are left out."""
    lines = [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows if value]
    return tag("dl", *lines) if lines else EMPTY


def mark(said: str, kind: str) -> Markup:
    """A word in a colour that its kind has: ``ok``, ``warn``, ``bad`` or ``plain``; the word tells it, too."""
    return tag("span", said, class_=f"mark {kind}")


def moment(seconds: float) -> Markup:
    """A time, in UTC; the script shows it in the reader's own."""
    shown = datetime.fromtimestamp(seconds, UTC)
    return tag("time", f"{shown:%H:%M:%S} UTC", datetime=f"{shown:%Y-%m-%dT%H:%M:%SZ}")


def duration(seconds: float) -> str:
    """A few characters: ``250 ms``, ``2.5 s``, ``3 min``, ``2.0 h``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _attribute(key: str) -> str:
    special = {"class_": "class", "view_box": "viewBox", "for_": "for", "text_anchor": "text-anchor"}
    return special.get(key, key.replace("_", "-"))
