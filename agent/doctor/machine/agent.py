"""What a running agent says of itself."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.doctor.finding import Finding, absent, ok, problem, warning

CONSUL = "See what is found of Consul here (consul.…)."
FILES = "Mend the file that it names; it is read again by itself."
KV = "Mend the key in Consul's KV that it names (docs/configuration-store.md)."
WHERE = {
    "certificates": FILES,
    "configuration": CONSUL,
    "delivery": "Mend the key in KV, the file or the action that it names (docs/configuration-store.md).",
    "environment": KV,
    "envoy": "See Envoy's lines in the agent's log, and envoy.… here.",
    "gate": CONSUL,
    "inbox": "See inbox.… here, and `pillion inbox status`.",
    "overrides": "Mend the document in Consul's KV that it names, or delete it.",
    "probe": "See the service's own log, and whether service.health_path and service.port are right.",
    "registrar": CONSUL,
    "relay": "See outbox.… here, and `pillion outbox status`.",
    "restarts": "See the instance that it names, else consul.rights here.",
    "review": "Tell the team whose registration it is.",
    "secrets": FILES,
    "service": "See the service's own log.",
    "token_keys": FILES,
    "watcher": CONSUL,
}
"""By component: where to look; what it says itself comes before that."""


def not_asked(where: str, reason: str) -> Finding:
    """``agent.running`` where none answers."""
    return absent(
        "agent.running", f"the agent at {where}", f"none answers ({reason}); it is looked at without"
    )


def findings(where: str, status: Mapping[str, Any], service: str, version: str) -> list[Finding]:
    """``agent.*`` and ``envoy.accepted``; ``status`` is what ``/status`` says, whatever its shape.

    ``service`` is the settings' name for it, empty where they have none; ``version`` is this program's.
    """
    facts = _mapping(status.get("agent"))
    first = _running(f"the agent at {where}", facts, service, version)
    return [first, *_ready(where, status), *_components(status), *_envoy(status)]


def _running(subject: str, facts: Mapping[str, Any], service: str, version: str) -> Finding:
    theirs, runs = str(facts.get("service") or ""), str(facts.get("version") or "unknown")
    who = theirs or "a gateway"
    if service and theirs and theirs != service:
        found = f"it is that of {theirs}, not of {service}: what follows is of two services"
        todo = f"Give the settings of {theirs}, or the address of {service}'s agent as admin.listen."
        return warning("agent.running", subject, found, todo)
    if runs != version:
        found = f"it runs version {runs} beside {who}, and this program is {version}"
        todo = "Start it again to have it run the version that is installed."
        return warning("agent.running", subject, found, todo)
    return ok("agent.running", subject, f"it runs version {runs} beside {who}")


def _ready(where: str, status: Mapping[str, Any]) -> Iterator[Finding]:
    subject = f"whether the instance of the agent at {where} gets requests"
    if status.get("ready") is True:
        yield ok("agent.ready", subject, "it is ready")
        return
    reasons = status.get("reasons")
    said = [str(one) for one in reasons] if isinstance(reasons, list) else []
    for reason in said or ["it does not say why not"]:
        todo = "What is found below tells more; `pillion status` shows all parts."
        yield problem("agent.ready", subject, f"it is not ready: {reason}", todo)


def _components(status: Mapping[str, Any]) -> Iterator[Finding]:
    for name, told in _mapping(status.get("components")).items():
        report = _mapping(told)
        if report.get("state") != "degraded" or name == "hook":  # carry.active tells of that
            continue
        todo = WHERE.get(name, "See the agent's log.")
        yield warning("agent.component", f"the agent's {name}", str(report.get("detail") or "degraded"), todo)


def _envoy(status: Mapping[str, Any]) -> Iterator[Finding]:
    told = _mapping(status.get("envoy"))
    subject = "Envoy's configuration"
    if told.get("connected") is not True:
        todo = "See the agent's log for why Envoy ends or can't reach the agent's socket."
        yield problem("envoy.accepted", subject, "no Envoy is connected to the agent", todo)
        return
    refusals = told.get("refusals")
    for one in refusals if isinstance(refusals, list) else []:
        refusal = _mapping(one)
        found = f"Envoy refuses its {refusal.get('type')}: {refusal.get('message')}"
        todo = "The one before stays in force; `pillion envoy validate` shows whether these settings are the reason."
        yield problem("envoy.accepted", subject, found, todo)
    if not refusals:
        yield ok("envoy.accepted", subject, "it is in force")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
