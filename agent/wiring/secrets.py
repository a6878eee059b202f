"""Whether the secrets that come from files can be read: one word for all that use them."""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from agent.config import fields
from agent.config.secret import Secret
from agent.config.settings import Settings
from agent.runtime.component import Ready
from agent.runtime.errors import Transient
from agent.runtime.health import Health

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two looks."""


class Secrets:
    """Tells of each change and of each file that can't be read; who uses a secret reads it by himself."""

    name = "secrets"
    stop_budget = 1.0

    def __init__(self, secrets: Sequence[Secret], health: Health) -> None:
        self._secrets = secrets
        self._health = health
        self._told = {secret.key: secret.version for secret in secrets}

    async def run(self, ready: Ready) -> None:
        """Look for ever."""
        while True:
            self.turn()
            ready()
            await asyncio.sleep(EVERY)

    def turn(self) -> None:
        """Look once."""
        for secret in self._secrets:
            before = secret.problem
            with contextlib.suppress(Transient):  # its problem is told below
                secret.read()
            if secret.version != self._told[secret.key]:
                self._told[secret.key] = secret.version
                log.info("secret.changed", setting=secret.key)
            if secret.problem and not before:
                log.warning("secret.unreadable", problem=secret.problem)
        problems = [secret.problem for secret in self._secrets if secret.problem]
        if problems:
            self._health.degraded("; ".join(problems))
        else:
            self._health.ok()


def from_files(settings: Settings) -> tuple[Secret, ...]:
    """The secrets for which the settings name files."""
    given = [one for one in fields.all_settings() if one.file_key and fields.value(settings, one.file_key)]
    return tuple(
        Secret(one.key, str(fields.value(settings, one.key)), str(fields.value(settings, one.file_key)))
        for one in given
    )
