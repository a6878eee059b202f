"""Asks the service whether it is well, as often and as patiently as the settings say."""

import asyncio
import contextlib

import aiohttp
import structlog

from agent.config.sections.service import Service
from agent.model.registration import ServiceHealth
from agent.registry.metrics import Metrics
from agent.runtime.component import Ready
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

EAGER = 0.25
"""Seconds between checks while the service has not been well yet, so that a start costs no whole interval."""


class Probe:
    """Well at the first success; not well after ``service.health_failures`` failures in a row."""

    name = "probe"
    stop_budget = 1.0

    def __init__(
        self, service: Service, state: Latest[ServiceHealth], health: Health, metrics: Metrics
    ) -> None:
        """``service`` has its real port."""
        self._service = service
        self._state = state
        self._health = health
        self._metrics = metrics
        self._failures = 0
        self._answered = False
        self._held = False
        self._news = asyncio.Event()
        """Whatever a check finds that began before no longer counts."""

    def hold(self, why: str) -> None:
        """Call the service unwell until ``resume``, whatever it answers: it is about to be started anew."""
        self._held = True
        self._renew()
        self._state.set(ServiceHealth(False, why))
        self._metrics.healthy.set(0)
        self._health.degraded(why)

    def resume(self) -> None:
        """Go on as after a start: well at the first success from now on."""
        self._held = self._answered = False
        self._failures = 0
        self._renew()

    def _renew(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def run(self, ready: Ready) -> None:
        """Check, wait, again. Ready at once: the gate waits for the first success."""
        # Straight to the service whatever the environment says, a connection for each check: a kept one
        # says nothing.
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=self._service.health_timeout)
        headers = {"User-Agent": "pillion-probe"}
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, trust_env=False
        ) as session:
            ready()
            while True:
                news = self._news
                trouble = await (self._get(session) if self._service.health_path else self._connect())
                if not self._held and not news.is_set():
                    self._note(trouble)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await news.wait()

    def _pause(self) -> float:
        interval = self._service.health_interval
        return interval if self._answered else min(interval, EAGER)

    def _note(self, trouble: str) -> None:
        """Take in one check's outcome: what was wrong, empty for nothing."""
        self._metrics.probes.labels("failure" if trouble else "success").inc()
        before = self._state.value
        if not trouble:
            self._failures = 0
            self._answered = True
            self._state.set(ServiceHealth(True, "answers its health check"))
            self._health.ok()
        else:
            self._failures += 1
            if self._failures >= self._service.health_failures:
                self._state.set(ServiceHealth(False, trouble))
                self._health.degraded(trouble)
        self._metrics.healthy.set(int(self._state.value.healthy))
        if before.healthy != self._state.value.healthy:
            log.info("service.health", healthy=self._state.value.healthy, detail=self._state.value.detail)

    async def _get(self, session: aiohttp.ClientSession) -> str:
        host = f"[{self._service.host}]" if ":" in self._service.host else self._service.host
        url = f"http://{host}:{self._service.port}{self._service.health_path}"
        try:
            async with session.get(url, allow_redirects=False) as answer:
                status = answer.status
        except TimeoutError:
            within = self._service.health_timeout
            return f"the service did not answer {self._service.health_path} within {within:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"the service can't be reached at {host}:{self._service.port}: {type(error).__name__}"
        if 200 <= status < 400:
            return ""
        return f"the service answered {self._service.health_path} with {status}"

    async def _connect(self) -> str:
        host, port = self._service.host, self._service.port
        try:
            async with asyncio.timeout(self._service.health_timeout):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            return (
                f"nothing accepts connections at {host}:{port} ({type(error).__name__}): the service must listen "
                "there (PORT in its environment), or service.port say where it does"
            )
        writer.close()
        return ""
