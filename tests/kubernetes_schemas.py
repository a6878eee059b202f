"""Kubernetes' own schemas as a validator for manifests: ``validate(document, "1.37")`` says what is wrong.

The OpenAPI documents come from the Go module k8s.io/kubernetes, once, into Pillion's cache; ``python -m
tests.kubernetes_schemas`` obtains all versions.
"""

import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
from rich.console import Console

from agent.demo.components import cache
from agent.demo.obtain import obtain
from agent.demo.report import Report

VERSIONS = {
    "1.29": "v1.29.6",
    "1.30": "v1.30.14",
    "1.31": "v1.31.14",
    "1.32": "v1.32.13",
    "1.33": "v1.33.13",
    "1.34": "v1.34.4",
    "1.35": "v1.35.4",
    "1.36": "v1.36.3",
    "1.37": "v1.37.2",
}
"""The newest patch of each minor version that the module proxy has."""

NEWEST = "1.37"
OLDEST = "1.29"


def validate(document: Mapping[str, Any], version: str = NEWEST) -> list[str]:
    """What Kubernetes of that minor version would find wrong with a manifest's form: a line each, with its place.

    Fields that it does not know are wrong. A ``List`` is checked item by item. null counts as left out, as it
    does for the API server. A custom resource is wrong, for its schema is not Kubernetes' own.
    """
    if not isinstance(document, Mapping):
        return [": is no mapping"]
    if document.get("kind") == "List":
        items = document.get("items") or []
        return [f"items.{n}.{line}" for n, item in enumerate(items) for line in validate(item, version)]
    kind = (str(document.get("apiVersion", "")), str(document.get("kind", "")))
    checker = _validator(version, *kind)
    if checker is None:
        return [f": Kubernetes {version} knows no {kind[1]} of {kind[0]}"]
    return sorted(_line(error) for error in checker.iter_errors(_without_nulls(document)))


def _line(error: jsonschema.ValidationError) -> str:
    return f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message[:300]}"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


@functools.cache
def _validator(version: str, api_version: str, kind: str) -> Any:
    found = schemas(version)
    name = found["kinds"].get(f"{api_version}/{kind}")
    if name is None:
        return None
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": found["schemas"]})


@functools.cache
def schemas(version: str) -> dict[str, Any]:
    """The definitions of that minor version by name, and the names by ``apiVersion/kind``; obtained when missing."""
    path = cache().parent / "kubernetes" / f"{VERSIONS[version]}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _obtain(VERSIONS[version], path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _obtain(version: str, path: Path) -> None:
    """Let Go fetch the module into a folder of its own, and keep the schemas of its OpenAPI documents."""
    folder = Path(tempfile.mkdtemp(prefix=".obtaining-", dir=path.parent))
    try:
        environ = {
            **os.environ,
            "GOMODCACHE": str(folder),
            "GOFLAGS": "-modcacherw",
            "GOWORK": "off",
            "GOTOOLCHAIN": "local",
        }
        go = obtain("go", Report(Console(stderr=True)))
        argv = [str(go), "mod", "download", "-json", f"k8s.io/kubernetes@{version}"]
        said = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=folder, env=environ)
        if said.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)} failed: {said.stdout[-500:]}{said.stderr[-500:]}")
        module = Path(json.loads(said.stdout)["Dir"])
        beside = folder / "made.json"
        beside.write_text(json.dumps(_made(module / "api" / "openapi-spec" / "v3")))
        beside.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for document in sorted(folder.glob("*_openapi.json")):
        found = json.loads(document.read_text()).get("components", {}).get("schemas", {})
        for name, schema in found.items():
            definitions[name] = _strict(schema)
            for key in _kinds(schema):
                # Shared kinds such as DeleteOptions stand in each group; a manifest's own kind stands in one.
                kinds.setdefault(key, name)
    return {"schemas": definitions, "kinds": kinds}


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    for one in schema.get("x-kubernetes-group-version-kind", []):
        group = f"{one['group']}/" if one["group"] else ""
        yield f"{group}{one['version']}/{one['kind']}"


def _strict(schema: Any) -> Any:
    """The same as JSON Schema, in which a mapping has the named properties only; without the words."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: inner
        for key, inner in schema.items()
        if not key.startswith("x-") and key not in {"description", "default", "format", "example"}
    }
    for key in ("items", "additionalProperties", "allOf", "oneOf", "anyOf", "not"):
        if key in found:
            found[key] = _strict(found[key])
    if "properties" in found:
        found["properties"] = {name: _strict(inner) for name, inner in found["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    if "$ref" in found:
        found["$ref"] = found["$ref"].replace("#/components/schemas/", "#/$defs/")
    return found


if __name__ == "__main__":
    for minor in VERSIONS:
        sys.stdout.write(f"Kubernetes {minor}: {len(schemas(minor)['kinds'])} kinds\n")
