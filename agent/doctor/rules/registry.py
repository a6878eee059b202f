"""Consul as the sidecars reach it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from agent.doctor.finding import Finding, absent, ok, problem, warning
from agent.doctor.rules import objects, webhooks
from agent.doctor.rules.objects import Object

HTTP = frozenset({8500, 8501})
"""Ports of Consul's HTTP interface."""
STANDS = 60.0
"""Seconds without a renewal after which nobody leads; clocks may differ by some of them."""
_SERVICE = re.compile(r"([a-z0-9-]{1,63})\.([a-z0-9-]{1,63})(?:\.svc(?:\.[a-z0-9.-]+)?)?\.?")


@dataclass(frozen=True)
class Told:
    """What the injector tells the sidecars; empty where that is not known."""

    mode: str = ""
    address: str = ""
    image: str = ""

    @property
    def at_node(self) -> bool:
        """Whether each sidecar asks the agent of its own node."""
        return "$(HOST_IP)" in self.address or (not self.address and self.mode != "catalog")

    @property
    def service(self) -> webhooks.Service | None:
        """The Service of Kubernetes that the address names."""
        text = self.address if "://" in self.address else f"http://{self.address}"
        try:
            match = _SERVICE.fullmatch(urlsplit(text).hostname or "")
        except ValueError:
            return None
        return webhooks.Service(match[2], match[1]) if match else None


def mode(told: Told) -> list[Finding]:
    """``consul.mode``: agent mode through one address for all nodes can't work."""
    subject = "how sidecars register"
    if not told.address:
        return [absent("consul.mode", subject, "the injector's settings are not to be seen")]
    if told.mode == "agent" and not told.at_node and told.service is not None:
        todo = "Set consul.address to http://$(HOST_IP):8500 with a client on each node, or consul.mode to catalog."
        found = f"at {told.address}, behind which agents or servers may take turns: sidecars refuse to register there"
        return [problem("consul.mode", subject, found, todo)]
    return [ok("consul.mode", subject, f"{told.mode or 'agent'} at {told.address}")]


def agents(told: Told, daemons: Sequence[Object]) -> list[Finding]:
    """``consul.agents``: the client of Consul on every node."""
    subject = "Consul's client agents"
    if not told.at_node:
        return [absent("consul.agents", subject, "sidecars ask no agent of their node")]
    ours = [one for one in daemons if _listens(one)]
    if not ours:
        todo = "Install charts/infrastructure with consul.client on, or name your Consul in consul.address."
        return [problem("consul.agents", subject, "no DaemonSet has Consul's port 8500 on its nodes", todo)]
    wanted = sum(objects.number(one, "status", "desiredNumberScheduled") for one in ours)
    there = sum(objects.number(one, "status", "numberReady") for one in ours)
    names = objects.listed(map(objects.full, ours))
    if not wanted:
        return [
            problem(
                "consul.agents", subject, f"{names} runs on no node", "See its node selector and tolerations."
            )
        ]
    if there < wanted:
        namespace = objects.namespace(ours[0])
        todo = f"kubectl -n {namespace} get pods -o wide: sidecars on these nodes can't register until it is back."
        return [problem("consul.agents", subject, f"{there} of {wanted} are ready ({names})", todo)]
    return [ok("consul.agents", subject, f"{there} of {wanted} are ready ({names})")]


def sweep(told: Told, lease: Object | None, now: float) -> list[Finding]:
    """``consul.sweep``: whether an injector leads, which removes what dead pods left; ``now`` since the epoch."""
    subject = "the sweep of what dead pods leave in Consul"
    if told.mode != "catalog":
        return [absent("consul.sweep", subject, "Consul's agents do that")]
    todo = (
        "See the injector's pods and their logs (leader, sweep): until one leads, dead pods stay registered."
    )
    if lease is None:
        return [problem("consul.sweep", subject, "no injector ever led", todo)]
    try:
        renewed = datetime.fromisoformat(objects.text(lease, "spec", "renewTime")).timestamp()
    except (ValueError, OverflowError):
        renewed = 0.0
    holder = objects.text(lease, "spec", "holderIdentity")
    if not holder or now - renewed > STANDS:
        return [problem("consul.sweep", subject, "no injector leads now", todo)]
    return [ok("consul.sweep", subject, f"{holder} leads")]


def servers(told: Told, service: Object | None, slices: Sequence[Object]) -> list[Finding]:
    """``consul.service``: the Service that the sidecars are told, where it is one of this cluster."""
    subject = "Consul's Service"
    named = told.service
    if named is None:
        return [absent("consul.service", subject, "sidecars are told no Service of this cluster")]
    subject = f"Consul's Service {named.namespace}/{named.name}"
    if service is None:
        return [problem("consul.service", subject, "there is none", "Set consul.address to where Consul is.")]
    ready = webhooks.ready_endpoints(slices)
    if not ready:
        todo = f"kubectl -n {named.namespace} get pods: instances stay registered, and none can come or go."
        return [problem("consul.service", subject, "no endpoint is ready", todo)]
    if ready == 2:
        todo = "Run three servers: of two, none may be lost."
        return [warning("consul.service", subject, "two endpoints are ready", todo)]
    return [ok("consul.service", subject, f"{ready} endpoints are ready")]


def _listens(daemon: Object) -> bool:
    spec = objects.mapping(daemon, "spec", "template", "spec")
    host = bool(spec.get("hostNetwork"))
    ports = [port for one in objects.rows(spec, "containers") for port in objects.rows(one, "ports")]
    return any(
        objects.number(port, "hostPort") in HTTP or (host and objects.number(port, "containerPort") in HTTP)
        for port in ports
    )
