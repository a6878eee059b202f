"""The parts of py-consul that are used here, without its HTTP layer, which would load ``requests``: 5 MB for
nothing."""

import importlib
import sys
from types import ModuleType


def _load() -> None:
    """Import py-consul with a stand-in for ``consul.std``, which its package asks for by itself."""
    if "consul" in sys.modules:
        return
    layer = ModuleType("consul.std")
    vars(layer)["Consul"] = None
    sys.modules[layer.__name__] = layer
    try:
        importlib.import_module("consul.base")
    finally:
        del sys.modules[layer.__name__]


_load()

from consul.base import Consul, Response  # noqa: E402
from consul.callback import CB  # noqa: E402
from consul.exceptions import ConsulException  # noqa: E402

__all__ = ["CB", "Consul", "ConsulException", "Response"]
