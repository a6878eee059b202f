"""How Envoy is started: its binary, its arguments, and the lock that keeps a second one off its sockets."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.runtime.errors import Misconfigured, Permanent, Problem

QUIET = "upstream:error,connection:error,config:warning,tracing:critical,http:error"
"""Components that would write a line for every failed span export or unreachable upstream."""


@dataclass(frozen=True)
class Command:
    """What an Envoy is started with."""

    binary: Path
    bootstrap: Path
    """The bootstrap as a JSON file."""
    concurrency: int
    """Worker threads."""
    drain_time: float
    """Seconds; whole ones for Envoy, at least 1."""
    log_level: str = "warn"

    @property
    def argv(self) -> list[str]:
        """Arguments, the binary first."""
        return [
            str(self.binary),
            "--config-path", str(self.bootstrap),
            "--concurrency", str(self.concurrency),
            *flags_of(self.drain_time),
            "--log-level", self.log_level,
            "--component-log-level", QUIET,
        ]  # fmt: skip


def flags_of(drain_time: float) -> list[str]:
    """The flags that Pillion's configuration counts on.

    ``--drain-strategy immediate``: by default Envoy announces a drain gradually over ``--drain-time-s``
    (600 s), and in that time hardly any response says ``Connection: close``. ``--disable-hot-restart``:
    several Envoys on one host, and none leaves a piece of shared memory in ``/dev/shm`` for each of its starts.
    """
    return [
        "--disable-hot-restart",
        "--drain-strategy", "immediate",
        "--drain-time-s", str(max(1, round(drain_time))),
        "--reject-unknown-dynamic-fields",
    ]  # fmt: skip


def find(setting: str, cached: Callable[[], Path | None]) -> Path:
    """The Envoy binary: ``setting`` (``proxy.envoy``), else PATH, else what ``cached`` returns.

    Raises Misconfigured, saying where was looked and what to do.
    """
    if setting:
        chosen = Path(setting)
        if not chosen.is_file() or not os.access(chosen, os.X_OK):
            which = "may not be executed" if chosen.is_file() else "is no file"
            wrong = f"is {setting!r}, which {which}"
            raise Misconfigured([Problem("proxy.envoy", wrong, "the path of an Envoy binary, or empty")])
        return chosen
    on_path = shutil.which("envoy")
    if on_path:
        return Path(on_path)
    found = cached()
    if found is None:
        wrong = "is empty, and no Envoy is on PATH or in Pillion's cache"
        raise Misconfigured(
            [Problem("proxy.envoy", wrong, "a path; or run `pillion demo --obtain` once to get one")]
        )
    return found


@contextmanager
def hold(lock: Path) -> Iterator[None]:
    """Hold the folder of Envoy's sockets: a second Envoy would take the admin socket over without a word.

    The lock goes with the process that holds it, however that ends. Raises Permanent when another process has
    it.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = (
                f"{lock.parent} is in use by another agent: stop that one, or give this one its own state.dir"
            )
            raise Permanent(text) from error
        yield
    finally:
        os.close(descriptor)
