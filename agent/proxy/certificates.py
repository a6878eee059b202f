"""A gateway's certificate, its key and its clients' authorities, read from files and judged before Envoy gets them."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.config.sections.gateway import Tls


@dataclass(frozen=True)
class Certificates:
    """What the files hold, as PEM. The key appears in no text."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes = b""


def read(tls: Tls) -> Certificates:
    """What the files hold now, whatever it is; blocks. Raises OSError for a file that can't be read."""
    return Certificates(
        Path(tls.certificate).read_bytes(),
        Path(tls.key).read_bytes(),
        Path(tls.client_ca).read_bytes() if tls.client_ca else b"",
    )


def judge(tls: Tls, found: Certificates) -> None:
    """Raise ValueError with a sentence, which names the files, for what does not belong together.

    Takes OpenSSL some milliseconds.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with _in_memory(found.chain) as chain, _in_memory(found.key) as key:
            context.load_cert_chain(chain, key, password=_no_passphrase)
    except ssl.SSLError as error:
        text = f"{tls.certificate} and {tls.key} are no certificate and its key: {_reason(error)}"
        raise ValueError(text) from None
    if tls.client_ca:
        try:
            context.load_verify_locations(cadata=found.client_ca.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                f"{tls.client_ca} holds no certificates of authorities: {_reason(error)}"
            ) from None


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase, which nobody could type; store it without one")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or "not PEM"
    return str(reason).lower().replace("_", " ")


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path to the content that is on no disk: OpenSSL reads a chain and a key from paths only."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
