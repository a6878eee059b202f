"""Versions, tracing, what is done with unknown hosts."""

from typing import Annotated, Literal

import msgspec

from agent.config.declare import Section, about

VERSION = r"v?(0|[1-9][0-9]{0,3})(\.(0|[1-9][0-9]{0,3}))?"
FORM = "a version such as v2 or v2.1"

VersionName = Annotated[str, about("Version.", pattern=f"^{VERSION}$", form=FORM)]


class Deprecated(Section, frozen=True):
    """When a version was deprecated and when it goes away."""

    since: Annotated[str, about("Date, as 2026-11-01 or an RFC 3339 time. Empty: unsaid.")] = ""
    sunset: Annotated[str, about("Date after which it may be gone, written the same way. Empty: unsaid.")] = (
        ""
    )
    link: Annotated[
        str,
        about(
            "Where the successor is described.",
            pattern=r"^((https?:)?/[A-Za-z0-9._~:/?#@!$&'()*+,;=-]*)?$",
            form="a URL or a rooted path, without %",
        ),
    ] = ""


class Versions(Section, frozen=True):
    """API versions of this service. Without `serves` its paths are left alone."""

    serves: Annotated[
        tuple[VersionName, ...], about("Versions that this instance serves, such as v1 or v2.1.")
    ] = ()
    default: Annotated[
        str,
        about(
            "Version of a request that names none. Empty: the newest.", pattern=f"^({VERSION})?$", form=FORM
        ),
    ] = ""
    deprecated: Annotated[dict[VersionName, Deprecated], about("Deprecated versions.")] = msgspec.field(
        default_factory=dict
    )
    strip_prefix: Annotated[bool, about("Remove /api/vN for a service that does not know it.")] = False
    policy: Annotated[
        Literal["compatible", "latest"],
        about(
            "What a caller's sidecar does when no instance fits: 404 with what exists, or the newest.",
            live=True,
        ),
    ] = "compatible"


class Outbound(Section, frozen=True):
    """Requests that leave the service."""

    policy: Annotated[
        Literal["allow_any", "registry_only"],
        about("Hosts outside the mesh: forwarded, or answered 502. A convenience, not a security control."),
    ] = "allow_any"
    https: Annotated[
        bool,
        about(
            "Set HTTPS_PROXY too for the service started by `run -- CMD`, so that its https requests leave through "
            "the sidecar as tunnels. Off: they go straight out."
        ),
    ] = False
    dns: Annotated[
        str,
        about(
            "UDP address at which names such as orders.service.consul are answered, as 127.0.0.1:15053. Port 0: "
            "a free one, kept. Empty: off.",
            pattern=r"^(.+:[0-9]{1,5})?$",
            form="ADDRESS:PORT",
        ),
    ] = ""
    dns_resolvers: Annotated[
        tuple[
            Annotated[
                str,
                about(
                    "Resolver.", pattern=r"^[0-9A-Fa-f.:\[\]]+$", form="an IP address, with or without :PORT"
                ),
            ],
            ...,
        ],
        about(
            "Who is asked for names that are no service of the mesh. All have to know the same names: one that is "
            "away or refuses a name is asked last from then on. Empty: Consul's DNS, at port 8600 of the host in "
            "registry.address."
        ),
    ] = ()


SAMPLE = "PILLION_DEFAULT_TRACING_SAMPLE"
"""The share that the injector tells every sidecar, which yields to the sidecar's file of settings."""


AttributeName = Annotated[
    str, about("Name.", pattern=r"^[a-z][a-z0-9._-]{0,127}$", form="lower case letters, digits, ., _ and -")
]
AttributeValue = Annotated[str, about("Value.", max_length=512)]


class Tracing(Section, frozen=True):
    """Spans of sampled requests."""

    endpoint: Annotated[
        str,
        about(
            "OTLP/HTTP endpoint, such as http://127.0.0.1:4318. Empty: no spans.",
            aliases=("OTEL_EXPORTER_OTLP_ENDPOINT",),
        ),
    ] = ""
    sample: Annotated[
        float,
        about(
            "Share of requests that start a sampled trace; a caller's decision is kept. Full sampling "
            "halves Envoy's throughput.",
            ge=0,
            le=1,
            aliases=(SAMPLE,),
            live=True,
        ),
    ] = 0.1
    operation: Annotated[
        str,
        about(
            "Name of the spans; `{method}` stands for the request's method. Empty: the service's name. `pillion trace` "
            "shows method and path anyway."
        ),
    ] = ""
    query: Annotated[
        str,
        about(
            "Where Jaeger answers questions, for `pillion trace` and `pillion bottlenecks`, such as "
            "http://127.0.0.1:16686. Empty: port 16686 of the host in `tracing.endpoint`, or of this machine."
        ),
    ] = ""
    attributes: Annotated[
        dict[AttributeName, AttributeValue],
        about(
            "Attributes of all spans' resource, beside service.name, service.version and service.instance.id, such as "
            "deployment.environment.name.",
            max_length=32,
        ),
    ] = msgspec.field(default_factory=dict)
    carry: Annotated[
        bool,
        about(
            "Give the service started by `run -- CMD` the hook that carries trace context and request id "
            "through it."
        ),
    ] = True
    carry_dir: Annotated[
        str,
        about(
            "Folder into which the agent copies that hook at start, before its API answers, for a service in "
            "another container that has the same folder on its PYTHONPATH. Empty: none."
        ),
    ] = ""

    @property
    def traces_url(self) -> str:
        """Where spans are posted; ``endpoint`` is a base, as OTEL_EXPORTER_OTLP_ENDPOINT has it, or this itself."""
        base = self.endpoint.rstrip("/")
        return base if base.endswith("/v1/traces") else f"{base}/v1/traces"
