"""Which processes are taken for those of the service."""

import pytest

from agent.doctor.machine.hook import Process
from agent.wiring import doctor_agent


def test_an_agent_whose_parent_can_t_be_seen_has_no_processes_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in another namespace of processes: the children of nobody are those of the whole machine."""
    looks = doctor_agent.processes
    monkeypatch.setattr(looks, "process", lambda pid: Process(pid, ("python", "-m", "agent"), None))
    monkeypatch.setattr(looks, "parent", lambda _: 0)
    monkeypatch.setattr(looks, "below", lambda *_: [1, 2])
    assert doctor_agent._family({"agent": {"pid": "7"}}) == (0, [])
