"""A stand-in for Envoy and the service: notes its signals in FOLDER/events; told to end by signals of its own.

Arguments: folder, name, then what SIGTERM does: an exit code, ``default`` (dies of it) or ``ignore``.
"""

import os
import signal
import sys

folder, name, on_term = sys.argv[1:4]


def note(event):
    with open(f"{folder}/events", "a", buffering=1) as events:
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

with open(f"{folder}/{name}.facts", "w") as facts:
    opened = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
    facts.write(
        repr(
            {
                "fds": opened,
                "env": dict(os.environ),
                "session": os.getsid(0),
                "stdin": os.readlink("/proc/self/fd/0"),
            }
        )
    )
note("started")
while True:
    if os.path.exists(f"{folder}/{name}.read"):
        os.unlink(f"{folder}/{name}.read")
        note("read:" + sys.stdin.readline().strip())
    signal.sigtimedwait([], 0.05)
