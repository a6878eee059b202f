"""The ACL token as a request's header."""

from agent.config.secret import Secret
from agent.runtime.errors import Permanent


class Token:
    """The newest token. Its value appears in the request header only, never in a text."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def read(self) -> str:
        """The token to send, empty for none.

        Raises Transient when its file never held one, Permanent when what it holds can't be a header.
        """
        value = self._secret.read()
        if not value.isascii() or not (value.isprintable() or not value):
            raise Permanent(
                "the Consul token holds characters that no HTTP header can: check registry.token(_file)"
            )
        return value

    @property
    def version(self) -> int:
        """Rises with each other token; 0 while there is none. Raises as ``read`` does."""
        self.read()
        return self._secret.version
