"""The hook's own modules, imported as the service imports them."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from agent.carry import SITE


class Hook:
    """Modules of the hook by name."""

    def __getattr__(self, name: str) -> ModuleType:
        try:
            return importlib.import_module(f"pillion_carry.{name}")
        except ModuleNotFoundError as error:
            raise AttributeError(name) from error


@pytest.fixture(scope="package")
def hook() -> Iterator[Hook]:
    """The package ``pillion_carry``, not installed: nothing of the test process is patched."""
    sys.path.insert(0, str(SITE))
    yield Hook()
    sys.path.remove(str(SITE))
    for name in [name for name in sys.modules if name.partition(".")[0] == "pillion_carry"]:
        del sys.modules[name]
