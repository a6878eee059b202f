"""Memory that the process gives back."""

import platform
import subprocess
import sys

import pytest

HELD = """
from pathlib import Path
from agent.runtime import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

{first}
large = bytes(30_000_000)
del large
before = resident()
pieces, between = [], []
for _ in range(20):
    pieces.append(b"x" * 1_000_000)
    between.append(bytes(1000))
del pieces
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of the GNU C library")
def test_large_pieces_that_are_free_are_given_back_whatever_lies_between() -> None:
    def left(first: str) -> float:
        code = HELD.format(first=first)
        return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)

    assert left("pass") > 15, "else this shows nothing"
    assert left("memory.thrifty()") < 2
