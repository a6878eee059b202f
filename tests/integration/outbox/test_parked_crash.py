"""Refused events, a relay that is killed again and again, replays and cleanup, all at once."""

import asyncio
import random
import signal
from pathlib import Path

from tests.integration.outbox.bench import Bench
from tests.integration.outbox.test_parked import none_left, prepared, write
from tests.waiting import until

KEYS = 12
FEED = "pillion.outbox"


async def test_nothing_is_lost_inverted_or_cleaned_up_too_early(bench: Bench, tmp_path: Path) -> None:
    """A third of the keys have refused events; the broker takes them from half-way on."""
    settings = await prepared(bench, retention=0.2, page=10, lease=1.0)
    chance = random.Random(11)
    versions = dict.fromkeys(range(KEYS), 0)
    written: dict[int, int] = {}

    async def some(count: int) -> None:
        for _ in range(count):
            key = chance.randrange(KEYS)
            versions[key] += 1
            await write(bench, key, versions[key], big=key % 3 == 0 and chance.random() < 0.2)
            written[await bench.service.fetchval("SELECT last_value FROM pillion.outbox_id")] = key

    former: str | None = None
    parked: list[int] = []

    async def taken() -> bool:
        return await bench.owner(FEED) not in (None, former)

    for number in range(8):
        child = bench.process(settings, tmp_path, "same")
        await until(taken, within=30)
        former = await bench.owner(FEED)
        await some(40)
        await interfere(bench, number)
        await asyncio.sleep(chance.random())
        child.send_signal(signal.SIGKILL)
        child.wait()
        parked.append(await bench.service.fetchval("SELECT count(*) FROM pillion.held_row"))
        await nothing_cleaned_up_too_early(bench, written)
    async with bench.relay(settings):
        await until(lambda: replayed(bench), within=60, every=0.2)
        await none_left(bench)

        async def all_there() -> bool:
            seen = {(int(each.key), each.data["after"]["n"]) for each in await bench.arrived()}
            return seen == {(key, n) for key, last in versions.items() for n in range(1, last + 1)}

        await until(all_there, within=60, every=0.2)
    newest = dict.fromkeys(range(KEYS), 0)
    seen = set()
    for each in await bench.arrived():
        key, version = int(each.key), each.data["after"]["n"]
        if (key, version) not in seen:
            seen.add((key, version))
            assert version == newest[key] + 1, f"version {version} of key {key} came after {newest[key]}"
            newest[key] = version
    assert sum(count > 0 for count in parked) >= 3, "hardly anything was set aside when the relay was killed"


async def interfere(bench: Bench, number: int) -> None:
    """What a person does in this life of the relay; in some it is seen to that something is set aside by then."""
    if number in (1, 2, 3):
        await until(lambda: set_aside(bench), within=30)
    if number == 4:
        await bench.change_stream(max_msg_size=-1)
    if number % 2:
        await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")


async def set_aside(bench: Bench) -> bool:
    """Whether anything is."""
    return bool(await bench.service.fetchval("SELECT count(*) FROM pillion.held_row"))


async def replayed(bench: Bench) -> bool:
    """Whether all was sent again; also what was taken for ending the process, which ended twice while it was on its
    way."""
    await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying' WHERE state <> 'replaying'")
    return not await set_aside(bench)


async def nothing_cleaned_up_too_early(bench: Bench, written: dict[int, int]) -> None:
    there = {row["id"] for row in await bench.outbox()}
    out = {int(each.headers["ce-sequence"].partition("-")[2]) for each in await bench.arrived()}
    early = set(written) - there - out
    assert not early, f"deleted and never sent: {sorted(early)}"
    held = {row["row_id"] for row in await bench.service.fetch("SELECT row_id FROM pillion.held_row")}
    assert held <= there, f"deleted while held: {sorted(held - there)}"
