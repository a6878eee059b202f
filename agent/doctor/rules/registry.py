"""Consul as the sidecars reach it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from agent.doctor.finding import Finding, absent, ok, problem, warning
from agent.doctor.rules import objects, webhooks
from agent.doctor.rules.objects import Object
from agent.doctor.rules.pods import Pod
from agent.doctor.rules.sidecars import living

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
    def port(self) -> int:
        """The port of Consul's HTTP interface, 0 where the address has none that could be meant."""
        try:
            parts = urlsplit(self._url)
            given = parts.port
        except ValueError:
            return 0
        return given or (8501 if parts.scheme == "https" else 8500)

    @property
    def _url(self) -> str:
        return self.address if "://" in self.address else f"http://{self.address}"

    @property
    def service(self) -> webhooks.Service | None:
        """The Service of Kubernetes that the address names."""
        try:
            match = _SERVICE.fullmatch(urlsplit(self._url).hostname or "")
        except ValueError:
            return None
        return webhooks.Service(match[2], match[1]) if match else None


def mode(told: Told, ready: int) -> list[Finding]:
    """``consul.mode``: agent mode through one address for all nodes works with one server only.

    ``ready`` counts the endpoints of the Service that the address names.
    """
    subject = "how sidecars register"
    if not told.address:
        return [absent("consul.mode", subject, "the injector's settings are not to be seen")]
    if told.mode == "agent" and not told.at_node and told.service is not None:
        todo = "Set consul.address to http://$(HOST_IP):8500 with a client on each node, or consul.mode to catalog."
        if ready == 1:
            found = (
                f"at {told.address}, behind which one server is ready: with a second one none can register"
            )
            return [warning("consul.mode", subject, found, todo)]
        found = f"at {told.address}, behind which agents or servers may take turns: sidecars refuse to register there"
        return [problem("consul.mode", subject, found, todo)]
    return [ok("consul.mode", subject, f"{told.mode or 'agent'} at {told.address}")]


def agents(told: Told, daemons: Sequence[Object], pods: Sequence[Pod]) -> list[Finding]:
    """``consul.agents``: the client of Consul on every node, at the port that sidecars are told."""
    subject = "Consul's client agents"
    if not told.at_node:
        return [absent("consul.agents", subject, "sidecars ask no agent of their node")]
    ours = [one for one in daemons if _listens(one, told.port)]
    if not ours:
        todo = "Install charts/infrastructure with consul.client on, or name your Consul in consul.address."
        found = f"no DaemonSet has the port {told.port}, which sidecars ask, on its nodes"
        return [problem("consul.agents", subject, found, todo)]
    wanted = sum(objects.number(one, "status", "desiredNumberScheduled") for one in ours)
    there = sum(objects.number(one, "status", "numberReady") for one in ours)
    names = objects.listed(map(objects.full, ours))
    if not wanted:
        todo = "See its node selector and tolerations."
        return [problem("consul.agents", subject, f"{names} runs on no node", todo)]
    if without := _without(ours, pods):
        found = f"none of {names} is ready on {objects.listed(without)}, where there are sidecars"
        todo = "See its node selector and tolerations, and its pods: sidecars on these nodes can't register."
        return [problem("consul.agents", subject, found, todo)]
    if there < wanted:
        namespace = objects.namespace(ours[0])
        todo = f"kubectl -n {namespace} get pods -o wide: sidecars on these nodes can't register until it is back."
        return [problem("consul.agents", subject, f"{there} of {wanted} are ready ({names})", todo)]
    return [ok("consul.agents", subject, f"{there} of {wanted} are ready ({names})")]


def _without(daemons: Sequence[Object], pods: Sequence[Pod]) -> set[str]:
    """Nodes that have a sidecar and no client that is ready."""
    clients = {pod.node for pod in pods if pod.ready and any(_makes(one, pod) for one in daemons)}
    return {pod.node for pod in living(pods) if pod.node and pod.node not in clients}


def _makes(daemon: Object, pod: Pod) -> bool:
    owners = objects.rows(pod.whole, "metadata", "ownerReferences")
    named = any(one.get("kind") == "DaemonSet" and one.get("name") == objects.name(daemon) for one in owners)
    return named and objects.namespace(pod.whole) == objects.namespace(daemon)


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


def _listens(daemon: Object, wanted: int) -> bool:
    spec = objects.mapping(daemon, "spec", "template", "spec")
    host = bool(spec.get("hostNetwork"))
    ports = [port for one in objects.rows(spec, "containers") for port in objects.rows(one, "ports")]
    return wanted > 0 and any(
        wanted in (objects.number(port, "hostPort"), objects.number(port, "containerPort") if host else 0)
        for port in ports
    )
