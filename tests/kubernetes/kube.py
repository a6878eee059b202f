"""kubectl, and what it says about objects."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.commands import CommandError, run

Object = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Kube:
    """One cluster as its administrator sees it."""

    kubectl: str
    kubeconfig: Path

    def __call__(self, *argv: str, given: str | None = None, within: float = 300, both: bool = False) -> str:
        """The output of kubectl. Raises CommandError with what it said."""
        return run(
            self.kubectl, f"--kubeconfig={self.kubeconfig}", *argv, given=given, within=within, both=both
        )

    def json(self, *argv: str) -> Any:
        """The output of kubectl as JSON."""
        return json.loads(self(*argv, "--output=json"))

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """One object; None where there is none."""
        said = self("get", kind, name, *_in(namespace), "--ignore-not-found", "--output=json")
        return dict(json.loads(said)) if said.strip() else None

    def every(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """The objects of a namespace, or of none; chosen by labels where a selector is given."""
        chosen = (f"--selector={selector}",) if selector else ()
        return list(self.json("get", kind, *_in(namespace), *chosen)["items"])

    def apply(self, *documents: Mapping[str, Any], dry_run: bool = False) -> list[Object]:
        """Apply manifests; what the API server made of them."""
        option = ("--dry-run=server",) if dry_run else ()
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        said = json.loads(self("apply", "--filename=-", *option, "--output=json", given=text))
        return list(said["items"]) if said["kind"] == "List" else [said]

    def delete(self, kind: str, name: str, namespace: str = "", *options: str) -> None:
        """Delete an object if it is there, and wait until it is gone unless an option says otherwise."""
        self("delete", kind, name, *_in(namespace), "--ignore-not-found", *options)

    def execute(self, namespace: str, pod: str, container: str, *argv: str, within: float = 60) -> str:
        """The output of a command in a running container."""
        return self(
            "exec", f"--namespace={namespace}", pod, f"--container={container}", "--", *argv, within=within
        )

    def rolled_out(self, namespace: str, what: str, within: int = 180) -> None:
        """Wait until a deployment, stateful set or daemon set is as it is meant to be."""
        self(
            "rollout", "status", f"--namespace={namespace}", what, f"--timeout={within}s", within=within + 30
        )

    def pods(self, namespace: str, selector: str) -> list[Object]:
        """The pods with these labels that were not told to end."""
        found = self.every("pods", namespace, selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @contextmanager
    def proxy(self) -> Iterator[str]:
        """The API server's address on this machine, without a password: for HTTP to Services."""
        argv = [self.kubectl, f"--kubeconfig={self.kubeconfig}", "proxy", "--port=0"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline()
                yield f"http://{said.rsplit(' ', 1)[-1].strip()}"
            finally:
                process.terminate()

    @contextmanager
    def forwarded(self, namespace: str, what: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to a port of a pod or Service."""
        argv = [
            self.kubectl,
            f"--kubeconfig={self.kubeconfig}",
            "port-forward",
            f"--namespace={namespace}",
            what,
        ]
        with subprocess.Popen([*argv, f":{port}"], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline()
                if "->" not in said:
                    raise CommandError(f"port-forward to {what} in {namespace} said {said!r}")
                yield int(said.split("->")[0].rsplit(":", 1)[1])
            finally:
                process.terminate()


def _in(namespace: str) -> Sequence[str]:
    return (f"--namespace={namespace}",) if namespace else ()


def until(what: str, condition: Callable[[], T], within: float = 60.0, every: float = 0.5) -> T:
    """Wait until the condition's value is true and return it; a CommandError or AssertionError counts as not yet."""
    ends = time.monotonic() + within
    while True:
        last: object = None
        try:
            if value := condition():
                return value
            last = value
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > ends:
            raise AssertionError(f"{what}: not within {within:g} s; last seen: {last!s:.1500}")
        time.sleep(every)


def ready(pod: Object) -> bool:
    """Whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def when(text: str) -> datetime:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def container(pod: Object, name: str) -> Object:
    """A container of a pod's spec, native sidecars among them."""
    return next(one for one in containers(pod["spec"]) if one["name"] == name)


def containers(spec: Object) -> list[Object]:
    """All containers of a spec."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def status(pod: Object, name: str) -> Object:
    """A container's status."""
    found = (*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ()))
    return next(one for one in found if one["name"] == name)
