"""A free port is chosen once and kept."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime import ports
from agent.runtime.errors import Permanent
from agent.runtime.ports import PortBook


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports that another process has; the first three that are to be had are an agent's own by default."""
    busy: set[int] = set()
    monkeypatch.setattr(ports, "is_free", lambda _host, port: port not in busy)
    spans = range(15000, 15003), range(16000, 16003), range(60001, 60002)
    monkeypatch.setattr(ports, "_spans", lambda: iter(spans))
    return busy


def book(folder: Path) -> PortBook:
    return PortBook(folder / "ports.json", shuffle=lambda _: None)


def test_a_given_port_is_returned_as_it_is_and_not_noted(tmp_path: Path, taken: set[int]) -> None:
    taken.add(8080)
    assert book(tmp_path).keep("inbound", "127.0.0.1", 8080) == 8080
    assert list(tmp_path.iterdir()) == []


def test_a_chosen_port_is_kept_over_restarts_even_if_it_is_taken_by_then(
    tmp_path: Path, taken: set[int]
) -> None:
    assert book(tmp_path).keep("inbound", "127.0.0.1", 0) == 16000
    taken.add(16000)
    assert book(tmp_path).keep("inbound", "127.0.0.1", 0) == 16000


def test_two_names_never_share_a_port_and_a_taken_one_is_passed_over(tmp_path: Path, taken: set[int]) -> None:
    taken.add(16001)
    chosen = [book(tmp_path).keep(name, "127.0.0.1", 0) for name in ("a", "b", "c")]
    assert chosen == [16000, 16002, 60001]
    with pytest.raises(Permanent, match=r"no port is free on 127\.0\.0\.1"):
        book(tmp_path).keep("d", "127.0.0.1", 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b'{"inbound": "16000"}',
        b'{"inbound": 0}',
        b'{"inbound": true}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_corrupt_file_counts_as_empty(tmp_path: Path, taken: set[int], content: bytes) -> None:
    (tmp_path / "ports.json").write_bytes(content)
    assert book(tmp_path).keep("inbound", "127.0.0.1", 0) == 16000
    assert json.loads((tmp_path / "ports.json").read_bytes()) == {"inbound": 16000}


@given(st.tuples(st.integers(0, 70000), st.integers(0, 70000)).map(sorted))
def test_ports_come_from_outside_the_ephemeral_range_before_any_from_inside(pair: list[int]) -> None:
    low, high = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda _self: f"{low}\t{high}\n")
        *outside, everywhere = ports._spans()
    candidates = [port for span in outside for port in span]
    assert not [port for port in candidates if low <= port <= high or not 1024 <= port <= 65535]
    assert everywhere == range(20000, 65536)
