"""Logs: structlog and the standard library's through one renderer, on standard error."""

import logging
import sys
import warnings
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from agent.config.sections.store import Log

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

QUIET = ("aiohttp.access", "asyncio", "hpack", "urllib3")
"""Libraries whose debugging and information say nothing about Pillion."""


def aside() -> None:
    """Log on standard error until ``set_up``: what a command prints may be read by a program."""
    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def set_up(log: Log, stream: TextIO | None = None) -> None:
    """Log from now on as ``log`` says: JSON lines (``timestamp``, ``level``, ``event``, …) where the stream
    is no terminal.

    Records of the standard library and Python's warnings come the same way. May be called again.
    """
    out = sys.stderr if stream is None else stream
    json = log.format == "json" or (log.format == "auto" and not out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(out, json=json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[log.level])
    for name in QUIET:
        logging.getLogger(name).setLevel(max(LEVELS[log.level], logging.WARNING))
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default" if log.level == "debug" else "ignore", DeprecationWarning)


def _renderers(out: TextIO, *, json: bool) -> list[Any]:
    # Never the local variables of a frame: they hold tokens and passwords.
    if json:
        frames = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
        return [frames, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
    return [
        structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]
