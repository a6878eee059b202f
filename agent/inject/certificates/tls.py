"""The context that the server listens with; a new certificate counts for the next connection."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from agent.inject.certificates.making import Pair


class Tls:
    """One ``ssl.SSLContext`` for the server's whole life. Connections that are open keep what they began with.

    It holds no certificate itself but hands each connection on to the newest context: OpenSSL keeps one certificate for
    each kind of key, so that loading one with another kind would leave the former in use beside it.
    """

    def __init__(self) -> None:
        self.context = _fresh()
        self.context.sni_callback = self._hand_on
        self._newest: ssl.SSLContext | None = None

    @property
    def loaded(self) -> bool:
        """Whether there is any certificate yet."""
        return self._newest is not None

    def load(self, pair: Pair) -> None:
        """Use this certificate from now on; raises ssl.SSLError, and then nothing has changed."""
        fresh = _fresh()
        with _file(pair.certificate + b"\n" + pair.key) as path:
            fresh.load_cert_chain(path)
        self._newest = fresh

    def _hand_on(self, connection: ssl.SSLObject, _name: str | None, _from: ssl.SSLContext) -> int | None:
        """Called by OpenSSL for each handshake, also without a server name."""
        if self._newest is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._newest
        return None


def _fresh() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A path for a library that takes only paths; the content stays in memory."""
    descriptor = os.memfd_create("pillion-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
