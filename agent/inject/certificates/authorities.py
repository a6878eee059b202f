"""Which CAs there are to be. Pure: from what the Secret holds to what it is to hold.

A CA lives for a while as the current one, which signs. When half of its life is gone, a coming one is made, which is in
the bundle and signs nothing yet. When every API server has had time to hear of it, it becomes the current one, and the
former stays in the bundle, without its key, until it ends: what it signed is good until it is replaced.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agent.inject.certificates.making import SKEW, Pair, belongs, span

SETTLED = timedelta(minutes=10)
"""How long a coming CA is in the bundle before it signs, at most; an eighth of its life where that is less."""


@dataclass(frozen=True)
class Authorities:
    """The CAs of one injector."""

    current: Pair
    coming: Pair | None = None
    former: bytes = b""
    """A certificate only; empty: none."""

    @property
    def bundle(self) -> bytes:
        """All that are trusted, in PEM, in an order that all replicas agree on."""
        coming = self.coming.certificate if self.coming else b""
        return self.current.certificate + coming + self.former


def settled(life: timedelta) -> timedelta:
    """How long a coming CA waits."""
    return min(SETTLED, life / 8)


def due(
    held: Authorities | None,
    now: datetime,
    life: timedelta,
    trusted: timedelta,
    make: Callable[[datetime, timedelta], Pair],
) -> Authorities:
    """What is to be held now; ``held`` itself when nothing is due, None for it when there is none yet.

    ``trusted`` is how long the webhook configuration was seen with the bundle of ``held`` in it.
    """
    # One that is not valid yet is no reason to make another: the clock that is behind may be ours.
    if held is None or span(held.current.certificate).ends <= now:
        coming = held.coming if held else None
        usable = coming is not None and span(coming.certificate).ends > now
        return Authorities(coming if coming and usable else make(now, life))
    if held.former and span(held.former).ends <= now:
        return replace(held, former=b"")
    if held.coming is None:
        half_gone = span(held.current.certificate).half_gone(now)
        return replace(held, coming=make(now, life)) if half_gone else held
    made = span(held.coming.certificate).begins + SKEW
    if min(now - made, trusted) >= settled(life):
        return Authorities(held.coming, None, held.current.certificate)
    return held


def read(secret: Mapping[str, Any]) -> Authorities | None:
    """What a Secret holds; None where it holds no CA at all. Raises ValueError for what is no CA of ours."""
    data = secret.get("data") or {}
    if not isinstance(data, dict):
        raise ValueError("has no data that are a mapping")  # noqa: TRY004 - what others wrote, not a caller's type
    found = {key: _decoded(data, key) for key in data}
    if not found.get("current.crt"):
        return None
    coming = _pair(found, "coming") if found.get("coming.crt") else None
    former = found.get("former.crt", b"")
    if former:
        span(former)
    return Authorities(_pair(found, "current"), coming, former)


def written(authorities: Authorities) -> dict[str, str]:
    """The same as a Secret's data; ``ca.crt`` beside it is the bundle, for people and tests."""
    parts = {
        "current.crt": authorities.current.certificate,
        "current.key": authorities.current.key,
        "former.crt": authorities.former,
        "ca.crt": authorities.bundle,
    }
    if authorities.coming:
        parts |= {"coming.crt": authorities.coming.certificate, "coming.key": authorities.coming.key}
    return {name: base64.b64encode(part).decode() for name, part in parts.items() if part}


def _decoded(data: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(data[key], validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError(f"has a {key} that is not base64") from error


def _pair(found: Mapping[str, bytes], name: str) -> Pair:
    pair = Pair(found[f"{name}.crt"], found.get(f"{name}.key", b""))
    try:
        good = belongs(pair)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"has a {name}.crt and a {name}.key that are no certificate with its key")
    return pair
