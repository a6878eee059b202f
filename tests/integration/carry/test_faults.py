"""A fault anywhere in the hook never reaches the service: each of its functions is made to raise, one by one."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import carry
from tests.integration.carry.recorder import Recorder, recording

HERE = Path(__file__).parent
CALLED_FROM_OUTSIDE = {
    "faults.note": "it is what a fault ends in; it has a try of its own, tested below",
    "hook.install": "called by sitecustomize within a try; tested with the interpreters",
    "hook.Finder.find_spec": "Python's import calls it",
    "hook.PatchingLoader.create_module": "Python's import calls it",
    "hook.PatchingLoader.exec_module": "Python's import calls it",
    "wsgi.Body.close": "the server calls it",
    "context._forget": "Python calls it after a fork, and prints what it raises",
}
"""Entry points: they are what the service calls, so they can't be made to raise from within."""
AT_START = (
    "hook",
    "wsgi",
    "asgi",
    "context",
    "headers",
    "mesh",
    "http_client",
    "threads",
    "queues",
    "wrapping",
)
"""Modules that a service of the standard library alone loads."""


def functions() -> Iterator[str]:
    """Every function and method of the hook but Python's special ones, as ``module.function``."""
    for file in sorted((carry.SITE / "pillion_carry").glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            inner = node.body if isinstance(node, ast.ClassDef) else [node]
            within = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            for one in inner:
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and not one.name.startswith("__"):
                    yield f"{file.stem}.{within}{one.name}"


ALL = [name for name in functions() if name not in CALLED_FROM_OUTSIDE]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What went wrong in a service while each function raised; ``""`` is the whole hook."""
    before = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HERE.parents[2]),
        "PILLION_CARRY_ASYNCPG": "on",
        "no_proxy": "*",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from tests.integration.carry import faulty; faulty.main()"],
        env={**before, **carry.environment(before)},
        input="\n".join(ALL),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_with_a_whole_hook_nothing_goes_wrong(found: dict[str, Any]) -> None:
    assert found[""] == []
    assert len(ALL) > 60


@pytest.mark.parametrize("name", ALL)
def test_a_service_answers_the_same_while_a_function_raises(found: dict[str, Any], name: str) -> None:
    assert found[name] == {}


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """The service that the program calls."""
    with recording() as running:
        yield running


@pytest.mark.parametrize("name", [name for name in ALL if name.partition(".")[0] in AT_START])
def test_a_service_starts_and_answers_when_a_function_raises_from_the_start(
    recorder: Recorder, name: str
) -> None:
    before = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE / "broken")}
    env = {**before, **carry.environment(before), "PILLION_CARRY_PORTS": str(recorder.server_port)}
    done = subprocess.run(
        [sys.executable, str(HERE / "standard.py")],
        env={**env, "BROKEN": name, "URL": recorder.url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)) == {
        "urllib", "thread", "executor", "stream", "presence", "nothing",
    }  # fmt: skip


def test_a_fault_that_can_not_be_printed_is_nothing_either() -> None:
    program = (
        "import sys, os; os.close(2); sys.stderr = None\n"
        "from pillion_carry import faults\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    faults.note()\n"
        "print('up')"
    )
    env = {"PATH": os.environ["PATH"], **carry.environment({}), "PILLION_CARRY": "debug"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "up\n"
