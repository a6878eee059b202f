"""The JSON Schema (draft 2020-12) of the settings file, made from the declarations."""

from collections.abc import Mapping
from typing import Any

from agent.config import fields, units, values
from agent.config.shapes import Choice, Group, Many, Maybe, Member, Named, Number, Shape, Switch, Text

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """What the file may hold. What this refuses the loader refuses too.

    The loader refuses more: durations and sizes with a unit that are out of range, and what several settings
    must fulfil together."""
    top = _schema(fields.shape())
    return {"$schema": DIALECT, "title": "pillion.yaml", **top, "description": "Settings of Pillion."}


def _schema(shape: Shape) -> dict[str, Any]:  # noqa: PLR0911 - one return a shape
    match shape:
        case Text():
            return _text(shape)
        case Number():
            return _number(shape)
        case Switch():
            return {"enum": [True, False, *sorted(values.TRUE | values.FALSE)]}
        case Choice():
            return {"enum": list(shape.values)}
        case Many():
            return {"type": "array", "items": _schema(shape.item)}
        case Named():
            return _named(shape)
        case Maybe():
            return {"anyOf": [_schema(shape.value), {"type": "null"}]}
        case Group():
            return _group(shape)


def _text(shape: Text) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string", "not": {"pattern": values.CONTROL}}
    if shape.pattern:
        found["pattern"] = shape.pattern
    if shape.min_length:
        found["minLength"] = shape.min_length
    if shape.max_length is not None:
        found["maxLength"] = shape.max_length
    return found


def _number(shape: Number) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "integer" if shape.whole else "number", "maximum": shape.high}
    if shape.low is not None:
        found["minimum"] = shape.low
    if shape.above is not None:
        found["exclusiveMinimum"] = shape.above
    pattern = {"s": units.DURATION, "B": units.SIZE}.get(shape.unit)
    return {"anyOf": [found, {"type": "string", "pattern": pattern}]} if pattern else found


def _named(shape: Named) -> dict[str, Any]:
    mapping: dict[str, Any] = {
        "type": "object",
        "propertyNames": _text(shape.key),
        "additionalProperties": _schema(shape.value),
    }
    if shape.at_most is not None:
        mapping["maxProperties"] = shape.at_most
    if not shape.names:
        return mapping
    listed = {"type": "string", "not": {"pattern": values.CONTROL}, "pattern": _list(shape.key)}
    return {"anyOf": [mapping, {"type": "array", "items": _text(shape.key)}, listed]}


def _list(key: Text) -> str:
    one = key.pattern.removeprefix("^").removesuffix("$")
    return rf"^[ ,]*(({one})([ ,]*,[ ,]*({one}))*[ ,]*)?$"


def _group(shape: Group) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            name: _member(member, partial=shape.partial) for name, member in shape.members.items()
        },
    }
    required = [name for name, member in shape.members.items() if member.required]
    if required and not shape.partial:
        found |= {"required": required, "type": "object"}
    return found


def _member(member: Member, *, partial: bool) -> Mapping[str, Any]:
    found = _schema(member.shape)
    description = member.description
    if isinstance(member.shape, Group) and not description:
        description = fields.first_sentence(member.shape.cls.__doc__ or "")
    if description:
        found["description"] = description
    if not partial and not member.required and _is_plain(member.default):
        found["default"] = member.default
    return found


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float)
