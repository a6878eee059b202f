"""Envoy's binary and its version."""

import re

from agent.doctor.finding import Finding, ok, problem, warning

TESTED = (1, 40)
"""The Envoy with which all of Pillion's configuration is tested: larger and smaller number."""
_VERSION = re.compile(r"/(\d+)\.(\d+)\.(\d+)[^/]*/")


def missing(error: str) -> Finding:
    """``envoy.binary`` that can't be had."""
    todo = "Run `pillion demo --obtain envoy`, or give an Envoy's path as proxy.envoy."
    return problem("envoy.binary", "Envoy's binary", error, todo)


def version(binary: str, said: str, failure: str = "") -> Finding:
    """``envoy.version`` from what ``envoy --version`` says; ``failure``: why it said nothing."""
    match = _VERSION.search(said)
    if match is None:
        todo = "See what this file is; give the path of an Envoy for this machine as proxy.envoy."
        found = "it does not tell an Envoy's version" + (f": {failure}" if failure else "")
        return problem("envoy.version", binary, found, todo)
    here = (int(match[1]), int(match[2]))
    text, tested = f"{match[1]}.{match[2]}.{match[3]}", f"{TESTED[0]}.{TESTED[1]}"
    todo = f"Take Envoy {tested}; `pillion envoy validate` shows whether this one takes the configuration."
    if here < TESTED:
        return warning("envoy.version", binary, f"{text} is older than what is tested, {tested}", todo)
    if here > TESTED:
        return warning("envoy.version", binary, f"{text} is newer than what is tested, {tested}", todo)
    return ok("envoy.version", binary, text)
