"""The context that the server listens with; a new certificate counts for the next connection."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from agent.inject.certificates.making import Pair


class Tls:
    """One ``ssl.SSLContext`` for the server's whole life. Connections that are open keep what they began with."""

    def __init__(self) -> None:
        self.context = _fresh()
        self.loaded = False
        """Whether there is any certificate yet."""

    def load(self, pair: Pair) -> None:
        """Use this certificate from now on; raises ssl.SSLError, and then nothing has changed."""
        with _file(pair.certificate + b"\n" + pair.key) as path:
            _fresh().load_cert_chain(path)  # a pair that can't be loaded is not to spoil the one in use
            self.context.load_cert_chain(path)
        self.loaded = True


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
