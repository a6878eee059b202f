"""The service that the agent stands beside."""

from typing import Annotated

from agent.config.declare import Section, about

LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""One DNS label in lower case: what a service may be called."""


class Service(Section):
    """The service beside this agent."""

    name: Annotated[
        str,
        about(
            "Name under which the service is registered and called; one DNS label in lower case.",
            pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$",
            aliases=("OTEL_SERVICE_NAME",),
        ),
    ] = ""
    host: Annotated[str, about("Address at which the service listens.")] = "127.0.0.1"
    port: Annotated[
        int,
        about(
            "Port at which the service listens. 0 with `run -- CMD`: a free one, which CMD gets as PORT and FLASK_RUN_PORT.",
            ge=0,
            le=65535,
        ),
    ] = 0
    address: Annotated[
        str,
        about(
            "Address that callers are told. Empty: the local address of the connection to Consul; if that is loopback, the Consul agent's own."
        ),
    ] = ""
    health_path: Annotated[
        str,
        about(
            "Path that answers 2xx or 3xx while the service is well. Empty: a TCP connect is enough.", pattern="^(/.*)?$"
        ),
    ] = ""
    health_interval: Annotated[float, about("Time between two health checks.", unit="s", gt=0)] = 2.0
    health_timeout: Annotated[float, about("How long a health check may take.", unit="s", gt=0)] = 1.0
    health_failures: Annotated[int, about("Failed checks in a row that make the service critical.", ge=1)] = 3
    zone: Annotated[str, about("Zone of this instance; callers prefer their own. Empty: none.")] = ""
    tags: Annotated[tuple[str, ...], about("Consul tags.")] = ()
    meta: Annotated[dict[str, str], about("Consul meta, beside what Pillion publishes itself.")] = {}
    routes: Annotated[
        tuple[str, ...],
        about(
            "Path prefixes that the gateway sends here, such as /orders or /api/{version}/orders. Empty: /NAME, with the prefix removed."
        ),
    ] = ()
    stop_timeout: Annotated[
        float,
        about("How long the service started by `run -- CMD` may take to end after SIGTERM.", unit="s", gt=0),
    ] = 30.0
