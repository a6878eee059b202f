"""``pillion outbox`` as a person runs it."""

import json
from pathlib import Path

import pytest
import yaml

from agent.cli.errors import ended
from agent.cli.outbox import command
from agent.config.sections.outbox import Changes
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_init import psql
from tests.waiting import until


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


async def test_status_says_which_relay_has_how_many_buckets_and_since_when(
    bench: Bench, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench.service.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    settings = bench.settings(changes=(Changes(table="orders"),), lease=4.0)
    await bench.init(settings)
    async with bench.relay(settings, identity="one") as one, bench.relay(settings, identity="two") as two:

        async def shared() -> bool:
            return [(await each.status())[0].buckets for each in (one, two)] == [32, 32]

        await until(shared, within=60)
        capsys.readouterr()
        assert await run("status", "--config", str(file), "--json") == 0
        # The relays of this process may log beside it.
        out = capsys.readouterr().out
        ((found,), _) = json.JSONDecoder().raw_decode(out[out.index("[\n  {") :])
        told = [(each["relay"].partition("/")[0], each["state"], each["buckets"]) for each in found["shares"]]
        assert told == [("one", "alive", 32), ("two", "alive", 32)]
        assert sorted(int(each) for share in found["shares"] for each in share["epochs"]) == [*range(64)]
        epochs = dict(await bench.service.fetch("SELECT bucket::text, epoch FROM pillion.bucket"))
        assert {**found["shares"][0]["epochs"], **found["shares"][1]["epochs"]} == epochs
        assert all(0 <= each["seconds"] < 60 for each in found["shares"])
        assert found["orphaned"] == 0
        assert await run("status", "--config", str(file)) == 0
        assert capsys.readouterr().out.count("32 of 64 buckets, epoch") == 2


async def test_status_names_buckets_that_nobody_works_on(
    bench: Bench, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench.service.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    await bench.init(bench.settings(changes=(Changes(table="orders"),)))
    await bench.service.execute(
        "INSERT INTO pillion.relay (feed, id) VALUES ('pillion.outbox', 'silent/1'); "
        "UPDATE pillion.bucket SET owner = 'silent/1' WHERE bucket < 10; "
        "UPDATE pillion.bucket SET owner = 'gone/1', epoch = 7 WHERE bucket BETWEEN 10 AND 14; "
        # As an earlier version made it.
        "ALTER TABLE pillion.relay DROP COLUMN since"
    )
    assert await run("status", "--config", str(file)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "    gone/1: 5 of 64 buckets, epoch 7: it is gone; the next relay that looks takes them",
        "    silent/1: 10 of 64 buckets, epoch 0: it gave no sign of life; another one takes them after outbox.lease",
        "    nobody: 49 of 64 buckets, epoch 0: the next relay that looks takes them",
    ]
    assert await run("status", "--config", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["orphaned"] == 64


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
