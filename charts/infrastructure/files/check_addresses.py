"""Whether addresses answer, for `helm test`: ``python check_addresses.py http://HOST:PORT/PATH=200,307 tcp://HOST:PORT``.

Each is tried for a while, since what was just installed may still be starting. After ``=`` stand the statuses that are
right; without any it is every one below 400.
"""

import http.client
import socket
import sys
import time
import urllib.parse

PATIENCE = 60.0
"""Seconds for all addresses together."""


def problem(address: str) -> str:
    """Why the address does not answer as it should; empty when it does."""
    place, _, wanted = address.partition("=")
    url = urllib.parse.urlsplit(place)
    try:
        if url.scheme == "tcp":
            socket.create_connection((url.hostname or "", url.port or 0), timeout=5).close()
            return ""
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)
        try:
            connection.request("GET", url.path or "/")
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f"{place} does not answer: {error}"
    right = str(status) in wanted.split(",") if wanted else status < 400
    return "" if right else f"{place} answered {status}"


def main(arguments: list[str], patience: float = PATIENCE) -> int:
    """Run; the exit code."""
    ends = time.monotonic() + patience
    for address in arguments:
        while said := problem(address):
            if time.monotonic() > ends:
                print(said, file=sys.stderr)
                return 1
            time.sleep(1)
        print(f"{address.partition('=')[0]} answers")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
