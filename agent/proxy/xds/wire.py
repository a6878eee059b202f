"""Envoy's JSON form in protobuf's wire form, at a fraction of what ``json_format`` takes.

Thousands of resources differ in a name or an address only. So a message is put together from its fields (in wire form
the fields of a message may be written one by one, in any order: "Message Structure" of protobuf's encoding guide): what
differs from resource to resource is gone into, the rest is parsed once by ``json_format`` and remembered.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from agent.proxy.snapshot import Resource

GONE_INTO = frozenset(
    {
        "virtual_hosts",
        "routes",
        "route",
        "direct_response",
        "body",
        "endpoints",
        "lb_endpoints",
        "endpoint",
        "address",
        "socket_address",
    }
)
"""Fields whose messages hold names or addresses, and so are hardly ever the same twice."""
MOST = 4096
"""Remembered fields; when there are more all are forgotten."""
ERRORS = (json_format.Error, ValueError, TypeError, ImportError, RecursionError)
"""What the encoding of something that is no such message raises."""

_TYPE = re.compile(r"type\.googleapis\.com/((envoy(?:\.[a-z0-9_]+)+)\.[A-Za-z0-9_.]+)")
_STRING, _MESSAGE = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE


class Wire:
    """Encodes messages; equal ones have equal bytes. All methods raise one of ``ERRORS`` for what is none."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], bytes] = {}

    def message(self, content: Resource, kind: Descriptor) -> bytes:
        """A message of this kind."""
        parts, taken = [], set()
        fields = kind.fields_by_name
        for name in sorted(content):
            field = fields.get(name)
            value = content[name]
            if field is not None and field.containing_oneof is not None and value is not None:
                if field.containing_oneof.name in taken:
                    raise ValueError(f"{kind.name} has several of {field.containing_oneof.name}")
                taken.add(field.containing_oneof.name)
            parts.append(self._field(kind, field, name, value))
        return b"".join(parts)

    def part(self, content: Resource, field: FieldDescriptor) -> bytes:
        """A message as the value of a field, which may be one of several values."""
        kind = field.message_type
        if kind is None:
            raise TypeError(f"{field.name} is no message")
        return _delimited(field, self.message(content, kind))

    def _field(self, kind: Descriptor, field: FieldDescriptor | None, name: str, value: Any) -> bytes:
        if field is not None and field.type == _STRING and (texts := _texts(field, value)):
            return b"".join([_delimited(field, text.encode()) for text in texts])
        if field is not None and field.type == _MESSAGE and name in GONE_INTO:
            if isinstance(value, dict):
                return self.part(value, field)
            if isinstance(value, list) and all(isinstance(one, dict) for one in value):
                return b"".join([self.part(one, field) for one in value])
        return self._remembered(kind, name, value)

    def _remembered(self, kind: Descriptor, name: str, value: Any) -> bytes:
        key = f"{kind.full_name}.{name}", msgspec.json.encode(value, order="deterministic")
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST:
                self._known.clear()
            load_types(value)
            message = json_format.ParseDict({name: value}, message_factory.GetMessageClass(kind)())
            found = self._known[key] = message.SerializeToString(deterministic=True)
        return found


def _texts(field: FieldDescriptor, value: Any) -> list[str]:
    """The strings to be written for a field; none where it takes more to say."""
    if field.default_value != []:  # "is_repeated" is there from protobuf 6.31 on
        return [value] if isinstance(value, str) and value else []
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else []


def _delimited(field: FieldDescriptor, content: bytes) -> bytes:
    return _varint(field.number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping within plain data."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from mappings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from mappings(inner)


def load_types(value: Any) -> None:
    """Make the message types known that plain data names by ``@type``.

    Raises ValueError for one that isn't Envoy's.
    """
    for found in mappings(value):
        url = found.get("@type")
        if url is not None:
            _load_type(str(url))


def _load_type(url: str) -> None:
    match = _TYPE.fullmatch(url)
    if match is None:
        if url.startswith("type.googleapis.com/google.protobuf."):
            return
        raise ValueError(f"{url!r} is not a type of Envoy's")
    try:
        descriptor_pool.Default().FindMessageTypeByName(match[1])
    except KeyError:
        package = importlib.import_module(match[2])
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_pb2"):
                importlib.import_module(f"{match[2]}.{module.name}")
