"""What the settings need of the extras is known before anything is started."""

import subprocess
import sys

import pytest

from agent.config import sources
from agent.config.problems import Report
from agent.config.settings import Settings
from agent.outbox.brokers import BROKERS
from agent.outbox.inbox.sources import SOURCES
from agent.runtime.errors import Misconfigured
from agent.wiring import drivers

MODULES = sorted({*BROKERS.values(), *SOURCES.values()})


@pytest.mark.parametrize(("module", "extra"), MODULES)
def test_a_brokers_module_loads_exactly_with_the_library_that_is_asked_for(module: str, extra: str) -> None:
    spoken = extra in drivers.SPOKEN and "sources" not in module
    library = None if spoken else drivers.LIBRARIES.get(extra)
    others = [one for one in ("confluent_kafka", "aio_pika", "nats") if one != library]
    code = f"import sys; sys.modules.update(dict.fromkeys({others!r})); import {module}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    if library is not None:
        code = f"import sys; sys.modules[{library!r}] = None; import {module}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert b"ModuleNotFoundError" in done.stderr


def test_without_outbox_and_inbox_nothing_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in drivers.LIBRARIES.values():
        monkeypatch.setitem(sys.modules, library, None)
    drivers.check(Settings())


def test_an_inbox_without_a_database_needs_its_driver_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the agent imports for an inbox imports it."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    text = "inbox: {topics: [{topic: b, path: /c}], dedupe: none, broker: {url: 'redis://h'}}\n"
    settings = sources.assemble(sources.from_document(text, "p.yaml", Report()))
    assert [one.key for one in drivers.inbox(settings)] == ["inbox"]
    with pytest.raises(Misconfigured, match="asyncpg"):
        drivers.check(settings)


def test_all_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in drivers.LIBRARIES.values():
        monkeypatch.setitem(sys.modules, library, None)
    text = (
        "outbox: {tables: [{table: a}], broker: {url: 'amqp://h'}}\ninbox: {topics: [{topic: b, path: /c}]}\n"
    )
    settings = sources.assemble(sources.from_document(text, "p.yaml", Report()))
    with pytest.raises(Misconfigured) as told:
        drivers.check(settings)
    assert [one.key for one in told.value.problems] == [
        "outbox",
        "outbox.broker.url",
        "inbox",
        "outbox.broker.url",
    ]
