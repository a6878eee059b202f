"""How a broker's certificate is checked: with the system's CAs, or with those of a file."""

import ssl

from agent.runtime.errors import Permanent


def context(ca_cert: str, setting: str = "outbox.broker.ca_cert") -> ssl.SSLContext:
    """For the client's end of a connection. ``ca_cert`` is a file of CA certificates in PEM; empty: the
    system's. It is read anew for each link, so that a replaced file counts; ``setting`` names it. Raises Permanent."""
    try:
        return ssl.create_default_context(cafile=ca_cert or None)
    except OSError as error:
        # An SSLError is one: a file that is there and holds no certificate.
        reason = error.strerror or "it holds no certificate that can be read"
        raise Permanent(f"reading {setting}, which names {ca_cert}: {reason}") from error
