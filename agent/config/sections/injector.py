"""Injection into Kubernetes pods: what every sidecar gets where no annotation says otherwise."""

from typing import Annotated, Literal

import msgspec

from agent.config.declare import Section, about

NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
"""The name of an object in Kubernetes: a DNS subdomain."""
NAME_FORM = "the name of an object: a to z, 0 to 9, - and ., at most 253"

IMAGE = r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,510}"
IMAGE_FORM = "an image such as registry.example.com/pillion:0.1.0"

CPU = r"([0-9]{1,9}m|[0-9]{1,6}(\.[0-9]{1,3})?)"
CPU_FORM = "a quantity of CPU such as 50m or 1.5"

MEMORY = r"[0-9]{1,15}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?"
MEMORY_FORM = "a quantity of memory such as 128Mi"

CLUSTER = r"^v?1\.(29|[3-9][0-9]|[1-9][0-9]{2})([.+-][0-9A-Za-z.+-]{0,60})?$"


class Resources(Section, frozen=True):
    """What the sidecar's container asks for and may use. Empty: not said."""

    cpu_request: Annotated[str, about("CPU that is kept for it.", pattern=f"^({CPU})?$", form=CPU_FORM)] = (
        "50m"
    )
    cpu_limit: Annotated[
        str, about("CPU that it may use. A limit slows every request.", pattern=f"^({CPU})?$", form=CPU_FORM)
    ] = ""
    memory_request: Annotated[
        str, about("Memory that is kept for it.", pattern=f"^({MEMORY})?$", form=MEMORY_FORM)
    ] = "128Mi"
    memory_limit: Annotated[
        str, about("Memory beyond which it is ended.", pattern=f"^({MEMORY})?$", form=MEMORY_FORM)
    ] = "512Mi"


class Injector(Section, frozen=True):
    """Injection into Kubernetes pods, by webhook or `pillion inject`."""

    image: Annotated[
        str, about("Image of the sidecar, with tag or digest.", pattern=f"^{IMAGE}$", form=IMAGE_FORM)
    ] = "pillion:0.1.0"
    image_pull_policy: Annotated[
        Literal["", "Always", "IfNotPresent", "Never"], about("As in a container. Empty: as Kubernetes does.")
    ] = ""
    cluster_version: Annotated[
        str,
        about(
            "Oldest version of Kubernetes that the pods go to, as `kubectl version` says it. From 1.30 on "
            "application containers get a native sleep as preStop.",
            pattern=CLUSTER,
            form="1.29 or later, such as 1.31 or v1.31.4",
        ),
    ] = "1.30"
    revision: Annotated[
        str,
        about(
            "Pods and namespaces whose label pillion.dev/revision is this one are injected, others not. "
            "Empty: those without the label.",
            pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$",
            form="a label's value",
        ),
    ] = ""
    consul_address: Annotated[
        str,
        about(
            "Consul's HTTP address as the sidecars are told it; $(HOST_IP) and $(POD_IP) are the node's and the "
            "pod's address.",
            pattern=r"^\S{1,512}$",
            form="a URL such as http://$(HOST_IP):8500",
        ),
    ] = "http://$(HOST_IP):8500"
    consul_token_secret: Annotated[
        str,
        about(
            "Secret in the pods' own namespaces with Consul's ACL token under the key `token`, mounted as a file. "
            "Empty: no token.",
            pattern=f"^({NAME})?$",
            form=NAME_FORM,
        ),
    ] = ""
    consul_login_method: Annotated[
        str,
        about(
            "Consul auth method by which the sidecars get their token (their registry.login_method), with a token of "
            "their pod's service account that is mounted for them alone. Empty: none.",
            pattern="^[A-Za-z0-9_-]{0,128}$",
            form="letters, digits, - and _, at most 128",
        ),
    ] = ""
    registry_mode: Annotated[
        Literal["agent", "catalog"],
        about("How the sidecars register: with the Consul agent of their node, or with any server."),
    ] = "agent"
    tracing_endpoint: Annotated[
        str,
        about(
            "OTLP/HTTP endpoint of the sidecars. Empty: no spans.",
            pattern=r"^(https?://\S{1,512})?$",
            form="a URL such as http://jaeger.tracing:4318",
        ),
    ] = ""
    tracing_sample: Annotated[float, about("Share of requests that start a sampled trace.", ge=0, le=1)] = 0.1
    pre_stop_sleep: Annotated[
        int,
        about(
            "Seconds that an application container goes on answering after it was told to end, where it has no "
            "preStop of its own and Kubernetes is 1.30 or later. 0: none.",
            ge=0,
            le=600,
        ),
    ] = 5
    resources: Resources = msgspec.field(default_factory=Resources)
