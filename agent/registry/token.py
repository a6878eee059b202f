"""The ACL token as a request's header."""

from typing import Protocol

from agent.config.secret import Secret
from agent.runtime.errors import Permanent


class Credentials(Protocol):
    """Where the token of a request comes from. Its value appears in the request header only, never in a text."""

    @property
    def version(self) -> int:
        """Rises with each other token; 0 while there is none. Raises Transient or Permanent."""

    async def read(self) -> str:
        """The token to send now, empty for none. Raises Transient or Permanent where there should be one."""

    def refused(self, token: str) -> bool:
        """Note that Consul does not know this token; whether the next ``read`` brings another one."""

    def hold(self, held: bool) -> None:
        """Note whether Consul goes on using the token for what was registered with it."""


class Token:
    """The newest token that the settings or a file give."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def read(self) -> str:
        """The token to send, empty for none.

        Raises Transient when its file never held one, Permanent when what it holds can't be a header.
        """
        return self._value()

    @property
    def version(self) -> int:
        """Rises with each other token; 0 while there is none. Raises as ``read`` does."""
        self._value()
        return self._secret.version

    def refused(self, token: str) -> bool:  # noqa: ARG002 - another one comes when somebody writes it
        """Nothing to be done here."""
        return False

    def hold(self, held: bool) -> None:
        """Nobody gives it back."""

    def _value(self) -> str:
        return header(self._secret.read(), "registry.token(_file)")


class Nobody:
    """No token at all, for questions that need none."""

    version = 0

    async def read(self) -> str:
        """None."""
        return ""

    def refused(self, token: str) -> bool:  # noqa: ARG002
        """Nothing to be done."""
        return False

    def hold(self, held: bool) -> None:
        """There is none."""


def header(value: str, setting: str) -> str:
    """The value, which must be fit for a header. Raises Permanent, without it."""
    if not value.isascii() or not (value.isprintable() or not value):
        raise Permanent(f"the Consul token holds characters that no HTTP header can: check {setting}")
    return value
