"""The snapshot on disk."""

import hashlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.proxy.snapshot import Snapshot
from agent.proxy.xds.store import Good, SnapshotStore

SNAPSHOT = Snapshot(
    clusters={"a": {"name": "a", "x": [1, 2.5, None, True, "é"]}}, routes={"r": {"name": "r"}}
)


def test_what_was_saved_is_loaded_and_equal(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "snapshot.json")
    assert store.load() is None
    store.save(Good(SNAPSHOT, ("b",)))
    loaded = store.load()
    assert loaded == Good(SNAPSHOT, ("b",))
    assert loaded is not None
    assert loaded.snapshot.hash == SNAPSHOT.hash


@pytest.mark.parametrize("cut", [0, 10, 64, 65, 70])
def test_a_damaged_file_counts_as_none_and_is_reported(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "snapshot.json"
    store = SnapshotStore(file)
    store.save(Good(SNAPSHOT))
    file.write_bytes(file.read_bytes()[:cut])
    with capture_logs() as logs:
        assert store.load() is None
    assert logs[0]["event"] == "snapshot.damaged"


def test_a_file_of_an_agent_that_kept_no_refusals_is_read(tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    body = b'{"clusters":{},"endpoints":{},"listeners":{},"routes":{}}'
    file.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert SnapshotStore(file).load() == Good(Snapshot())


def test_one_changed_byte_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    store = SnapshotStore(file)
    store.save(Good(SNAPSHOT))
    file.write_bytes(file.read_bytes().replace(b'"a"', b'"b"', 1))
    assert store.load() is None
