"""Pods admitted one after the other as dry runs, while something happens to the injector."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.demo import backing
from tests.kubernetes.world import World


@dataclass
class Reviews:
    """What became of the pods."""

    admitted: int = 0
    """With their sidecar."""
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds."""

    def __str__(self) -> str:
        return f"{self.admitted} reviews, {len(self.failures)} failed, slowest {self.slowest * 1000:.0f} ms"


@contextmanager
def admissions(world: World, pod: Mapping[str, Any], rate: float = 20) -> Iterator[Reviews]:
    """Admit such pods while the block runs."""
    found, stop = Reviews(), threading.Event()
    thread = threading.Thread(target=_steady, args=(world, pod, rate, found, stop), name="admissions")
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _steady(world: World, pod: Mapping[str, Any], rate: float, found: Reviews, stop: threading.Event) -> None:
    namespace = pod["metadata"]["namespace"]
    url = f"{world.api}/api/v1/namespaces/{namespace}/pods?dryRun=All"
    began, number = time.monotonic(), 0
    while not stop.wait(max(0.0, began + number / rate - time.monotonic())):
        number += 1
        before = time.monotonic()
        problem = _one(url, {**pod, "metadata": {**pod["metadata"], "name": f"review-{number}"}})
        found.slowest = max(found.slowest, time.monotonic() - before)
        if problem:
            found.failures.append(problem)
        else:
            found.admitted += 1


def _one(url: str, pod: Mapping[str, Any]) -> str:
    """Why a pod was not admitted with a sidecar; empty when it was."""
    request = urllib.request.Request(url, json.dumps(pod).encode(), {"Content-Type": "application/json"})
    try:
        with backing.direct().open(request, timeout=30) as answer:
            made = json.load(answer)
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode(errors='replace')[:300]}"
    except (OSError, ValueError) as error:
        return repr(error)
    names = [one["name"] for one in made["spec"].get("initContainers", ())]
    return "" if "pillion" in names else "admitted without a sidecar"
