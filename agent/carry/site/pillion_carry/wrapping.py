"""Replacing a method by one that surrounds it."""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def replace(owner: Any, name: str, surround: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put ``surround(original)`` in place of ``owner.name``, once; an owner without it stays as it is."""
    original = getattr(owner, name, None)
    if original is None or getattr(original, "pillion_carry", False):
        return
    replacement = wraps(original)(surround(original))
    replacement.__dict__["pillion_carry"] = True
    setattr(owner, name, replacement)
