"""``pillion outbox`` as a person runs it."""

import json
from pathlib import Path

import pytest
import yaml

from agent.cli.errors import ended
from agent.cli.outbox import command
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_init import psql


@pytest.fixture
def file(bench: Bench, tmp_path: Path) -> Path:
    (tmp_path / "url").write_text(bench.url)
    (tmp_path / "url").chmod(0o600)
    settings = {
        "service": {"name": "shop", "port": 80},
        "outbox": {
            "database_file": str(tmp_path / "url"),
            "changes": [{"table": "orders"}],
            "broker": {"url": bench.nats_url},
        },
    }
    (tmp_path / "pillion.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "pillion.yaml"


async def run(*words: str) -> int:
    """In a thread: a command has an event loop of its own."""
    import asyncio

    return await asyncio.to_thread(ended, command, words)


async def test_init_status_and_sql_tell_what_is(
    bench: Bench, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench.service.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    assert await run("status", "--config", str(file)) == 1
    assert "pillion outbox init" in capsys.readouterr().out
    assert await run("init", "--config", str(file)) == 0
    assert "done: 4 steps" in capsys.readouterr().out
    assert await run("init", "--config", str(file)) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert await run("sql", "--config", str(file)) == 0
    assert "nothing to do" in capsys.readouterr().out
    await bench.service.execute("INSERT INTO orders VALUES (1)")
    assert await run("status", "--config", str(file), "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["feed"], found["unsent"], found["owner"]) == ("pillion.outbox", 1, "")


async def test_the_sql_of_a_fresh_database_runs_in_psql_and_leaves_nothing_to_do(
    bench: Bench, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench.service.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    role = f"relay_{bench.stream}"
    await bench.service.execute(f"CREATE ROLE {role}")
    try:
        assert await run("sql", "--role", role, "--config", str(file)) == 0
        await psql(bench, capsys.readouterr().out)
        assert await run("init", "--config", str(file)) == 0
        assert "nothing to do" in capsys.readouterr().out
    finally:
        await bench.service.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_what_is_wrong_is_a_sentence_and_the_exit_status_says_so(
    bench: Bench, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("init", "--config", str(file)) == 2
    assert "names orders, which does not exist" in capsys.readouterr().err
    (file.parent / "url").write_text("postgresql://u:hidden@127.0.0.1:1/x")
    assert await run("init", "--config", str(file)) == 1
    error = capsys.readouterr().err
    assert "connecting to the service's PostgreSQL" in error
    assert "hidden" not in error
