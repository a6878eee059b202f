"""Which labels may be a service's name in the mesh."""

import re

RESERVED = frozenset(
    {"localhost", "localdomain", "ip6-localhost", "ip6-loopback", "metadata", "kubernetes", "consul", "wpad"}
)
"""Labels that mean something else to clients as a host name; ``consul`` is Consul's own service."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_free(label: str) -> bool:
    """Whether a label is neither reserved nor a number: resolvers read http://2130706433/ as 127.0.0.1."""
    return label not in RESERVED and not _NUMBER.fullmatch(label)


def is_service(label: str) -> bool:
    """Whether a text may be a service's name: one DNS label in lower case that means nothing else."""
    return bool(_LABEL.fullmatch(label)) and is_free(label)
