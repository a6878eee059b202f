"""A cell has one writer; readers see the newest value."""

import asyncio

from agent.runtime.latest import Latest
from tests.unit.runtime import virtual


def test_an_equal_value_is_no_change() -> None:
    cell = Latest((1, 2))
    cell.set((1, 2))
    assert cell.version == 0
    cell.set((1, 3))
    assert (cell.version, cell.value) == (1, (1, 3))


def test_a_slow_reader_skips_to_the_newest_value() -> None:
    async def main() -> list[int]:
        cell, seen = Latest(0), []

        async def read() -> None:
            async for value in cell.values():
                seen.append(value)
                await asyncio.sleep(10)

        reader = asyncio.create_task(read())
        for value in range(1, 26):
            await asyncio.sleep(1)
            cell.set(value)
        await asyncio.sleep(20)
        reader.cancel()
        await asyncio.wait({reader})
        return seen

    seen = virtual.run(main())
    assert seen[0] == 0
    assert seen[-1] == 25
    assert len(seen) == 4


def test_all_waiting_readers_are_woken_by_one_change() -> None:
    async def main() -> list[int]:
        cell = Latest(0)
        readers = [asyncio.create_task(cell.until(lambda value: value == 7)) for _ in range(3)]
        await asyncio.sleep(1)
        cell.set(6)
        await asyncio.sleep(1)
        assert not any(reader.done() for reader in readers)
        cell.set(7)
        return await asyncio.gather(*readers)

    assert virtual.run(main()) == [7, 7, 7]


def test_a_value_that_already_meets_the_condition_is_not_waited_for() -> None:
    assert virtual.run(Latest(5).until(lambda value: value == 5)) == 5


def test_changed_returns_at_once_when_the_version_is_older() -> None:
    cell = Latest(0)
    cell.set(1)
    assert virtual.run(cell.changed(0)) == 1
