"""``pillion outbox parked|replay|discard|prune`` as a person runs them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from agent.config.sections.outbox import Changes, Outbox
from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_command import run
from tests.integration.outbox.test_parked import held, none_left, prepared, seen, write


@pytest.fixture
def file(bench: Bench, tmp_path: Path) -> str:
    settings = {
        "service": {"name": "shop", "port": 80},
        "outbox": {
            "database_file": str(tmp_path / "url"),
            "changes": [{"table": "t", "key": ["k"]}],
            "broker": {"url": bench.nats_url},
        },
    }
    (tmp_path / "url").write_text(bench.url)
    (tmp_path / "url").chmod(0o600)
    (tmp_path / "pillion.yaml").write_text(yaml.safe_dump(settings))
    return str(tmp_path / "pillion.yaml")


async def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert await run(*words, "--json") == 0
    # A relay of this process may log meanwhile.
    lines = capsys.readouterr().out.splitlines()
    return json.loads("\n".join(line for line in lines if not line[:2].isdigit()))


async def parked(bench: Bench) -> Outbox:
    """Three versions of key 1 are set aside: the first is too large."""
    settings = await prepared(bench)
    async with bench.relay(settings):
        await write(bench, 1, 1, big=True)
        await write(bench, 1, 2, 3)
        await held(bench, "parked", 1, 3)
    return settings


async def test_a_parked_key_is_listed_replayed_and_gone(
    bench: Bench, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await parked(bench)
    (key,) = await told(capsys, "parked", "--config", file)
    assert (key["key"], key["state"], key["rows"], key["first_row"]) == ("1", "parked", 3, 1)
    assert "message size exceeds" in key["reason"]
    assert await run("parked", "--config", file) == 0
    text = capsys.readouterr().out
    assert "key 1: parked for" in text
    assert "xxxx" not in text, "a content is shown"
    (found,) = await told(capsys, "status", "--config", file)
    assert (found["parked"], found["held_rows"], found["unsent"]) == (1, 3, 0)
    await bench.change_stream(max_msg_size=-1)
    assert await told(capsys, "replay", "--key", "1", "--config", file) == [
        {"feed": "pillion.outbox", "key": "1", "rows": [1]}
    ]
    assert await bench.count() == 0, "only its owner may send"
    async with bench.relay(settings):
        await none_left(bench)
    assert seen(await bench.arrived(), 1) == [1, 2, 3]
    assert await told(capsys, "parked", "--config", file) == []


async def test_a_discarded_row_is_never_sent_and_who_did_it_and_why_is_kept(
    bench: Bench, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await parked(bench)
    assert await run("discard", "--row", "1", "--config", file) == 2
    assert "--reason" in capsys.readouterr().err
    words = ("discard", "--row", "1", "--reason", "too large for ever", "--config", file)
    assert await told(capsys, *words) == [{"feed": "pillion.outbox", "key": "1", "rows": [1]}]
    assert await run(*words) == 1
    assert "row 1 is not set aside" in capsys.readouterr().err
    assert len(await told(capsys, "replay", "--all", "--config", file)) == 1
    async with bench.relay(settings):
        await none_left(bench)
        await write(bench, 1, 4)
        await bench.until_arrived(3)
    assert seen(await bench.arrived(), 1) == [2, 3, 4]
    audit = await bench.service.fetch("SELECT * FROM pillion.held_audit ORDER BY id")
    assert [(each["what"], each["reason"], each["row_ids"]) for each in audit] == [
        ("discard", "too large for ever", [1]),
        ("replay", "", [2]),
    ]
    assert all(each["who"] == "postgres" and each["at"] is not None for each in audit)


async def test_a_key_whose_rows_are_all_discarded_is_free_again(
    bench: Bench, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await parked(bench)
    async with bench.relay(settings):
        await told(capsys, "discard", "--key", "1", "--reason", "a test's", "--config", file)
        await none_left(bench)
        await write(bench, 1, 4)
        await bench.until_arrived(1)
    assert seen(await bench.arrived(), 1) == [4]


async def test_prune_deletes_what_is_published_and_old_and_nothing_that_is_set_aside(
    bench: Bench, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await prepared(bench, retention=0.0)
    async with bench.relay(settings):
        await write(bench, 1, 1, big=True)
        await write(bench, 1, 2)
        await write(bench, 2, *range(1, 20))
        await bench.until_arrived(19)
        await held(bench, "parked", 1, 2)
    await write(bench, 3, 1)
    assert await told(capsys, "prune", "--older-than", "1h", "--config", file) == [
        {"feed": "pillion.outbox", "deleted": 0}
    ]
    assert (await told(capsys, "prune", "--older-than", "0s", "--config", file))[0]["deleted"] == 19
    assert [row["key"] for row in await bench.outbox()] == ["1", "1", "3"]
    assert await run("prune", "--older-than", "soon", "--config", file) == 2
    assert "a duration" in capsys.readouterr().err


async def test_a_command_needs_to_be_told_which_key(
    bench: Bench, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await prepared(bench)
    assert await run("replay", "--config", file) == 2
    assert "--key, --row and --all" in capsys.readouterr().err
    assert await run("replay", "--key", "nobody", "--config", file) == 1
    assert "that key is not set aside" in capsys.readouterr().err
    assert await run("parked", "--feed", "other", "--config", file) == 2
    assert "the feeds are pillion.outbox" in capsys.readouterr().err


async def test_the_relays_own_rights_suffice_to_set_aside_replay_and_discard(
    bench: Bench, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    role = f"relay_{bench.stream}"
    await bench.service.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        settings = await prepared(bench)
        await bench.init(settings, role=role)
        place = bench.url.partition("@")[2]
        url = f"postgresql://{role}:p@{place}"
        Path(file).with_name("url").write_text(url)
        other = msgspec.structs.replace(
            bench.settings(changes=(Changes(table="t", key=("k",)),)), database=url
        )
        async with bench.relay(other):
            await write(bench, 1, 1, big=True)
            await write(bench, 1, 2)
            await held(bench, "parked", 1, 2)
            assert len(await told(capsys, "parked", "--config", file)) == 1
            await told(capsys, "discard", "--row", "1", "--reason", "a test's", "--config", file)
            await told(capsys, "replay", "--all", "--config", file)
            await none_left(bench)
        assert seen(await bench.arrived(), 1) == [2]
        assert (await told(capsys, "prune", "--older-than", "0s", "--config", file))[0]["deleted"] == 2
    finally:
        await bench.service.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
