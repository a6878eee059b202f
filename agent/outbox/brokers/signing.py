"""Signatures of requests, so that a receiver knows who sent an event and that nobody changed it.

Source: Standard Webhooks specification 1.0.0 (headers, symmetric signatures, several secrets at once).
"""

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


def secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of a setting, apart by spaces; raises ValueError without any of it."""
    found = []
    for word in text.split():
        try:
            secret = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not whsec_ and base64") from None
        if not _SHORTEST <= len(secret) <= _LONGEST:
            raise ValueError(f"holds a secret of less than {_SHORTEST} or more than {_LONGEST} bytes")
        found.append(secret)
    return tuple(found)


def signature(secrets: tuple[bytes, ...], identity: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one for each secret. ``identity`` holds no full stop, so that
    nothing can be taken for another part."""
    signed = b"%b.%d.%b" % (identity.encode(), timestamp, body)
    made = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets)
    return " ".join(f"v1,{each}" for each in made)
