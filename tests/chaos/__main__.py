"""``python -m tests.chaos --seed N --seconds S``: one run; the exit status is 1 when anything is wrong."""

import asyncio
import logging
import shutil
import tempfile
import time
from pathlib import Path

import click

from tests.chaos.plan import plan
from tests.chaos.run import run


@click.command()
@click.option("--seed", default=0, help="Which plan; 0 takes one from the clock.")
@click.option("--seconds", default=300.0, help="How long faults happen.")
@click.option("--rows", default=0, help="Rows of one large transaction a third of the way; 0: none.")
@click.option("--keep", is_flag=True, help="Keep the servers' folder also when all is well.")
def main(seed: int, seconds: float, rows: int, keep: bool) -> None:
    """Break the outbox by a plan and judge what arrived."""
    logging.disable(logging.ERROR)
    seed = seed or int(time.time())
    fast = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="pillion-chaos-", dir=fast if fast.is_dir() else None))
    report = asyncio.run(
        run(plan(seed, seconds, rows), folder, lambda text: click.echo(f"{time.strftime('%H:%M:%S')} {text}"))
    )
    click.echo(str(report))
    if report.problems:
        click.echo(f"the logs are in {folder}")
        raise SystemExit(1)
    click.echo("clean")
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
