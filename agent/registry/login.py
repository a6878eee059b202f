"""A token that Consul gives for another one, such as that of a pod's service account."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import structlog

from agent.config.secret import Secret
from agent.config.sections.registry import Registry
from agent.registry.endpoint import Endpoint
from agent.registry.pyconsul import CB
from agent.registry.token import Credentials, Nobody, Token, header
from agent.registry.transport import Transport, encode
from agent.runtime.errors import Permanent, PillionError, Transient

log = structlog.get_logger(__name__)

PAUSE = 2.0
"""Seconds after a failure in which nobody tries again: all that ask Consul wait for one login."""
LOGOUT = 2.0
"""Seconds that the logout may take."""


class Login:
    """Logs in when a token is first needed, and anew when Consul no longer knows it.

    Source: Consul's documentation of auth methods and of ``/v1/acl/login``.
    """

    def __init__(
        self, method: str, bearer: Secret, transport: Transport, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``method`` names the auth method; ``bearer`` is what it checks; ``transport`` sends no token itself."""
        self.version = 0
        """How often it has logged in."""
        self._method = method
        self._bearer = bearer
        self._transport = transport
        self._clock = clock
        self._token = ""
        self._held = False
        """Whether Consul uses the token for an instance that is registered with it."""
        self._lock = asyncio.Lock()
        self._failure: PillionError | None = None
        self._again = 0.0
        """When to try again after a failure, in seconds of the clock."""

    async def read(self) -> str:
        """The token of the present login; raises Transient or Permanent, saying what to check."""
        async with self._lock:
            if not self._token:
                if self._failure is not None and self._clock() < self._again:
                    raise self._failure
                try:
                    self._token = await self._log_in()
                except PillionError as error:
                    self._failure, self._again = error, self._clock() + PAUSE
                    raise
                self._failure = None
                self.version += 1
                log.info("consul.logged_in", method=self._method, logins=self.version)
        return self._token

    def refused(self, token: str) -> bool:
        """Consul does not know the token: it ran out or was deleted, and the next request logs in anew."""
        if token and token == self._token:
            self._token = ""
        return True

    def hold(self, held: bool) -> None:
        """Consul's agent tells its servers of a service with the token of the registration, also that nobody
        feeds its check any more and that it is gone."""
        self._held = held

    async def log_out(self) -> None:
        """Give the token back, unless an instance stays registered with it; that, and what fails, is left to the
        method's own ``MaxTokenTTL``."""
        token, self._token = self._token, ""
        if not token:
            return
        if self._held:
            log.info("consul.login_left", method=self._method)
            return
        try:
            async with asyncio.timeout(LOGOUT):
                await self._transport.post(CB.boolean(), "/v1/acl/logout", token=token)
        except (PillionError, TimeoutError) as error:
            log.warning("consul.not_logged_out", error=str(error) or "no answer in time")

    async def _log_in(self) -> str:
        bearer = self._bearer.read()
        body = encode({"AuthMethod": self._method, "BearerToken": bearer})
        doing = f"logging in at Consul by the auth method {self._method!r}"
        try:
            found = await self._transport.post(CB.json(), "/v1/acl/login", data=body)
        except PillionError as error:
            said = str(error).replace(bearer, "***").partition("; give registry.token")[0]
            # A token that Consul can't verify is a 500 to it, not a refusal.
            refused = isinstance(error, Permanent) or "with 500" in said
            check = "; check registry.login_method, its binding rules and registry.login_token_file"
            raise type(error)(f"{doing} failed: {said}{check if refused else ''}") from None
        token = found.get("SecretID") if isinstance(found, dict) else None
        if not isinstance(token, str) or not token:
            raise Transient(f"{doing} brought no token: is this Consul's HTTP port?")
        return header(token, "registry.login_method")


@contextlib.asynccontextmanager
async def credentials(settings: Registry) -> AsyncIterator[Credentials]:
    """What the settings say about the token; whoever logged in is logged out afterwards, unless an
    instance stays registered with the token."""
    if not settings.login_method:
        yield Token(Secret.of(settings, "registry.token"))
        return
    transport = Transport(Endpoint.parse(settings.address), Nobody(), settings.ca_cert)
    login = Login(
        settings.login_method, Secret("registry.login_token", "", settings.login_token_file), transport
    )
    try:
        yield login
    finally:
        await login.log_out()
        await transport.close()
