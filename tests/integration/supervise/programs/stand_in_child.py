"""A stand-in for Envoy and the service: notes its signals in FOLDER/events; signals tell it to end.

Arguments: folder, name, then what SIGTERM does: an exit code, ``default`` (dies of it) or ``ignore``; then,
if wanted, ``fork`` for a second process named NAME-worker.
"""

import os
import signal
import sys
from pathlib import Path

folder, (name, on_term) = Path(sys.argv[1]), sys.argv[2:4]


if sys.argv[4:] == ["fork"] and os.fork() == 0:
    name += "-worker"


def note(event):
    with (folder / "events").open("a", buffering=1) as events:
        events.write(f"{name} {event} {os.getpid()}\n")


def ends(event, code):
    def handler(*_):
        note(event)
        os._exit(code)

    return handler


signal.signal(signal.SIGINT, lambda *_: note("interrupted"))
signal.signal(signal.SIGHUP, lambda *_: note("hup"))
signal.signal(signal.SIGUSR1, ends("exits", 3))
signal.signal(signal.SIGUSR2, ends("exits", 0))
if on_term == "ignore":
    signal.signal(signal.SIGTERM, lambda *_: note("terminated"))
elif on_term != "default":
    signal.signal(signal.SIGTERM, ends("terminated", int(on_term)))

with (folder / f"{name}.facts").open("w") as facts:
    opened = sorted(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
    facts.write(
        repr(
            {
                "fds": opened,
                "env": dict(os.environ),
                "session": os.getsid(0),
                "stdin": str(Path("/proc/self/fd/0").readlink()),
            }
        )
    )
note("started")
while True:
    if (folder / f"{name}.read").exists():
        (folder / f"{name}.read").unlink()
        note("read:" + sys.stdin.readline().strip())
    signal.sigtimedwait([], 0.05)
