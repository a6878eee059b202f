"""Docker's command line: is an image there, can it be pulled, build it."""

import os
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Sequence

from agent.runtime.errors import Permanent
from tests.compose.standins import context
from tests.compose.standins.table import LABEL, Image

PULL_WITHIN = 180.0
"""Seconds for one pull; a registry that can't be reached says so much earlier."""
UNKNOWN = ("manifest unknown", "manifest for", "pull access denied", "repository does not exist")
"""How a registry says that it is there and does not have the image."""
PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def kind(tag: str) -> str | None:
    """The value of our label on an image, empty for an official one; None when Docker does not have it."""
    asked = _docker("image", "inspect", "--format", '{{index .Config.Labels "' + LABEL + '"}}', tag)
    if asked.returncode == 0:
        return asked.stdout.strip().replace("<no value>", "")
    if "no such image" in asked.stderr.lower():
        return None
    raise Permanent(f"Docker did not answer: {asked.stderr.strip()[-500:]}")


def pull(tag: str) -> str:
    """Pull an image; why it could not be pulled, empty when it was.

    Raises Permanent when the registry answers that there is no such image: the name is wrong then, and a
    stand-in would hide it.
    """
    try:
        pulled = _docker("pull", "--quiet", tag, within=PULL_WITHIN)
    except subprocess.TimeoutExpired:
        return f"the registry did not give it within {PULL_WITHIN:.0f} s"
    return "" if pulled.returncode == 0 else refusal(tag, pulled.stderr)


def refusal(tag: str, said: str) -> str:
    """Docker's words about a failed pull in one line. Raises Permanent when the registry knows no such image."""
    if any(words in said.lower() for words in UNKNOWN):
        raise Permanent(f"the registry has no image {tag}: {said.strip()[-300:]}")
    return said.strip().splitlines()[-1][-300:] if said.strip() else "docker pull failed"


def build(image: Image, files: Sequence[context.File], progress: Callable[[str], None]) -> None:
    """Build a stand-in under the official image's name. Raises Permanent with the end of Docker's output."""
    proxies = [name for lower in PROXIES for name in (lower, lower.upper()) if os.environ.get(name)]
    arguments = [f"--build-arg={name}" for name in proxies]
    last: deque[str] = deque(maxlen=30)
    with tempfile.TemporaryFile() as tar:
        context.write(list(files), tar)
        tar.seek(0)
        argv = ["docker", "build", "--tag", image.tag, "--label", f"{LABEL}={image.kind}", *arguments, "-"]
        with subprocess.Popen(
            argv, stdin=tar, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as child:
            for line in child.stdout or ():
                last.append(line.rstrip())
                progress(line.strip())
    if child.returncode:
        raise Permanent(f"docker build of {image.tag} failed:\n" + "\n".join(last))


def _docker(*arguments: str, within: float = 60) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            ["docker", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=within,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise Permanent("docker is not installed") from None
