"""What the board says of secrets that come from files."""

from pathlib import Path

import msgspec
import structlog

from agent.config.settings import Settings
from agent.runtime.health import Board, State
from agent.wiring.secrets import Secrets, from_files


def settings(tmp_path: Path) -> Settings:
    document = {
        "registry": {"token": "first", "token_file": str(tmp_path / "token")},
        "outbox": {"database": "postgresql://u:hunter2@h/d", "broker": {"url_file": str(tmp_path / "url")}},
    }
    return msgspec.convert(document, Settings)


def test_every_setting_that_names_a_file_is_looked_at(tmp_path: Path) -> None:
    found = from_files(settings(tmp_path))
    assert [secret.key for secret in found] == ["registry.token", "outbox.broker.url"]
    assert from_files(Settings()) == ()


def test_an_unreadable_file_is_degraded_until_it_is_back(tmp_path: Path) -> None:
    board = Board(lambda: 0.0)
    (tmp_path / "token").write_text("first")
    (tmp_path / "url").write_text("nats://h")
    watch = Secrets(from_files(settings(tmp_path)), board.of("secrets"))
    watch.turn()
    assert board.reports["secrets"].state is State.OK
    (tmp_path / "token").unlink()
    with structlog.testing.capture_logs() as logs:
        watch.turn()
        watch.turn()
    report = board.reports["secrets"]
    assert (report.state, "registry.token_file names" in report.detail) == (State.DEGRADED, True)
    assert [each["event"] for each in logs] == ["secret.unreadable"]
    (tmp_path / "token").write_text("first")
    watch.turn()
    assert board.reports["secrets"].state is State.DEGRADED
