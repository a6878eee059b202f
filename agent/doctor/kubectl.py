"""The API server as `kubectl` reaches it, with every kind of login that a kubeconfig can name."""

import asyncio
import json
import re
import shutil
from typing import Any

from agent.runtime.errors import Misconfigured, Permanent, Problem, Transient
from agent.runtime.words import plain

TIMEOUT = 10
"""Seconds that one request may take."""
LIMIT = 64 * 1024 * 1024
"""Bytes of one answer."""
AT_ONCE = 6
"""Processes at a time."""


class Kubectl:
    """Runs ``kubectl get --raw PATH``, a process a question."""

    def __init__(self, context: str = "", program: str = "kubectl") -> None:
        """``context`` of the kubeconfig, empty for its current one. Raises Misconfigured without the program."""
        found = shutil.which(program)
        if found is None:
            wrong = f"is not on PATH ({program}), so a cluster can't be looked at from outside"
            raise Misconfigured(
                [Problem("kubectl", wrong, "kubectl, with a kubeconfig that may read the cluster")]
            )
        self._program = found
        self._context = ["--context", context] if context else []
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def get(self, path: str) -> Any:
        """The document, None for a 404."""
        async with self._turns:
            status, out, said = await self._run(path)
        if status == 0:
            return _document(out, path)
        if re.search(r"\(NotFound\)|the server could not find the requested resource", said):
            return None
        doing = f"kubectl get --raw {path}"
        if re.search(r"\((Forbidden|Unauthorized)\)|must be logged in", said):
            raise Permanent(f"{doing} was refused: {_line(said)}")
        raise Transient(f"{doing} failed: {_line(said)}")

    async def _run(self, path: str) -> tuple[int, bytes, str]:
        argv = [self._program, *self._context, "get", "--raw", path, f"--request-timeout={TIMEOUT}s"]
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, said = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return child.returncode or 0, out, said.decode(errors="replace")


def _document(out: bytes, path: str) -> Any:
    if len(out) > LIMIT:
        raise Transient(f"kubectl get --raw {path} brought more than {LIMIT} bytes")
    try:
        return json.loads(out)
    except ValueError:
        raise Transient(f"kubectl get --raw {path} brought something that is not JSON") from None


def _line(said: str) -> str:
    """The last line that says something, fit for a text."""
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "no reason given")
    return plain(last[:300])
