"""Installs the carry hook when the interpreter starts, then runs the sitecustomize that would have been
found.

It must load on any Python that the service starts, so the syntax is old; below 3.8 only the next one is run.
"""

import os
import sys


def _install() -> None:
    if sys.version_info < (3, 8) or os.environ.get("PILLION_CARRY", "").strip().lower() in (
        "off",
        "0",
        "false",
        "no",
    ):
        return
    try:
        from importlib import import_module

        import_module("pillion_carry.hook").install(sys.meta_path)
    except Exception:
        if os.environ.get("PILLION_CARRY") == "debug":
            import traceback

            traceback.print_exc()


def _next() -> None:
    """Run the next sitecustomize on sys.path in our place; whatever it raises is site's to report, as without
    us.
    """
    if sys.version_info < (3, 5):
        return
    from importlib import machinery, util

    own = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 pathlib is a slow import
    others = [entry for entry in sys.path if os.path.abspath(entry) != own]  # noqa: PTH100
    spec = machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_install()
_next()
