"""Consul."""

from typing import Annotated, Literal

from agent.config.declare import Section, about


class Registry(Section, frozen=True):
    """Consul: where this instance is registered and others are found."""

    address: Annotated[
        str, about("Consul agent's HTTP address, as URL or HOST:PORT.", aliases=("CONSUL_HTTP_ADDR",))
    ] = "http://127.0.0.1:8500"
    token: Annotated[str, about("ACL token.", secret=True, aliases=("CONSUL_HTTP_TOKEN",))] = ""
    token_file: Annotated[
        str, about("File that holds the ACL token.", aliases=("CONSUL_HTTP_TOKEN_FILE",))
    ] = ""
    ca_cert: Annotated[
        str,
        about(
            "File with the CA certificate of an https address. Empty: the system's.",
            aliases=("CONSUL_CACERT",),
        ),
    ] = ""
    mode: Annotated[
        Literal["agent", "catalog"],
        about(
            "How this instance is registered. agent: at Consul's own agent on this machine (in Kubernetes on this "
            "node), which removes what died. catalog: straight in the catalogue through any server, in Kubernetes "
            "only; the injector removes what died."
        ),
    ] = "agent"
    login_method: Annotated[
        str,
        about(
            "Consul auth method by which a token is got with the token in registry.login_token_file, and given "
            "back at the end. Empty: none; registry.token is used.",
            pattern="^[A-Za-z0-9_-]{0,128}$",
            form="letters, digits, - and _, at most 128",
        ),
    ] = ""
    login_token_file: Annotated[
        str, about("File with the token that the auth method checks: by default the pod's service account.")
    ] = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    ttl: Annotated[
        float, about("TTL of the check that the agent feeds; fed three times as often.", unit="s", ge=1)
    ] = 10.0
    deregister_after: Annotated[
        float,
        about(
            "Consul removes an instance that was critical for this long; at least a minute.", unit="s", ge=60
        ),
    ] = 60.0
    reconcile_interval: Annotated[
        float, about("Time between two looks at the registration when nothing happens.", unit="s", ge=1)
    ] = 10.0
    loopback: Annotated[
        Literal["auto", "allow", "refuse"],
        about(
            "Instances with a loopback address, which every caller takes for its own machine. auto: they are used "
            "where registry.address is a loopback address too, so that all of it may be one machine. Where each "
            "machine has a Consul agent of its own: refuse."
        ),
    ] = "auto"
    keep_last: Annotated[
        float,
        about(
            "How long the last known instances stay in use when Consul loses a service. 0: not at all, nor those whose "
            "node only is out of its sight.",
            unit="s",
            ge=0,
        ),
    ] = 600.0
    spread: Annotated[
        float,
        about(
            "How long a stop waits after turning critical, for callers to hear of it. 0: not at all.",
            unit="s",
            ge=0,
        ),
    ] = 2.0
