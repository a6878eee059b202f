"""Reading a value of a settings document by its shape, noting everything that is wrong with it."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from agent.config import declare, units
from agent.config.problems import Report, did_you_mean
from agent.config.shapes import Choice, Group, Many, Maybe, Named, Number, Shape, Switch, Text

CONTROL = r"[\x00-\x1f\x7f\x85\u2028\u2029]"
"""Characters that no text of a setting may hold: they end lines in files and headers."""

NO_CHARACTER = r"[\ud800-\udfff]"
"""Half a character: an escape such as \\ud800 in a file, or bytes of a variable that are no UTF-8. Envoy takes no text
that holds one."""

NO_LIMIT = (declare.LONGEST, declare.LARGEST, declare.MOST_BYTES)
"""Upper bounds that nobody chose for a setting, so that no message need name them."""

TRUE = frozenset({"yes", "on"})
FALSE = frozenset({"no", "off"})
"""Texts that are booleans beside true and false."""


def read(shape: Shape, raw: object, place: str, report: Report) -> object:
    """``raw`` as plain data of that shape: durations in seconds, lists for tuples, mappings for sections.

    What is wrong goes to ``report``; then the returned value means nothing.
    """
    return _READERS[type(shape)](shape, raw, place, report)


def allowed(shape: Shape) -> str:  # noqa: PLR0911 - one return a shape
    """What a value of that shape may be, as a clause."""
    match shape:
        case Text():
            return shape.form or (
                f"a text of at most {shape.max_length} characters" if shape.max_length else "a text"
            )
        case Number():
            return _allowed_number(shape)
        case Switch():
            return "true or false"
        case Choice():
            return f"one of {', '.join(shape.values)}"
        case Many():
            return "a list"
        case Named():
            return "a mapping or a list of names" if shape.names else "a mapping"
        case Maybe():
            return allowed(shape.value)
        case Group():
            return "a mapping"


def _allowed_number(shape: Number) -> str:
    kind = {"s": "a duration such as 250ms, 10s or 5m", "B": "bytes, or a size such as 512MiB"}.get(
        shape.unit, "a whole number" if shape.whole else "a number"
    )
    low = "" if shape.low is None else units.written(shape.low, shape.unit)
    if shape.high not in NO_LIMIT:
        high = units.written(shape.high, shape.unit)
        if shape.above is not None:
            return f"{kind}, more than {shape.above:g} and at most {high}"
        return f"{kind} from {low} to {high}"
    return f"{kind}, more than {shape.above:g}" if shape.above is not None else f"{kind}, at least {low}"


def _text(shape: Text, raw: object, place: str, report: Report) -> object:
    if not isinstance(raw, str):
        quoted = "; write it in quotes" if isinstance(raw, int | float) else ""
        report.refuse_value(place, raw, allowed(shape) + quoted)
    elif re.search(CONTROL, raw):
        report.refuse(place, "holds a line break or another control character", allowed(shape))
    elif re.search(NO_CHARACTER, raw):
        report.refuse(place, "holds half a character, or bytes that are no UTF-8", allowed(shape))
    elif not _fits(shape, raw):
        report.refuse_value(place, raw, allowed(shape))
    return raw


def _fits(shape: Text, raw: str) -> bool:
    if shape.pattern and not re.search(shape.pattern, raw):
        return False
    return shape.min_length <= len(raw) and (shape.max_length is None or len(raw) <= shape.max_length)


def _number(shape: Number, raw: object, place: str, report: Report) -> object:
    value = _plain_number(shape, raw)
    if value is None or not _in_range(shape, value):
        report.refuse_value(place, raw, allowed(shape))
        return raw
    return int(value) if shape.whole else float(value)


def _plain_number(shape: Number, raw: object) -> int | float | None:
    if isinstance(raw, str):
        return units.seconds(raw) if shape.unit == "s" else units.size(raw) if shape.unit == "B" else None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    if isinstance(raw, float) and (not math.isfinite(raw) or (shape.whole and not raw.is_integer())):
        return None
    return raw


def _in_range(shape: Number, value: float) -> bool:
    if shape.above is not None and value <= shape.above:
        return False
    return (shape.low is None or value >= shape.low) and value <= shape.high


def _switch(shape: Switch, raw: object, place: str, report: Report) -> object:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw in TRUE | FALSE:
        return raw in TRUE
    report.refuse_value(place, raw, allowed(shape))
    return raw


def _choice(shape: Choice, raw: object, place: str, report: Report) -> object:
    if not isinstance(raw, str) or raw not in shape.values:
        report.refuse_value(place, raw, allowed(shape))
    return raw


def _many(shape: Many, raw: object, place: str, report: Report) -> object:
    if not isinstance(raw, list):
        report.refuse_value(place, raw, allowed(shape))
        return raw
    return [read(shape.item, one, f"{place}[{index}]", report) for index, one in enumerate(raw)]


def _named(shape: Named, raw: object, place: str, report: Report) -> object:
    if shape.names and isinstance(raw, str):
        raw = [name.strip(" ") for name in raw.split(",") if name.strip(" ")]
    if shape.names and isinstance(raw, list):
        return _from_names(shape, raw, place, report)
    if not isinstance(raw, dict):
        report.refuse_value(place, raw, allowed(shape))
        return raw
    if shape.at_most is not None and len(raw) > shape.at_most:
        report.refuse(place, f"has {len(raw)} entries", f"at most {shape.at_most}")
    found = {}
    for key, value in raw.items():
        read(shape.key, key, place_of(place, key), report)
        found[key] = read(shape.value, value, place_of(place, key), report)
    return found


def _from_names(shape: Named, raw: list[object], place: str, report: Report) -> object:
    for index, name in enumerate(raw):
        read(shape.key, name, f"{place}[{index}]", report)
    return {str(name): {} for name in raw}


def _group(shape: Group, raw: object, place: str, report: Report) -> object:
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        report.refuse_value(place, raw, allowed(shape))
        return raw
    for name, member in shape.members.items():
        if member.required and not shape.partial and name not in raw:
            report.refuse(f"{place}.{name}" if place else name, "is missing", allowed(member.shape))
    return {key: _member(shape, key, value, place, report) for key, value in raw.items()}


def _member(shape: Group, key: str, value: object, place: str, report: Report) -> object:
    member = shape.members.get(key)
    if member is None:
        unknown(place_of(place, key), key, list(shape.members), report)
        return value
    return read(member.shape, value, place_of(place, key), report)


def unknown(place: str, key: str, known: list[str], report: Report) -> None:
    """Note that ``key`` at ``place`` is no setting."""
    meant = did_you_mean(key, known)
    report.refuse(place, f"is not a setting{meant}", "" if meant else f"one of {', '.join(sorted(known))}")


def place_of(place: str, key: str) -> str:
    # A key that looks like no name may be a value that lost its key, such as `password:x`.
    name = key if re.fullmatch(r"[A-Za-z0-9_.*/-]{1,64}", key) else "(a key that is no name)"
    return f"{place}.{name}" if place else name


def _maybe(shape: Maybe, raw: object, place: str, report: Report) -> object:
    return None if raw is None else read(shape.value, raw, place, report)


_READERS: Mapping[type, Callable[[Any, object, str, Report], object]] = {
    Text: _text,
    Number: _number,
    Switch: _switch,
    Choice: _choice,
    Many: _many,
    Named: _named,
    Group: _group,
    Maybe: _maybe,
}
