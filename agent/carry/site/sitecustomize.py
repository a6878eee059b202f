"""Installs the carry hook when the interpreter starts, then runs the sitecustomize that would have been
found.

It must load on any Python that the service starts, 2.7 too, so the syntax is old; below 3.8 only the next one
is run.
"""

import os
import sys


def _install():
    # type: () -> None
    if sys.version_info < (3, 8) or os.environ.get("PILLION_CARRY", "").strip().lower() in (
        "off",
        "0",
        "false",
        "no",
    ):
        return
    try:
        __import__("pillion_carry.hook", fromlist=["install"]).install(sys.meta_path)
    except Exception:
        if os.environ.get("PILLION_CARRY") == "debug":
            import traceback

            traceback.print_exc()


def _next():
    # type: () -> None
    """Run the next sitecustomize on sys.path in our place; its errors are site's to report, as without us.

    An ordinary import with our folder out of sight: importlib's modules would cost each start milliseconds.
    """
    own = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 pathlib is a slow import
    ours = [entry for entry in sys.path if os.path.abspath(entry) == own]  # noqa: PTH100
    this = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [entry for entry in sys.path if entry not in ours]
    try:
        __import__("sitecustomize")
    except ImportError as error:
        # Python 2.7 has the name only at the end of its text.
        if (getattr(error, "name", None) or str(error).rpartition(" ")[2]) != "sitecustomize":
            raise
    finally:
        sys.path[:0] = ours[:1]
        if this is not None:
            sys.modules.setdefault("sitecustomize", this)


_install()
_next()
