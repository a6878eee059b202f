"""Seconds in protobuf's JSON form."""

from functools import lru_cache


@lru_cache(256)
def seconds(value: float) -> str:
    """``1.5`` as ``1.5s``; at most nine decimals, never an exponent."""
    text = f"{value:.9f}".rstrip("0").rstrip(".")
    return f"{text or 0}s"
