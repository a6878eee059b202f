"""``pillion inbox`` as somebody types it."""

import asyncio
import json
import os
import sys

import asyncpg
import pytest

from tests.integration.outbox.inbox.rig import ROOT, Rig, until


async def pillion(rig: Rig, *words: str) -> tuple[int, str, str]:
    environ = {
        **os.environ, "PILLION_INBOX_DATABASE": rig.database, "PILLION_SERVICE_NAME": "stock",
        "PILLION_INBOX_DEAD": "park-key",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "inbox", *words, cwd=ROOT, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_dead_letters_are_listed_replayed_and_discarded(rig: Rig) -> None:
    rig.start_service()
    await rig.publish("bad", key="a", answers=[422])
    await rig.publish("behind", key="a")
    await rig.publish("worse", key="b", answers=[400, 400])
    async with rig.inbox(rig.settings(dead="park-key")):
        await rig.until_called("bad", "worse")
        await rig.until_acknowledged()
        code, out, _ = await pillion(rig, "dead", "--json")
        found = {each["id"]: each for each in json.loads(out)}
        assert code == 0
        assert set(found) == {"bad", "behind", "worse"}
        assert "body" not in found["bad"]
        assert "answers" not in out
        assert (await pillion(rig, "status"))[1].count("3 dead letters") == 1
        assert (await pillion(rig, "replay", str(found["bad"]["number"])))[0] == 0
        await rig.until_called("bad", "worse", "bad", "behind")
        code, out, _ = await pillion(rig, "discard", str(found["worse"]["number"]), "--reason", "a mistake")
        assert (code, out) == (0, f"{found['worse']['number']} discarded\n")
        code, _, err = await pillion(rig, "replay", "999", str(found["worse"]["number"]))
        assert code == 1
        assert "no such dead letter" in err
        assert "discarded" in (await pillion(rig, "dead"))[1]


async def test_init_may_be_run_again_and_its_role_is_enough_for_an_inbox(rig: Rig) -> None:
    await rig.sql.execute("DROP SCHEMA pillion_inbox CASCADE")
    role = f"r{rig.stream}"
    await rig.sql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        for _ in range(2):
            assert (await pillion(rig, "init", "--role", role))[0] == 0
        rig.start_service()
        rig.database = with_user(rig.database, role)
        await rig.publish("bad", answers=[422])
        await rig.publish("tried", answers=[503])
        async with rig.inbox(rig.settings(dead="park-key", window=1.0)):
            await rig.until_called("bad")
            await rig.until_acknowledged()
            [row] = await rig.sql.fetch("SELECT number FROM pillion_inbox.inbox_dead WHERE id = 'bad'")
            assert (await pillion(rig, "replay", str(row["number"])))[0] == 0
            await rig.until_called("bad", "bad", "tried", "tried")
    finally:
        await rig.sql.execute(f"DROP OWNED BY {role}")
        await rig.sql.execute(f"DROP ROLE {role}")


async def test_without_its_tables_the_inbox_says_what_to_run_and_goes_on_once_they_are_there(
    rig: Rig,
) -> None:
    await rig.sql.execute("DROP SCHEMA pillion_inbox CASCADE")
    rig.start_service()
    await rig.publish("e")
    async with rig.inbox(rig.settings()):
        await until(lambda: "pillion inbox init" in rig.board.reports["inbox"].detail)
        assert (await pillion(rig, "init"))[0] == 0
        await rig.until_called("e")


async def test_what_is_older_than_the_window_is_forgotten(rig: Rig) -> None:
    from agent.outbox.database import Connection
    from agent.outbox.inbox.ledger import Ledger, Whose

    connection = Connection(rig.sql)
    ledger = Ledger(connection, connection, Whose("pillion_inbox", "stock", "me", (), 10))
    for consumer, age in (("stock", 10), ("stock", 1000), ("other", 1000)):
        await rig.sql.execute(
            "INSERT INTO pillion_inbox.inbox_seen VALUES ($1, $2, now() - make_interval(secs => $3))",
            consumer, f"{consumer}{age}".encode(), float(age),
        )  # fmt: skip
    assert await ledger.prune(500) == 1
    left = await rig.sql.fetch("SELECT consumer FROM pillion_inbox.inbox_seen ORDER BY 1")
    assert [row["consumer"] for row in left] == ["other", "stock"]


def with_user(url: str, role: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{role}:p@{rest.rpartition('@')[2]}"


@pytest.mark.parametrize("words", [("dead",), ("status",)])
async def test_a_database_that_is_away_is_one_sentence(rig: Rig, words: tuple[str, ...]) -> None:
    rig.database = "postgresql://nobody:secret@127.0.0.1:9/none"
    code, _, err = await pillion(rig, *words)
    assert code == 1
    assert "Traceback" not in err
    assert "secret" not in err
    assert asyncpg.__name__ not in err
