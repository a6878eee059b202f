"""Breaks the function of the hook that BROKEN names, as ``module.function``."""

import importlib
import os
from typing import Any


def _raise(*args: Any, **kwargs: Any) -> Any:
    raise ArithmeticError("broken on purpose")


_module, _name = os.environ["BROKEN"].split(".")
setattr(importlib.import_module(f"pillion_carry.{_module}"), _name, _raise)
