"""Orders that can't be read are refused in a sentence."""

import json
import os

import pytest

from agent.supervise import spec


def orders(content: bytes) -> int:
    """A descriptor from which ``content`` can be read."""
    descriptor = os.memfd_create("orders")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def test_what_is_not_said_has_defaults() -> None:
    read = spec.read(orders(json.dumps({"agent": ["a", "b"], "dir": "/d"}).encode()))
    assert (read.agent, read.directory, read.deadline, read.grace) == (["a", "b"], "/d", 60.0, 5.0)
    assert (read.children, read.main, read.attempts) == (["envoy", "service"], "service", 5)


def test_a_short_deadline_keeps_a_quarter_as_grace() -> None:
    assert spec.Spec({"agent": ["a"], "dir": "/d", "deadline": 8}).grace == 2.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "Expecting value"),
        (b"[]", "list indices"),
        (b'{"dir": "/d"}', "no 'agent'"),
        (b'{"agent": [], "dir": "/d"}', "agent is empty"),
        (b'{"agent": ["a"], "dir": "/d", "deadline": "soon"}', "could not convert"),
    ],
)
def test_wrong_orders_are_refused_with_what_is_wrong(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"the supervisor's orders can't be read: .*{problem}"):
        spec.read(orders(content))
