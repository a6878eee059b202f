"""The service that the agent stands beside."""

from typing import Annotated

import msgspec

from agent.config.declare import Section, about

LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""One DNS label in lower case: what a service may be called."""


HOST = r"^[A-Za-z0-9:._%-]+$"
"""An IP address or a host name, as far as a pattern can tell."""

MetaKey = Annotated[str, about("Key.", pattern="^[A-Za-z0-9_-]{1,128}$", form="letters, digits, - and _")]
MetaValue = Annotated[str, about("Value; Consul takes 512 bytes.", max_length=512)]


class Service(Section, frozen=True):
    """The service beside this agent."""

    name: Annotated[
        str,
        about(
            "Name under which the service is registered and called; one DNS label in lower case.",
            pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$",
            form="one DNS label: a to z, 0 to 9 and -, at most 63",
            aliases=("OTEL_SERVICE_NAME",),
        ),
    ] = ""
    host: Annotated[
        str, about("Address at which the service listens.", pattern=HOST, form="an IP address or a host name")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        about(
            "Port at which the service listens. 0 with `run -- CMD`: a free one, which CMD gets as PORT "
            "and FLASK_RUN_PORT.",
            ge=0,
            le=65535,
        ),
    ] = 0
    register: Annotated[
        bool,
        about(
            "Register the instance in Consul. Off: it only calls others, as a job does; nobody is sent to it, and no "
            "port is needed."
        ),
    ] = True
    address: Annotated[
        str,
        about(
            "Address that callers are told. Empty: the local address of the connection to Consul; if that "
            "is loopback, the Consul agent's own.",
            pattern=r"^([A-Za-z0-9:._%-]+)?$",
            form="an IP address or a host name",
        ),
    ] = ""
    version: Annotated[
        str,
        about(
            "Version of the service's software, told in responses as X-Service-Version. Empty: not told.",
            pattern=r"^[!-~]{0,64}$",
        ),
    ] = ""
    health_path: Annotated[
        str,
        about(
            "Path that answers 2xx or 3xx while the service is well. Empty: a TCP connect is enough.",
            pattern=r"^(/[^\s]*)?$",
            form="a path that starts with /",
        ),
    ] = ""
    health_interval: Annotated[float, about("Time between two health checks.", unit="s", gt=0)] = 2.0
    health_timeout: Annotated[float, about("How long a health check may take.", unit="s", gt=0)] = 1.0
    health_failures: Annotated[int, about("Failed checks in a row that make the service critical.", ge=1)] = 3
    metrics_port: Annotated[
        int,
        about(
            "Port at which the service shows metrics of its own for Prometheus; they come with the agent's in one "
            "scrape. 0: it has none.",
            ge=0,
            le=65535,
        ),
    ] = 0
    metrics_path: Annotated[
        str,
        about(
            "Path of the service's own metrics.",
            pattern=r"^/[!-~]*$",
            form="a path that starts with /",
        ),
    ] = "/metrics"
    zone: Annotated[
        str,
        about(
            "Zone of this instance; callers prefer their own. Empty: none.",
            pattern="^[A-Za-z0-9._-]{0,63}$",
            form="letters, digits, ., _ and -, at most 63",
        ),
    ] = ""
    tags: Annotated[tuple[str, ...], about("Consul tags.")] = ()
    meta: Annotated[
        dict[MetaKey, MetaValue],
        about("Consul meta, beside what Pillion publishes itself; at most 48 pairs.", max_length=48),
    ] = msgspec.field(default_factory=dict)
    routes: Annotated[
        tuple[str, ...],
        about(
            "Path prefixes that the gateway sends here, such as /orders or /api/{version}/orders. Empty: "
            "/NAME, with the prefix removed."
        ),
    ] = ()
    stop_timeout: Annotated[
        float,
        about("How long the service started by `run -- CMD` may take to end after SIGTERM.", unit="s", gt=0),
    ] = 30.0
