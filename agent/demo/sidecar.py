"""A `pillion run` beside one sample service, or the `pillion gateway`, with a file of settings."""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agent.demo import backing
from agent.demo.process import Process
from agent.runtime.ports import PortBook

FOREIGN = ("PILLION_", "CONSUL_", "OTEL_", "GUNICORN_", "FLASK_")
"""The user's variables with these beginnings would change what the demo shows."""


class Sidecar(Process):
    """One agent with its Envoy and its service. ``folder`` gets ``pillion.yaml``, the state and the log.

    ``service`` names the sample service, empty for the gateway. ``settings`` is what its ``pillion.yaml``
    says beside the addresses, which are chosen here and kept in ``book``.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        book: PortBook,
        *,
        service: str = "",
        verb: str = "run",
        command: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        self.label, self.service = folder.name, service
        self.file = folder / "pillion.yaml"
        self.inbound, self.outbound, self.admin, self.health, self.metrics = (
            book.keep(f"{self.label}.{what}", "127.0.0.1", 0)
            for what in ("inbound", "outbound", "admin", "health", "metrics")
        )
        self.file.write_text(yaml.safe_dump(_merged(self._addresses(folder), settings), sort_keys=False))
        argv = [sys.executable, "-m", "agent", verb, "--config", str(self.file)]
        super().__init__(
            self.label,
            [*argv, *(["--", *command] if command else [])],
            folder / "pillion.log",
            env={**clean(os.environ), "INSTANCE": self.label, **(environ or {})},
            cwd=cwd,
            answers=lambda: backing.http_ok(f"http://127.0.0.1:{self.health}/readyz"),
        )

    @property
    def status(self) -> str:
        """The URL of its status page."""
        return f"http://127.0.0.1:{self.admin}/"

    def get(self, path: str) -> str:
        """The body of a GET from the agent's own API. Raises OSError."""
        with backing.direct().open(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as response:
            body: bytes = response.read()
            return body.decode()

    def lose(self) -> int:
        """End it as a lost machine does: every process at once, no good-bye. How many processes that were."""
        if self.pid is None:
            return 0
        os.kill(self.pid, signal.SIGSTOP)  # or it would send its children a polite SIGTERM first
        doomed = _below(self.pid)
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().kill()
        return len(doomed) + 1

    def kill(self) -> None:
        """End it as a lost machine does: every process at once, no good-bye; how many they were."""
        self.lose()

    def _addresses(self, folder: Path) -> dict[str, Any]:
        return {
            "proxy": {"inbound": f"127.0.0.1:{self.inbound}", "outbound": f"127.0.0.1:{self.outbound}"},
            "admin": {
                name: f"127.0.0.1:{port}"
                for name, port in (("listen", self.admin), ("health", self.health), ("metrics", self.metrics))
            },
            "state": {"dir": str(folder / "state")},
        }


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would change the demo's settings or send its requests through a proxy."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(FOREIGN) and not name.lower().endswith("_proxy")
    }


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the second's values where both have one, deep."""
    merged = dict(first)
    for key, value in second.items():
        deep = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if deep else value
    return merged


def _below(pid: int) -> list[int]:
    """All processes that descend from one, as far as they still exist."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [*_below(int(child)), int(child)]
    return found
