"""An error of the system or of a library in a person's words. Pure."""

import os
import re

_CONNECT = re.compile(r"(?:\[Errno \d+\] )?Connect call failed \('([^']+)', (\d+)[^)]*\)")
_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


def words(error: BaseException) -> str:
    """What went wrong, without Python's own decoration; never empty.

    Libraries wrap the system's error (``os_error`` of aiohttp's, ``reason`` of urllib's); asyncio tells where it
    connected to as a tuple, and several tries as one text.
    """
    inner = getattr(error, "os_error", None) or getattr(error, "reason", None)
    if isinstance(inner, BaseException) and inner is not error:
        return words(inner)
    text = str(error)
    if isinstance(error, OSError):
        if _CONNECT.search(text):
            return _connecting(error, text)
        text = error.strerror or text
    return _NUMBER.sub("", text) or (
        "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    )


def plain(text: str) -> str:
    """Others' text without control characters, which could rule a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def named(error: BaseException) -> str:
    """The same behind the files that the system names with it."""
    files = [
        str(name) for name in (getattr(error, "filename", None), getattr(error, "filename2", None)) if name
    ]
    return f"{' and '.join(files)}: {words(error)}" if files else words(error)


def _connecting(error: OSError, text: str) -> str:
    places = dict.fromkeys(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in _CONNECT.findall(text)
    )
    found = re.search(r"\[Errno (\d+)\]", text)
    number = error.errno or (int(found[1]) if found else 0)
    said = os.strerror(number) if number else "no connection"
    return f"{said} ({', '.join(places)})"
