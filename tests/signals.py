"""Signals of programs that tests start."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def heard(*signums: signal.Signals) -> Iterator[None]:
    """What is started in the block hears these signals, though a run in the background (``&``, nohup) ignores them."""
    ignored = [one for one in signums if signal.getsignal(one) is signal.SIG_IGN]
    for one in ignored:
        # exec puts a handler back to the default, and leaves what is ignored.
        signal.signal(one, lambda *_: None)
    try:
        yield
    finally:
        for one in ignored:
            signal.signal(one, signal.SIG_IGN)
