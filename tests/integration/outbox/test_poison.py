"""A row at which the relay's process ends must not end it for ever."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.config.sections.outbox import Outbox
from tests.integration.outbox.bench import ROOT, Bench
from tests.integration.outbox.test_parked import held, prepared, seen, write
from tests.waiting import until

KEY = 7


class Starter:
    """Starts the relay again whenever its process ended, as a supervisor does."""

    def __init__(self, settings: Outbox, folder: Path) -> None:
        self.deaths = 0
        self._file = folder / "settings.json"
        self._file.write_bytes(msgspec.json.encode(settings))
        self._log = folder / "relay.log"
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            argv = [
                sys.executable,
                "-m",
                "tests.integration.outbox.poison",
                str(self._file),
                "same",
                str(KEY),
            ]
            self.child = subprocess.Popen(argv, stdout=log, stderr=log, cwd=ROOT)

    def again(self) -> int:
        if self.child.poll() is not None:
            assert self.child.returncode == -9, self._log.read_text()[-2000:]
            self.deaths += 1
            self._start()
        return self.deaths

    def end(self) -> None:
        self.child.terminate()
        try:
            self.child.wait(30)
        finally:
            self.child.kill()
            self.child.wait()


@pytest.mark.parametrize(("others", "policy"), [(0, "park"), (200, "park"), (0, "skip")])
async def test_a_row_that_kills_the_process_is_parked_and_all_others_arrive(
    bench: Bench, tmp_path: Path, others: int, policy: str
) -> None:
    settings = await prepared(bench, on_refused=policy)
    for key in range(20):
        await write(bench, key, 1)
    await write(bench, KEY, 2)
    await bench.service.execute(
        "INSERT INTO t (k, n) SELECT n % 20 + 100, n FROM generate_series(1, $1::int) n", others
    )
    starter = Starter(settings, tmp_path)
    try:

        async def parked() -> bool:
            starter.again()
            assert starter.deaths < 12, "it goes on to end"
            return bool(
                await bench.service.fetchval("SELECT count(*) FROM pillion.held_key WHERE state = 'parked'")
            )

        await until(parked, within=150, every=0.1)
        await held(bench, "parked", 1, 2)
        assert "process ended" in await bench.service.fetchval("SELECT reason FROM pillion.held_key")
        deaths = starter.deaths
        await write(bench, 200, 1)

        async def all_there() -> bool:
            return (
                len({(each.key, each.data["after"]["n"]) for each in await bench.arrived()})
                == 19 + others + 1
            )

        await until(all_there, within=60, every=0.2)
        assert deaths <= 6
        assert starter.again() == deaths

        async def trusted() -> bool:
            return not await bench.service.fetchval("SELECT count(*) FROM pillion.bucket WHERE unclean >= 3")

        await until(trusted, within=30)
    finally:
        starter.end()
    assert seen(await bench.arrived(), KEY) == []


async def test_a_replay_that_kills_the_process_is_given_up_and_others_are_replayed(
    bench: Bench, tmp_path: Path
) -> None:
    settings = await prepared(bench)
    async with bench.relay(settings):
        for key in (KEY, 8, 9):
            await write(bench, key, 0, big=True)
        await held(bench, "parked", 3, 3)
        for key in (KEY, 8, 9):
            await write(bench, key, 1)
        await held(bench, "parked", 3, 6)
    await bench.change_stream(max_msg_size=-1)
    await bench.service.execute("UPDATE pillion.held_key SET state = 'replaying'")
    starter = Starter(settings, tmp_path)
    try:

        async def given_up() -> bool:
            starter.again()
            assert starter.deaths < 12, "it goes on to end"
            keys = await bench.service.fetch("SELECT key, state, reason FROM pillion.held_key")
            return [(each["key"], each["state"]) for each in keys] == [(str(KEY), "parked")]

        await until(given_up, within=150, every=0.1)
        await write(bench, 200, 1)

        async def arrived() -> bool:
            return any(each.key == "200" for each in await bench.arrived())

        await until(arrived, within=60, every=0.2)
    finally:
        starter.end()
    assert seen(await bench.arrived(), 8) == seen(await bench.arrived(), 9) == [0, 1]
    assert seen(await bench.arrived(), KEY) == [0]
