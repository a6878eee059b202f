"""What happens to a fault of the hook itself: nothing, except when the operator looks for it."""

import os


def note() -> None:
    """Print the exception being handled when PILLION_CARRY=debug; the service never sees it."""
    if os.environ.get("PILLION_CARRY") != "debug":
        return
    try:
        import sys
        import traceback

        sys.stderr.write("pillion_carry: a fault of the hook, of which the service sees nothing:\n")
        traceback.print_exc()
    except Exception:
        return
