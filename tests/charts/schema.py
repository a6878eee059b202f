"""values.schema.json of a chart: a key that values.yaml does not declare is an error that names it."""

import json
from collections.abc import Mapping
from typing import Any

from tests.charts.values import Value

DEFINITIONS: Mapping[str, Any] = {
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "count": {"type": "integer", "minimum": 0},
    "atLeastOne": {"type": "integer", "minimum": 1},
    "percent": {"type": "integer", "minimum": 1, "maximum": 100},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "label": {"type": "string", "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$"},
    "tag": {"type": "string", "pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"},
    "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "pull": {"enum": ["Always", "IfNotPresent", "Never"]},
    "quantity": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?([KMGTP]i?|k)?$"},
    "duration": {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))?$"},
    "path": {"type": "string", "pattern": "^(/.*)?$"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "labels": {"type": "array", "items": {"$ref": "#/definitions/label"}},
    "textMap": {"type": "object", "additionalProperties": {"type": "string"}},
    "objects": {"type": "array", "items": {"type": "object"}},
    "pullSecrets": {
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {"name": {"type": "string"}},
                },
            ]
        },
    },
    "resources": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "requests": {"type": "object"},
            "limits": {"type": "object"},
            "claims": {"type": "array"},
        },
    },
    "accessMode": {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
    "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
}
"""What ``# @ $NAME`` stands for."""

_TYPES = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def document(values: tuple[Value, ...]) -> dict[str, Any]:
    """The schema of all values."""
    root = _group()
    # As a subchart it also gets the parent's `global`, and `enabled` where the parent has it as a condition.
    root["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    used: dict[str, Any] = {}
    for value in values:
        parent = _parent(root, value.path[:-1])
        known = parent["properties"].get(value.path[-1])
        parent["properties"][value.path[-1]] = _described(
            _fragment(value, used) if known is None else known, value
        )
    return {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": used, **_closed(root)}


def _group() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _parent(root: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path:
        inner = root["properties"].setdefault(name, _group())
        inner.setdefault("properties", {})
        root = inner
    return root


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A mapping that turned out to be a group takes none but its declared keys."""
    if schema.get("properties"):
        schema["additionalProperties"] = False
        for one in schema["properties"].values():
            _closed(one)
    return schema


def _described(fragment: dict[str, Any], value: Value) -> dict[str, Any]:
    # Beside a $ref draft 7 reads nothing else.
    return fragment if "$ref" in fragment else {"description": value.meaning, **fragment}


def _fragment(value: Value, used: dict[str, Any]) -> dict[str, Any]:
    if value.schema.startswith("$"):
        _use(value.schema[1:], used)
        return {"$ref": f"#/definitions/{value.schema[1:]}"}
    if value.schema:
        fragment: dict[str, Any] = json.loads(value.schema)
        return fragment
    return {"type": next(name for kind, name in _TYPES if isinstance(value.default, kind))}


def _use(name: str, used: dict[str, Any]) -> None:
    definition = DEFINITIONS[name]
    used[name] = definition
    inner = definition.get("items", {}).get("$ref")
    if inner is not None:
        _use(inner.rpartition("/")[2], used)
