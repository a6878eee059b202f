"""Configuration values as environment variables of the service's command. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.model.store import Entry, Store

LONGEST = 128 * 1024 - 2
"""Bytes of ``NAME=value``: Linux takes no longer string (MAX_ARG_STRLEN)."""
LARGEST = 1024 * 1024
"""Bytes of all of them: half of what Linux leaves for arguments and environment by default."""

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_RESERVED = re.compile(
    r"PATH|HOME|IFS|SHELL|PORT|LD_.*|GCONV_PATH|GLIBC_TUNABLES|MALLOC_.*"  # the system's loader and shells
    r"|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|PS4|PROMPT_COMMAND"
    r"|PYTHON.*|VIRTUAL_ENV|GUNICORN_CMD_ARGS|FLASK_RUN_.*|FLASK_APP|FLASK_DEBUG|UVICORN_.*|WERKZEUG_.*"
    r"|NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS|CLASSPATH"
    r"|PERL5.*|RUBYOPT|RUBYLIB|DOTNET_STARTUP_HOOKS"  # what the service's runtime obeys
    r"|OPENSSL_.*|SSL_CERT_.*|SSLKEYLOGFILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|HOSTALIASES"  # whom it trusts
    r"|PILLION_.*|.*_PROXY"
)
"""What would change how the service is run instead of what it is told."""


@dataclass(frozen=True)
class Refused:
    """A key that does not become a variable."""

    key: str
    reason: str
    """A clause: ``would set PATH``."""


@dataclass(frozen=True)
class Environment:
    """What the command gets beside the operator's own environment."""

    variables: Mapping[str, str]
    refused: tuple[Refused, ...] = ()


def name_of(key: str) -> str:
    """The variable's name of a key: ``feature/max-items`` is ``FEATURE_MAX_ITEMS``.

    Raises ValueError with a clause.
    """
    name = re.sub(r"[/.-]", "_", key).upper()
    if not key.isascii() or not _NAME.fullmatch(name):  # upper() makes ASCII of some other letters
        raise ValueError("makes no name of a variable")
    if _RESERVED.fullmatch(name):
        raise ValueError(f"would set {name}, which only the operator may")
    return name


def text_of(value: bytes) -> str:
    """A value as text. Raises ValueError with a clause."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if "\0" in text:
        raise ValueError("holds a NUL")
    return text


def environment(store: Store, own: Mapping[str, str]) -> Environment:
    """The variables for a command whose operator has set ``own`` already; those win and are not repeated
    here.

    Of two keys that make the same name the service's own one wins over a shared one, else the first by name.
    """
    variables: dict[str, str] = {}
    refused: list[Refused] = []
    size = 0
    for key, entry in sorted(store.entries.items(), key=lambda item: (item[1].shared, item[0])):
        try:
            name, text = _variable(key, entry, variables)
        except ValueError as error:
            refused.append(Refused(key, str(error)))
            continue
        if name in own:
            continue
        size += len(name) + len(entry.value) + 2
        if size > LARGEST:
            refused.append(
                Refused(key, f"does not fit: all variables together have more than {LARGEST} bytes")
            )
            break
        variables[name] = text
    return Environment(variables, tuple(refused))


def _variable(key: str, entry: Entry, taken: Mapping[str, str]) -> tuple[str, str]:
    name, text = name_of(key), text_of(entry.value)
    if len(name) + len(entry.value) + 1 > LONGEST:
        raise ValueError(f"is longer than {LONGEST} bytes")
    if name in taken:
        raise ValueError(f"makes the same name {name} as another key that comes first")
    return name, text
