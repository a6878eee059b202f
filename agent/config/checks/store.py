"""What follows a change in the configuration store, and which secrets its values may stand for."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from agent.config import fields
from agent.config.checks.finding import Finding
from agent.config.settings import Settings


def command(settings: Settings) -> Iterator[Finding]:
    """The action `exec` has a command whose program no search path can change."""
    store = settings.store
    if store.action == "exec" and not store.exec:
        yield Finding("store.exec", "is empty", "the program with its whole path, and its arguments")
    elif store.exec and not PurePosixPath(store.exec[0]).is_absolute():
        yield Finding("store.exec[0]", f"is {store.exec[0][:80]!r}", "the program's whole path")


def secrets(settings: Settings) -> Iterator[Finding]:
    """Whoever writes into KV can get at what is listed here, and at nothing of the agent's own."""
    for number, folder in enumerate(settings.store.secret_dirs):
        path = PurePosixPath(folder)
        system = len(path.parts) < 2 or path.parts[1] in {"proc", "sys", "dev"}
        if not path.is_absolute() or ".." in path.parts or system:
            yield Finding(
                f"store.secret_dirs[{number}]", f"is {folder[:80]!r}", "a whole path of a folder of secrets"
            )
    for number, name in enumerate(settings.store.secret_variables):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield Finding(f"store.secret_variables[{number}]", f"is {name[:80]!r}", "a variable's name")
        elif name.startswith(fields.PREFIX) or name in fields.secret_variables():
            yield Finding(
                f"store.secret_variables[{number}]", f"is {name}, which is the agent's own", "the service's"
            )
