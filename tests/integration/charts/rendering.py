"""Charts and what `helm template` makes of them."""

import functools
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHARTS = Path(__file__).parents[3] / "charts"
NAMESPACE = "somewhere"

POD_KINDS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "service": {"image": {"repository": "registry.example.com/orders"}}
}
"""Values without which a chart renders nothing."""


@dataclass(frozen=True)
class Helm:
    """The program."""

    path: str

    def run(self, *argv: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """A command, with values beside those on its line."""
        given = [] if values is None else ["--values", "-"]
        return subprocess.run(
            [self.path, *argv, *given],
            input=json.dumps(values or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def text(
        self, chart: str, values: Mapping[str, Any] | None = None, *, kube: str = "1.32", release: str = ""
    ) -> str:
        """What the chart renders."""
        name = release or {"service": "orders"}.get(chart, chart)
        argv = ("template", name, str(CHARTS / chart), "--namespace", NAMESPACE, "--kube-version", kube)
        return _rendered(self, argv, json.dumps(merged(NEEDED.get(chart, {}), values or {}), sort_keys=True))

    def render(
        self, chart: str, values: Mapping[str, Any] | None = None, *, kube: str = "1.32", release: str = ""
    ) -> list[dict[str, Any]]:
        """The objects that the chart renders, hooks and tests among them."""
        found = yaml.safe_load_all(self.text(chart, values, kube=kube, release=release))
        return [document for document in found if document]


@functools.lru_cache(maxsize=1024)
def _rendered(helm: Helm, argv: tuple[str, ...], values: str) -> str:
    """The same charts render the same; a test that wants it done again clears the cache."""
    done = helm.run(*argv, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def again() -> None:
    """Let the next rendering be done by Helm again."""
    _rendered.cache_clear()


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of values as Helm puts them together."""
    found = dict(below)
    for key, value in above.items():
        inner = found.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        found[key] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return found


def nested(key: str, value: object) -> dict[str, Any]:
    """``a.b`` and a value as values."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value  # type: ignore[return-value]


def one(documents: Sequence[Mapping[str, Any]], kind: str, name: str = "") -> Any:
    """The only object of the kind, or the one of that name."""
    found = [
        document
        for document in documents
        if document["kind"] == kind and name in ("", document["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name}"
    return found[0]


def templates(documents: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each pod or pod template with its place."""
    for document in documents:
        place = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield place, {"metadata": document["metadata"], "spec": document["spec"]}
        elif document["kind"] == "CronJob":
            yield place, document["spec"]["jobTemplate"]["spec"]["template"]
        elif document["kind"] in POD_KINDS:
            yield place, document["spec"]["template"]


def containers(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod template."""
    spec = template["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]
