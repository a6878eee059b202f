"""A Consul that is gone without a word: no reset, no end of the connection."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.demo import backing
from agent.registry import blocking
from tests.acceptance.machines import Machine, machines
from tests.waiting import until

WITHIN = 25.0
"""Seconds: ten, and what a busy machine adds; far below the 37 of a question's own deadline."""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2"
)


@contextmanager
def running(machine: Machine, file: Path, *argv: str) -> Iterator[None]:
    """A program on the machine whose output goes into the file."""
    with file.open("wb") as output:
        process = subprocess.Popen([*machine.prefix, *argv], stdout=output, stderr=output)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def test_a_waiting_question_notices_within_ten_seconds_that_its_consul_is_gone(tmp_path: Path) -> None:
    """Without asking the kernel to look it would be its own deadline, 37 s."""
    said, log = tmp_path / "said", tmp_path / "consul.log"

    def lines(what: str) -> list[str]:
        return [line for line in said.read_text().splitlines() if line.split(" ")[1] == what]

    with machines("hub", "agent") as (hub, agent):
        consul = ("agent", "-dev", "-client", "0.0.0.0", "-bind", hub.address)
        asker = (sys.executable, "-m", "tests.integration.registry.asker", f"http://{hub.address}:8500")
        with (
            running(hub, log, backing.binary("consul"), *consul),
            running(agent, said, *asker),
        ):
            await until(lambda: lines("seen"), within=60)
            seen, failed = len(lines("seen")), len(lines("failed"))
            hub.unplug()
            began = time.monotonic()
            await until(lambda: len(lines("failed")) > failed, within=blocking.WAIT + 20)
            took = time.monotonic() - began
            assert took < WITHIN, f"noticed after {took:.1f} s: {lines('failed')[failed]}"
            assert took > 3.0, f"the question did not wait: {lines('failed')[failed]}"
            hub.plug()
            await until(lambda: len(lines("seen")) > seen, within=60)
