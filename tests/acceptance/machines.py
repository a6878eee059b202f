"""Network namespaces as machines on one network: each with an address of its own, and a cable that can be pulled."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ASK = """
import json, sys, urllib.request, urllib.error
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    with opener.open(sys.argv[1], timeout=15) as answer:
        found = answer.status, answer.read().decode()
except urllib.error.HTTPError as error:
    found = error.code, error.read().decode()
except OSError as error:
    found = 0, str(error)
json.dump(found, sys.stdout)
"""


class Machine:
    """One namespace."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    @property
    def prefix(self) -> list[str]:
        """What runs a command on this machine."""
        return ["ip", "netns", "exec", self.name]

    def get(self, url: str) -> tuple[int, str]:
        """Status (0: none) and text of a GET from this machine."""
        done = run(*self.prefix, sys.executable, "-c", ASK, url)
        status, text = json.loads(done)
        return status, text

    def load(self, url: str, file: Path) -> "subprocess.Popen[bytes]":
        """Clients on this machine that ask until they get SIGTERM, then write what they saw into the file."""
        argv = [*self.prefix, sys.executable, "-m", "tests.acceptance.apps.clients", url, str(file)]
        return subprocess.Popen(argv, start_new_session=True)

    def unplug(self) -> None:
        """Pull the cable: what is sent is lost, and nobody is told."""
        run("ip", "-n", self.name, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Put the cable back."""
        run("ip", "-n", self.name, "link", "set", "eth0", "up")


def seen(load: "subprocess.Popen[bytes]", file: Path) -> dict[str, Any]:
    """What clients saw, after they were told to end."""
    load.terminate()
    assert load.wait(90) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@contextlib.contextmanager
def machines(*names: str) -> Iterator[list[Machine]]:
    """These machines behind one switch, which is a namespace too: this machine's own network stays as it is."""
    mark = f"pl{os.getpid()}"
    switch = f"{mark}-switch"
    made = [Machine(f"{mark}-{name}", f"10.77.0.{number}") for number, name in enumerate(names, 10)]
    with contextlib.ExitStack() as stack:
        _add(stack, switch)
        run("ip", "-n", switch, "link", "add", "lan", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "lan", "up")
        for machine, number in zip(made, itertools.count(), strict=False):
            _add(stack, machine.name)
            port = f"port{number}"
            peer = ("peer", "name", port, "netns", switch)
            run("ip", "-n", machine.name, "link", "add", "eth0", "type", "veth", *peer)
            run("ip", "-n", switch, "link", "set", port, "master", "lan", "up")
            run("ip", "-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", "eth0")
            run("ip", "-n", machine.name, "link", "set", "eth0", "up")
        yield made


def _add(stack: contextlib.ExitStack, name: str) -> None:
    run("ip", "netns", "add", name)
    stack.callback(run, "ip", "netns", "del", name)
    run("ip", "-n", name, "link", "set", "lo", "up")


def run(*argv: str) -> str:
    """What the command says; raises AssertionError with its complaint."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout
