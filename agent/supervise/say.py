"""The supervisor's few words on stderr, in the shape of the agent's log: JSON unless on a terminal."""

import json
import os
import time


def say(level: str, event: str, **fields: object) -> None:
    """Write one line; never raises: a log that nobody reads must not end the children."""
    try:
        if os.isatty(2):
            words = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{level}: {event} {words}".rstrip()
        else:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = json.dumps({"event": event, **fields, "level": level, "timestamp": stamp})
        os.write(2, line.encode(errors="backslashreplace") + b"\n")
    except OSError:
        pass
