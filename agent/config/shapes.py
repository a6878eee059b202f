"""What a setting's value may be, as a small tree made from its declaration.

Everything that derives from a declaration (reading, messages, the JSON Schema, help, docs) is a function over
these shapes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from agent.config import declare


@dataclass(frozen=True)
class Text:
    """A text without control characters; ``pattern`` as in JSON Schema, ``form`` the same in words."""

    pattern: str = ""
    form: str = ""
    min_length: int = 0
    max_length: int | None = None


@dataclass(frozen=True)
class Number:
    """A finite number from ``low`` (or ``above`` it) to ``high``; in ``unit`` ``s`` or ``B`` also a text with
    a unit."""

    whole: bool
    low: float | None
    above: float | None
    high: float
    unit: str = ""


@dataclass(frozen=True)
class Switch:
    """True or false."""


@dataclass(frozen=True)
class Choice:
    """One of some texts."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Many:
    """A list."""

    item: "Shape"


@dataclass(frozen=True)
class Named:
    """A mapping with free keys; with ``names`` a list of keys or a comma-separated text will do."""

    key: Text
    value: "Shape"
    names: bool = False
    at_most: int | None = None


@dataclass(frozen=True)
class Group:
    """A mapping with known keys; ``partial``: read as it is given, without the defaults of what is left
    out."""

    cls: type[msgspec.Struct]
    members: "Mapping[str, Member]" = field(hash=False)
    partial: bool = False


@dataclass(frozen=True)
class Maybe:
    """A value, or null for none."""

    value: "Shape"


Shape = Text | Number | Switch | Choice | Many | Named | Group | Maybe


@dataclass(frozen=True)
class Member:
    """One field of a section."""

    shape: Shape
    default: object
    required: bool = False
    description: str = ""
    secret: bool = False
    aliases: tuple[str, ...] = ()
    live: bool = False


def group_of(cls: type[declare.Section]) -> Group:
    """The shape of a section."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return _group(info)


def _group(info: inspect.StructType) -> Group:
    hints = get_type_hints(info.cls, include_extras=True)
    return Group(info.cls, {one.name: _member(one, hints[one.name]) for one in info.fields})


def _member(one: inspect.Field, hint: object) -> Member:
    meta = _metadata(one.type)
    extra = meta.extra or {} if meta else {}
    known = meta.extra_json_schema or {} if meta else {}
    default = one.default_factory() if callable(one.default_factory) else one.default
    return Member(
        _shape(one.type, {"order": tuple(_literals(hint))}),
        None if default is msgspec.NODEFAULT else default,
        one.required,
        str(known.get("description", "")),
        bool(extra.get("secret")),
        tuple(extra.get("aliases", ())),
        bool(extra.get("live")),
    )


def _literals(hint: object) -> Iterator[object]:
    # msgspec's own description has a Literal's values sorted; people are told them as they were declared.
    for part in get_args(hint):
        if get_origin(hint) is Literal:
            yield part
        else:
            yield from _literals(part)


def _metadata(info: inspect.Type) -> inspect.Metadata | None:
    kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
    return next((one for one in kinds if isinstance(one, inspect.Metadata)), None)


def _shape(info: inspect.Type, extra: Mapping[str, Any]) -> Shape:
    if isinstance(info, inspect.Metadata):
        return _shape(info.type, {**extra, **(info.extra or {})})
    if extra.get("some_of") is not None:
        known = group_of(extra["some_of"])
        return Group(known.cls, known.members, partial=True)
    return _MAKERS[type(info)](info, extra)


def _text(info: Any, extra: Mapping[str, Any]) -> Shape:
    return Text(info.pattern or "", extra.get("form", ""), info.min_length or 0, info.max_length)


def _number(info: Any, extra: Mapping[str, Any]) -> Shape:
    unit = extra.get("unit", "")
    whole = isinstance(info, inspect.IntType)
    high = info.le
    if high is None:
        high = declare.LONGEST if unit == "s" else declare.MOST_BYTES if unit == "B" else declare.LARGEST
    return Number(whole, info.ge, info.gt, high, unit)


def _union(info: Any, extra: Mapping[str, Any]) -> Shape:
    kinds = [one for one in info.types if not isinstance(one, inspect.NoneType)]
    if len(kinds) != 1:
        raise TypeError("a setting is of one type, or of one type and None")
    return Maybe(_shape(kinds[0], extra))


def _named(info: Any, extra: Mapping[str, Any]) -> Shape:
    key = _shape(info.key_type, {})
    assert isinstance(key, Text)
    return Named(key, _shape(info.value_type, {}), bool(extra.get("names")), info.max_length)


_MAKERS: Mapping[type, Callable[[Any, Mapping[str, Any]], Shape]] = {
    inspect.StrType: _text,
    inspect.IntType: _number,
    inspect.FloatType: _number,
    inspect.BoolType: lambda _info, _extra: Switch(),
    inspect.LiteralType: lambda info, extra: Choice(tuple(sorted(info.values, key=extra["order"].index))),
    inspect.VarTupleType: lambda info, extra: Many(_shape(info.item_type, {"order": extra.get("order", ())})),
    inspect.DictType: _named,
    inspect.StructType: lambda info, _extra: _group(info),
    inspect.UnionType: _union,
}
