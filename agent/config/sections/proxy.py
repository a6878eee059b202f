"""Envoy and its listeners."""

from typing import Annotated, Literal

from agent.config.declare import Section, about
from agent.config.sections.limits import Limit, MaxBody

LISTEN = r"^.+:[0-9]{1,5}$"


class Proxy(Section, frozen=True):
    """Envoy: its binary and its listeners."""

    mode: Annotated[
        Literal["managed", "external"],
        about(
            "managed: the agent starts its own Envoy. external: someone else runs Envoy, with what "
            "`pillion envoy bootstrap` prints, and the agent only tells it what to do."
        ),
    ] = "managed"
    envoy: Annotated[str, about("Path of the Envoy binary. Empty: from PATH, else from Pillion's cache.")] = (
        ""
    )
    admin: Annotated[
        str,
        about(
            "Admin API of an external Envoy, for metrics and drains. Empty: a socket beside the agent's own.",
            pattern=r"^(/.+|[^/]+:[0-9]{1,5})?$",
            form="a socket's absolute path or ADDRESS:PORT",
        ),
    ] = ""
    xds_group: Annotated[
        str,
        about(
            "Group, by name or number, that may ask for an external Envoy's configuration: for an Envoy of "
            "another user. Empty: the agent's user only."
        ),
    ] = ""
    inbound: Annotated[
        str,
        about(
            "Where callers reach the service; registered in Consul. Port 0: a free one, kept.",
            pattern=LISTEN,
            form="ADDRESS:PORT",
        ),
    ] = "0.0.0.0:15006"
    outbound: Annotated[
        str, about("The service's HTTP_PROXY. Port 0: a free one, kept.", pattern=LISTEN, form="ADDRESS:PORT")
    ] = "127.0.0.1:15001"
    concurrency: Annotated[int, about("Envoy's worker threads.", ge=1, le=256)] = 2
    drain_time: Annotated[
        float,
        about(
            "How long a stop lets requests in flight end after the inbound stops taking new connections.",
            unit="s",
            ge=0,
        ),
    ] = 10.0
    heap_limit: Annotated[
        int, about("Bytes of heap beyond which Envoy sheds load; 0 turns it off.", unit="B", ge=0)
    ] = 512 * 1024 * 1024
    assets_dir: Annotated[
        str, about("Folder whose files replace Pillion's own Envoy fragments of the same name. Empty: none.")
    ] = ""
    access_log: Annotated[bool, about("Write one JSON line a request to standard output.")] = False
    limits: Annotated[
        tuple[Limit, ...],
        about("Rate limits of the inbound; a request counts in each that it falls under.", live=True),
    ] = ()
    max_body: MaxBody = 0
