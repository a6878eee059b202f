"""Durations and sizes as people write them."""

import re

DURATION = r"^([0-9]{1,12}|[0-9]{0,12}\.[0-9]{1,9})(ms|s|m|h|d)$"
"""``250ms``, ``10s``, ``1.5m``, ``1h``, ``7d``."""

SIZE = r"^[0-9]{1,16}(B|kB|KiB|MB|MiB|GB|GiB)$"
"""``512MiB``, ``64kB``."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def seconds(text: str) -> float | None:
    """The seconds that a text such as ``250ms`` means; None when it is no such text."""
    match = re.fullmatch(DURATION.strip("^$"), text)
    if match is None:
        return None
    amount, factor = float(match[1]), _SECONDS[match[2]]
    return amount / 1000 if match[2] == "ms" else amount * factor


def size(text: str) -> int | None:
    """The bytes that a text such as ``512MiB`` means; None when it is no such text."""
    match = re.fullmatch(f"([0-9]{{1,16}})({'|'.join(_BYTES)})", text)
    return None if match is None else int(match[1]) * _BYTES[match[2]]


def written(value: float, unit: str) -> str:
    """A number of seconds or bytes in the shortest form that reads back to the same number."""
    if unit == "s":
        return _duration(value)
    if unit == "B":
        return _size(int(value))
    return _decimal(value)


def _duration(value: float) -> str:
    for suffix, factor in (("d", 86400), ("h", 3600), ("m", 60)):
        if value >= factor and value % factor == 0:
            return f"{value / factor:.0f}{suffix}"
    if 0 < value < 1 and round(value * 1000) / 1000 == value:
        return f"{value * 1000:.0f}ms"
    return f"{_decimal(value)}s"


def _decimal(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _size(value: int) -> str:
    for suffix in ("GiB", "MiB", "KiB"):
        if value and value % _BYTES[suffix] == 0:
            return f"{value // _BYTES[suffix]}{suffix}"
    return f"{value}B"
