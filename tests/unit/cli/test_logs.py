"""Logs are one event a line, from structlog, the standard library and warnings alike."""

import io
import json
import logging
import warnings

import pytest
import structlog

from agent.cli.logs import set_up
from agent.config.sections.store import Log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_without_a_terminal_each_event_is_a_line_of_json():
    stream = io.StringIO()
    set_up(Log(), stream)
    structlog.get_logger("x").info("registration.repaired", service="orders")
    logging.getLogger("lib").warning("hello %s\nagain", "you")
    first, second = lines(stream)
    assert first["event"] == "registration.repaired"
    assert first["service"] == "orders"
    assert first["level"] == "info"
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["logger"], second["level"]) == ("hello you\nagain", "lib", "warning")


def test_warnings_are_logged():
    stream = io.StringIO()
    set_up(Log(), stream)
    warnings.simplefilter("always")
    warnings.warn("odd", UserWarning, stacklevel=1)
    assert "odd" in lines(stream)[0]["event"]


@pytest.mark.parametrize(("level", "events"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_only_what_is_severe_enough_is_written(level, events):
    stream = io.StringIO()
    set_up(Log(level=level), stream)
    log = structlog.get_logger("x")
    log.debug("a.a")
    log.info("b.b")
    log.warning("c.c")
    assert len(lines(stream)) == events


def test_a_terminal_gets_text_and_the_format_can_be_chosen():
    stream = Terminal()
    set_up(Log(), stream)
    structlog.get_logger("x").info("a.b")
    assert not stream.getvalue().startswith("{")
    stream = Terminal()
    set_up(Log(format="json"), stream)
    structlog.get_logger("x").info("a.b")
    assert lines(stream)[0]["event"] == "a.b"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_trace_shows_no_local_variables(form):
    stream = io.StringIO()
    set_up(Log(format=form), stream)
    token = "hunter" + str(2 * 11)
    try:
        len(5)
    except TypeError:
        structlog.get_logger("x").exception("failed")
        logging.getLogger("lib").exception("failed")
    assert "TypeError" in stream.getvalue()
    assert token not in stream.getvalue()


def test_set_up_twice_writes_once():
    stream = io.StringIO()
    set_up(Log(), stream)
    set_up(Log(), stream)
    structlog.get_logger("x").info("a.b")
    assert len(lines(stream)) == 1
