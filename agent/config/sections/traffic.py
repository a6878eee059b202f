"""How requests to upstreams are treated: defaults for all, what one upstream changes, and one path of it."""

from typing import Annotated, Literal

import msgspec

from agent.config.declare import Section, about


class Traffic(Section, frozen=True):
    """Timeouts, retries, circuit breaking and balancing towards upstreams. All of it can be overridden live
    from KV."""

    connect_timeout: Annotated[float, about("Time to open a connection.", unit="s", gt=0, live=True)] = 1.0
    idle_timeout: Annotated[
        float,
        about("A stream on which nothing moves for this long is ended. 0: never.", unit="s", ge=0, live=True),
    ] = 300.0
    timeout: Annotated[
        float,
        about(
            "Whole time of a request with its retries. 0: none (SSE and long polls need that).",
            unit="s",
            ge=0,
            live=True,
        ),
    ] = 0.0
    per_try_timeout: Annotated[
        float,
        about("Time of one try; at most `timeout` where that is set. 0: none.", unit="s", ge=0, live=True),
    ] = 0.0
    retries: Annotated[
        int, about("Further tries of a request that may be repeated. 0: none.", ge=0, le=10, live=True)
    ] = 2
    max_connections: Annotated[int, about("Connections to one upstream.", ge=1, live=True)] = 1024
    max_pending: Annotated[int, about("Requests that wait for a connection.", ge=1, live=True)] = 1024
    max_requests: Annotated[int, about("Requests in flight.", ge=1, live=True)] = 1024
    ejection_failures: Annotated[
        int,
        about("5xx answers or gateway failures in a row that eject an instance. 0: never.", ge=0, live=True),
    ] = 5
    ejection_on: Annotated[
        Literal["5xx", "gateway"],
        about(
            "What counts as a failure: every 5xx, or only 502, 503, 504, a broken connection and a timeout.",
            live=True,
        ),
    ] = "5xx"
    ejection_time: Annotated[
        float,
        about(
            "How long an ejected instance rests the first time; each further time as much longer, to 5 minutes "
            "or this if that is more.",
            unit="s",
            gt=0,
            live=True,
        ),
    ] = 30.0
    check_path: Annotated[
        str,
        about(
            "Path that callers ask each instance for, to leave out those that do not answer 2xx or 3xx; best the "
            "upstream's own `service.health_path`. Empty: none, Consul's word alone counts.",
            live=True,
            pattern=r'^(/[!"$-~]*)?$',
            form="a path that starts with /, of visible ASCII characters without #",
        ),
    ] = ""
    check_interval: Annotated[
        float, about("Time between two such checks of an instance.", unit="s", ge=0.1, live=True)
    ] = 10.0
    check_timeout: Annotated[
        float,
        about(
            "How long the answer to a check may take; a silent instance holds up a changed configuration that long.",
            unit="s",
            gt=0,
            le=10,
            live=True,
        ),
    ] = 1.0
    check_failures: Annotated[
        int, about("Failed checks in a row that leave an instance out.", ge=1, le=100, live=True)
    ] = 3
    check_passes: Annotated[
        int, about("Good checks in a row that bring it back.", ge=1, le=100, live=True)
    ] = 2
    balance: Annotated[
        Literal["least_request", "round_robin", "ring_hash"],
        about("Load balancing; ring_hash needs `hash_header`.", live=True),
    ] = "least_request"
    hash_header: Annotated[
        str,
        about(
            "Request header that ring_hash hashes.",
            live=True,
            pattern="^[A-Za-z0-9_-]*$",
            form="a header name of letters, digits, - and _",
        ),
    ] = ""


class Path(Section, frozen=True):
    """What requests below one path prefix change."""

    prefix: Annotated[
        str,
        about(
            "Path prefix.",
            pattern="^/[^?#\\s]*$",
            form="a path that starts with / and holds no ?, # or space",
        ),
    ]
    timeout: Annotated[float, about("As `traffic.timeout`.", unit="s", ge=0)] | None = None
    per_try_timeout: Annotated[float, about("As `traffic.per_try_timeout`.", unit="s", ge=0)] | None = None
    idle_timeout: Annotated[float, about("As `traffic.idle_timeout`.", unit="s", ge=0)] | None = None
    retries: Annotated[int, about("As `traffic.retries`.", ge=0, le=10)] | None = None


class Upstream(Section, frozen=True):
    """What one upstream changes of `traffic`, and its explicit port."""

    port: Annotated[
        int,
        about(
            "A local port for clients that ignore HTTP_PROXY. 0: a free one, kept. -1: none.", ge=-1, le=65535
        ),
    ] = -1
    version: Annotated[
        str,
        about(
            "API version that requests to this upstream get when they name none.",
            pattern=r"^(v?[0-9]{1,4}(\.[0-9]{1,4})?)?$",
            form="a version such as v2 or v2.1",
        ),
    ] = ""
    traffic: Annotated[
        dict[str, str | int | float],
        about("Settings of `traffic` with other values for this upstream.", some_of=Traffic),
    ] = msgspec.field(default_factory=dict)
    paths: Annotated[tuple[Path, ...], about("What single path prefixes change.")] = ()
