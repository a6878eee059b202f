"""KV for the service, the agent's own API, logs, process."""

from typing import Annotated, Literal

from agent.config.declare import Section, about
from agent.config.sections.proxy import LISTEN


class Store(Section, frozen=True):
    """Configuration from Consul KV below config/SERVICE/ and config/_shared/, delivered to the service."""

    environment: Annotated[bool, about("Give it to the service started by `run -- CMD` as environment.")] = (
        True
    )
    file: Annotated[str, about("File to write it to, replaced atomically. Empty: none.")] = ""
    format: Annotated[Literal["dotenv", "json", "yaml"], about("Form of that file.")] = "dotenv"
    action: Annotated[
        Literal["none", "signal", "restart", "exec"],
        about(
            "What follows a change: nothing; `signal` to the service; `restart` of it, one instance after the other, "
            "the next when the former passes its check (both only with `run -- CMD`); `exec`: the command of "
            "store.exec."
        ),
    ] = "none"
    signal: Annotated[
        Literal["HUP", "USR1", "USR2"], about("Signal of the action `signal`; gunicorn reloads on HUP.")
    ] = "HUP"
    exec: Annotated[
        tuple[str, ...],
        about("Command of the action `exec`: program with its whole path, and arguments; no shell reads it."),
    ] = ()
    exec_timeout: Annotated[
        float, about("How long that command may take; then it is killed.", unit="s", gt=0, le=600)
    ] = 30.0
    secret_dirs: Annotated[
        tuple[str, ...],
        about(
            "Folders of secrets: a value `file:/PATH` in KV stands for what that file below one of them holds, read "
            "again when it changes. Empty: there are no such values."
        ),
    ] = ()
    secret_variables: Annotated[
        tuple[str, ...],
        about(
            "Variables of the operator's environment for which a value `env:NAME` in KV may stand. Empty: none."
        ),
    ] = ()


class Admin(Section, frozen=True):
    """The agent's own API."""

    listen: Annotated[
        str,
        about(
            "API, status, metrics, KV for the service. Port 0: a free one, kept.",
            pattern=LISTEN,
            form="ADDRESS:PORT",
        ),
    ] = "127.0.0.1:15020"
    health: Annotated[
        str,
        about(
            "Only /healthz, /readyz and /envoyz, for probes. Port 0: a free one, kept. Empty: off.",
            pattern=r"^(.+:[0-9]{1,5})?$",
            form="ADDRESS:PORT, or empty",
        ),
    ] = "0.0.0.0:15021"
    metrics: Annotated[
        str,
        about(
            "Only /metrics, for Prometheus. Port 0: a free one, kept. Empty: off.",
            pattern=r"^(.+:[0-9]{1,5})?$",
            form="ADDRESS:PORT, or empty",
        ),
    ] = ""


class Log(Section, frozen=True):
    """The agent's log, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], about("Least severe level that is written.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], about("auto: console on a terminal, else JSON lines.")
    ] = "auto"


class State(Section, frozen=True):
    """What the agent keeps on disk."""

    dir: Annotated[
        str,
        about(
            "Folder of sockets, chosen ports and the last good snapshot; one agent each. Empty: below the "
            "user's state folder, by service and port."
        ),
    ] = ""
