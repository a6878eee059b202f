"""Running a command and reading what it says, for tests of whole systems."""

import os
import subprocess
from collections.abc import Mapping


class CommandError(AssertionError):
    """A command failed; the text has its end of output."""


def run(
    *argv: str,
    env: Mapping[str, str] | None = None,
    within: float = 600,
    both: bool = False,
    given: str | None = None,
) -> str:
    """The command's output, with ``both`` what it wrote as errors too; ``given`` is its input. Raises CommandError."""
    done = subprocess.run(
        argv,
        env={**os.environ, **(env or {})},
        input=given or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=within,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr or ''}".strip()[-4000:]
        raise CommandError(f"{' '.join(argv)} ended with status {done.returncode}:\n{said}")
    return done.stdout
