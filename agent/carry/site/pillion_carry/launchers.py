"""Launchers that put a sitecustomize of their own in front of ours and would not run the next one.

OpenTelemetry's is such a one. It is a Python program itself, so the hook is in it, and puts our folder back to the
front: ours runs the next one. ddtrace's launcher runs the next one by itself.
"""

from __future__ import annotations

import os

from . import faults
from .wrapping import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

SITE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 as sitecustomize has it


def patch(module: ModuleType) -> None:
    """Patch the moment when it becomes the service."""
    replace(module, "execl", _becoming)


def _becoming(original: Callable[..., Any]) -> Callable[..., Any]:
    def become(*args: Any, **kwargs: Any) -> Any:
        try:
            os.environ["PYTHONPATH"] = in_front(os.environ.get("PYTHONPATH", ""))
        except Exception:
            faults.note()
        return original(*args, **kwargs)

    return become


def in_front(path: str) -> str:
    """The PYTHONPATH with our folder first, where it is in it at all."""
    entries = path.split(os.pathsep)
    if SITE not in entries:
        return path
    return os.pathsep.join([SITE, *(entry for entry in entries if entry != SITE)])
