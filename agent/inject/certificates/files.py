"""The certificate from files that somebody else writes, such as cert-manager by a mounted Secret."""

import asyncio
import ssl
from pathlib import Path

import structlog

from agent.inject.certificates.making import Pair, belongs, span
from agent.inject.certificates.state import State
from agent.inject.certificates.tls import Tls
from agent.inject.metrics import Metrics
from agent.runtime.component import Ready
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two looks at the files."""
MOST = 256 * 1024
"""Bytes of a file that is taken for a certificate."""


class Files:
    """Reads the files again when they changed; ready with the first good pair. A bad pair leaves the last good one."""

    name = "certificates"
    stop_budget = 1.0

    def __init__(
        self,
        certificate: Path,
        key: Path,
        tls: Tls,
        state: Latest[State],
        *,
        health: Health,
        metrics: Metrics,
    ) -> None:
        self._files = certificate, key
        self._tls = tls
        self._state = state
        self._health = health
        self._metrics = metrics
        self._taken: Pair | None = None
        self._problem = ""

    async def run(self, ready: Ready) -> None:
        """Look for ever."""
        while True:
            self.turn()
            if self._taken is not None:
                ready()
            await asyncio.sleep(EVERY)

    def turn(self) -> None:
        """Look once."""
        try:
            pair = Pair(*(_content(file) for file in self._files))
            if pair == self._taken:
                self._well()
                return
            if not belongs(pair):
                raise ValueError("are not of one another")  # noqa: TRY301 - one way to say what is wrong
            found = span(pair.certificate)
            self._tls.load(pair)
        except (OSError, ValueError, ssl.SSLError) as error:
            self._wrong(error)
            return
        self._taken = pair
        self._state.set(State(found, trusted=True, problem=""))
        self._metrics.expires.set(found.ends.timestamp())
        self._metrics.issued.labels("read").inc()
        log.info("certificate.read", ends=found.ends.isoformat())
        self._well()

    def _well(self) -> None:
        self._problem = ""
        self._health.ok()

    def _wrong(self, error: Exception) -> None:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        kept = "; the last good ones stay in use" if self._taken else ""
        problem = f"webhook.cert_file {self._files[0]} and webhook.key_file {self._files[1]}: {said}{kept}"
        self._health.degraded(problem)
        if not self._taken:
            self._state.set(State(problem=problem))
        if problem != self._problem:
            self._problem = problem
            log.warning("certificate.unreadable", problem=problem)


def _content(file: Path) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(MOST + 1)
    if len(content) > MOST:
        raise ValueError(f"{file.name} is larger than {MOST} bytes")
    return content
