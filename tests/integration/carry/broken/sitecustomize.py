"""Breaks the function of the hook that BROKEN names, as ``module.function`` or ``module.Class.method``."""

import importlib
import os
from typing import Any


def _raise(*args: Any, **kwargs: Any) -> Any:
    raise ArithmeticError("broken on purpose")


_module, *_owner, _name = os.environ["BROKEN"].split(".")
_there: Any = importlib.import_module(f"pillion_carry.{_module}")
for _each in _owner:
    _there = getattr(_there, _each)
setattr(_there, _name, property(_raise) if isinstance(vars(_there).get(_name), property) else _raise)
