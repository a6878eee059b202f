"""The volumes: what the sidecar writes, the hook that it shares with the applications, settings and secrets."""

from typing import Any

from agent.inject.plan import Plan

STATE = "/var/lib/pillion"
CONFIG = "/etc/pillion/config"
OUTBOX = "/etc/pillion/outbox"
CONSUL = "/etc/pillion/consul"
"""Where the sidecar finds them."""

ACCOUNT = {"path": "token", "expirationSeconds": 3600}
"""Not the one that Kubernetes mounts by itself: pods may do without that (automountServiceAccountToken)."""


def volumes(plan: Plan) -> list[dict[str, Any]]:
    """The volumes that the pod gets."""
    names, injector = plan.names, plan.settings.injector
    found: list[dict[str, Any]] = [{"name": names.state, "emptyDir": {"sizeLimit": "64Mi"}}]
    if plan.carries:
        found.append({"name": names.hook, "emptyDir": {"sizeLimit": "8Mi"}})
    if plan.own.config:
        found.append({"name": names.config, "configMap": {"name": plan.own.config}})
    if plan.own.outbox_database_secret:
        found.append({"name": names.outbox, "secret": {"secretName": plan.own.outbox_database_secret}})
    if injector.consul_token_secret:
        found.append({"name": names.token, "secret": {"secretName": injector.consul_token_secret}})
    elif injector.consul_login_method:
        found.append({"name": names.token, "projected": {"sources": [{"serviceAccountToken": ACCOUNT}]}})
    return found
