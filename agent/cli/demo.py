"""`pillion demo`."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.console import Console

from agent.demo import components, extra, obtain
from agent.demo import ports as demo_ports
from agent.demo.report import Report

if TYPE_CHECKING:
    from agent.demo.stage import Stage

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WAYS = {
    "demo": components.DEMO,
    "tests": components.TESTS,
    **{name: (name,) for name in components.COMPONENTS},
}
"""What can be obtained: a whole set, or one component."""


@click.command(name="demo")
@click.option("--once", is_flag=True, help="End after the walk; status 1 when anything failed.")
@click.option(
    "--ports",
    type=click.Choice(["usual", "free"]),
    default="usual",
    show_default=True,
    help="The usual ones (gateway 10000, Consul 8500, Jaeger 16686, NATS 4222, ...), or free ones.",
)
@click.option(
    "--obtain",
    "what",
    type=click.Choice(list(WAYS)),
    is_flag=False,
    flag_value="demo",
    help="Only obtain the servers that the demo runs, or those of the tests, or a single one, and end.",
)
def command(once: bool, ports: str, what: str | None) -> int:
    """Start a small shop on this machine and walk through what Pillion does for it.

    Consul, Envoy, PostgreSQL, NATS and Jaeger are real; what is missing is obtained once, without root, into
    ~/.cache/pillion. Three unmodified Flask services run beside an agent each, behind the gateway. Ctrl-C
    ends it all.
    """
    report = Report(Console(soft_wrap=True))
    with _interruptible():
        if what is None:
            return 0 if _play(report, once, free=ports == "free") else 1
        for name in WAYS[what]:
            report.say(f"{components.COMPONENTS[name].title}: {obtain.obtain(name, report)}")
    return 0


def _play(report: Report, once: bool, free: bool) -> bool:
    """The whole demo; whether every step passed."""
    extra.require()
    # Only now: these import what the extra installs, which --help and --obtain can do without.
    from agent.demo import here  # noqa: PLC0415
    from agent.demo.stage import Stage  # noqa: PLC0415
    from agent.demo.walk import walk  # noqa: PLC0415

    for name in components.DEMO:
        obtain.obtain(name, report)
    folder = Path(tempfile.mkdtemp(prefix="pillion-demo-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    passed, keep = False, True
    try:
        ports = demo_ports.Ports.free(demo_ports.book(folder)) if free else demo_ports.Ports()
        ports.check()
        stage = Stage(folder, ports, report)
        with _ended(stage, report):
            stage.start()
            results = asyncio.run(walk(stage, report, here.steps(stage)))
            report.table(results)
            passed = all(ok for _, ok, _ in results)
            keep = not passed
            if not once:
                _stay(report, stage, folder)
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        if keep and any(folder.iterdir()):
            report.say(f"Settings and logs of every process are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return passed


def _stay(report: Report, stage: "Stage", folder: Path) -> None:
    """Show where everything is and wait for Ctrl-C."""
    report.title("It all runs until Ctrl-C")
    for name, address in stage.addresses():
        report.say(f"  {name:<22}{address}")
    report.say(f"  {'settings and logs':<22}{folder}")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()


@contextlib.contextmanager
def _ended(stage: "Stage", report: Report) -> Iterator[None]:
    """Whatever happens inside, end everything, and let no second Ctrl-C stop that."""
    try:
        yield
    finally:
        former = {sign: signal.signal(sign, signal.SIG_IGN) for sign in SIGNALS}
        try:
            with report.working("Ending everything"):
                stage.close()
            report.say("Everything that was started has ended.")
        finally:
            for sign, handler in former.items():
                signal.signal(sign, handler)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal do what Ctrl-C does, also where a shell has us ignore Ctrl-C."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: interrupt,
        signal.SIGHUP: interrupt,
    }
    former = {sign: signal.signal(sign, handler) for sign, handler in handlers.items()}
    try:
        yield
    finally:
        for sign, restored in former.items():
            signal.signal(sign, restored)
