"""A constant load from a pod inside the cluster, so that nothing of this machine's way to the cluster is measured."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes import pods
from tests.kubernetes.kube import Kube, until

SENDER = Path(__file__).parent / "inside" / "sender.py"
OUT_OF_THE_MESH = {"pillion.dev/inject": "false"}
CALLER = {"pillion.dev/inject": "true", "app": "caller"}
"""Labels of a pod that only calls others, through its sidecar."""


@dataclass
class Sent:
    """What became of the requests; complete when the load has ended."""

    sent: int = 0
    answered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    served_by: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    p50: float = 0.0
    """Milliseconds."""
    p99: float = 0.0
    slowest: float = 0.0

    def __str__(self) -> str:
        lost = sum(self.failed.values())
        rate = self.sent / self.seconds if self.seconds else 0
        reasons = f" ({self.failed})" if self.failed else ""
        return (
            f"{self.sent} requests in {self.seconds:.0f} s ({rate:.0f}/s), {lost} lost{reasons}; "
            f"median {self.p50:.0f} ms, 99 % {self.p99:.0f} ms, slowest {self.slowest:.0f} ms"
        )


@contextmanager
def load(
    kube: Kube, image: str, namespace: str, url: str, rate: float, *, most: float = 240, mesh: bool = False
) -> Iterator[Sent]:
    """Send while the block runs, for ``most`` seconds at most; with ``mesh`` from a pod with a sidecar."""
    name = f"load-{uuid.uuid4().hex[:6]}"
    kube.apply(pods.config_map(name, namespace, {"sender.py": SENDER.read_text()}))
    command = ["python", "-B", "/scripts/sender.py", url, str(rate), str(most)]
    body = pods.spec(image, command, scripts=name)
    labels = CALLER if mesh else OUT_OF_THE_MESH
    kube.apply(pods.pod(pods.metadata(name, namespace, labels=labels), body))
    result = Sent()
    try:
        until(
            f"{name} sends",
            lambda: kube.execute(namespace, name, "main", "test", "-e", "/tmp/sending") == "",
            90,
        )
        yield result
        kube.execute(namespace, name, "main", "touch", "/tmp/stop")
        vars(result).update(until(f"{name} says its result", lambda: _said(kube, namespace, name), 60))
        if mesh and result.failed:
            _tell(kube, namespace, name)
    finally:
        kube.delete("pod", name, namespace, "--wait=false")
        kube.delete("configmap", name, namespace)


def _tell(kube: Kube, namespace: str, name: str) -> None:
    """Print what the sidecar knows and did, which pytest shows with the failure: the pod will be gone by then."""
    print(kube.execute(namespace, name, "pillion", "pillion", "status"))  # noqa: T201
    print(kube("logs", f"--namespace={namespace}", name, "--container=pillion"))  # noqa: T201


def _said(kube: Kube, namespace: str, name: str) -> Any:
    lines = kube("logs", f"--namespace={namespace}", name, "--container=main").strip().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
