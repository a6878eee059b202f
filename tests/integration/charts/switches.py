"""Every switch of each chart, to be tried both ways, and values with which it does something.

A test compares the list with values.yaml, so that a new switch can't be forgotten.
"""

from collections.abc import Mapping
from typing import Any

FULL: Mapping[str, Mapping[str, Any]] = {
    "pillion": {
        "clusterName": "east",
        "consul": {
            "mode": "catalog",
            "sidecarTokenSecret": "sidecars",
            "gatewayTokenSecret": "gateway",
            "injectorTokenSecret": "injector",
        },
        "tracing": {"endpoint": "http://jaeger.infra.svc:4318", "sample": 1},
        "imagePullSecrets": ["registry"],
        "priorityClassName": "important",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "injector": {"priorityClassName": "system-cluster-critical", "excludedNamespaces": ["legacy"]},
        "gateway": {
            "autoscaling": {"enabled": True},
            "service": {"annotations": {"a": "b"}},
            "tlsSecret": "gateway-tls",
        },
        "doctor": {"enabled": True},
        "monitoring": {
            "monitors": True,
            "rules": True,
            "dashboard": True,
            "labels": {"release": "prometheus"},
        },
        "networkPolicy": {"enabled": True},
    },
    "infrastructure": {
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "important",
        "consumerNamespaces": ["shop"],
        "networkPolicy": {"enabled": True},
        "consul": {
            "acl": {
                "enabled": True,
                "services": ["orders"],
                "tokens": {"watcher": 'node_prefix "" { policy = "read" }'},
            },
            "server": {"replicas": 3},
            "backup": {"enabled": True},
        },
        "nats": {"services": ["orders", "billing"]},
    },
    "service": {
        "imagePullSecrets": ["registry"],
        "priorityClassName": "important",
        "command": ["gunicorn"],
        "args": ["app:app"],
        "env": [{"name": "INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "envFrom": [{"configMapRef": {"name": "more"}}],
        "config": {"CURRENCY": "EUR"},
        "secret": {"existingSecret": "mine", "data": {"API_KEY": "x"}, "generate": ["SECRET_KEY"]},
        "migration": {"enabled": True, "command": ["flask", "init-db"]},
        "persistence": {"enabled": True, "accessMode": "ReadWriteMany"},
        "autoscaling": {"enabled": True},
        "networkPolicy": {"enabled": True, "egress": [{}]},
        "volumes": [{"name": "cache", "emptyDir": {}}],
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        "podLabels": {"team": "shop"},
        "podAnnotations": {"note": "x"},
        "pillion": {
            "revision": "canary",
            "versions": ["v1", "v2.1"],
            "routes": ["/api/{version}/orders", "/orders"],
            "tags": ["blue"],
            "meta": {"team": "shop"},
            "upstreams": ["inventory"],
            "pythonpath": "/opt/lib",
            "logLevel": "debug",
            "image": "registry.example.com/pillion:2",
            "resources": {
                "requests": {"cpu": "10m", "memory": "64Mi"},
                "limits": {"cpu": 1, "memory": "1Gi"},
            },
            "outbox": {
                "databaseSecret": "outbox",
                "installSecret": "install",
                "config": {"changes": [{"table": "orders"}], "broker": {"create": True}},
            },
            "config": {"tracing": {"sample": 1}},
        },
    },
}
"""Everything on, as far as it goes together."""

ALONE: Mapping[str, Mapping[str, Any]] = {
    "pillion": {"clusterName": "east"},
    "service": {"replicas": 1, "migration": {"command": ["flask", "init-db"]}},
}
"""What a single switch needs that is off by default."""

WAYS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "pillion": {
        "revision": ("", "canary"),
        "consul.mode": ("agent", "catalog"),
        "injector.enabled": (True, False),
        "injector.certificate": (
            {"source": "made"},
            {"source": "cert-manager"},
            {"source": "cert-manager", "issuer": {"name": "company", "kind": "ClusterIssuer"}},
            {"source": "secret", "existingSecret": "mine", "caBundle": "Y2E="},
        ),
        "gateway.enabled": (True, False),
        "gateway.autoscaling.enabled": (True, False),
        "gateway.service.type": ("ClusterIP", "NodePort", "LoadBalancer"),
        "doctor.enabled": (True, False),
        "monitoring.monitors": (True, False),
        "monitoring.rules": (True, False),
        "monitoring.dashboard": (True, False),
        "networkPolicy.enabled": (True, False),
    },
    "infrastructure": {
        "networkPolicy.enabled": (True, False),
        "consul.enabled": (True, False),
        "consul.ui": (True, False),
        "consul.gossipEncryption": (True, False),
        "consul.existingSecret": ("", "mine"),
        "consul.acl.enabled": (True, False),
        "consul.server.replicas": (1, 3),
        "consul.client.enabled": (True, False),
        "consul.backup.enabled": (True, False),
        "jaeger.enabled": (True, False),
        "nats.enabled": (True, False),
        "nats.existingSecret": ("", "mine"),
        "postgres.enabled": (True, False),
        "postgres.existingSecret": ("", "mine"),
        "postgres.backup.enabled": (True, False),
    },
    "service": {
        "autoscaling.enabled": (True, False),
        "podDisruptionBudget.enabled": (True, False),
        "healthPath": ("/healthz", ""),
        "service.type": ("ClusterIP", "NodePort", "LoadBalancer"),
        "persistence.enabled": (True, False),
        "persistence.existingClaim": ("", "mine"),
        "secret.existingSecret": ("", "mine"),
        "secret.generate": ([], ["SECRET_KEY"]),
        "migration.enabled": (True, False),
        "pillion.inject": (True, False),
        "pillion.outbox.installSecret": ("", "install"),
        "pillion.config": ({}, {"tracing": {"sample": 1}}),
        "networkPolicy.enabled": (True, False),
        "serviceAccount.create": (True, False),
    },
}
"""Each switch with what it is tried with; booleans both ways."""

CASES = tuple(
    (chart, key, way, full)
    for chart, switches in WAYS.items()
    for key, ways in switches.items()
    for way in ways
    for full in (True, False)
)
"""Every way of every switch, beside the defaults and beside everything."""
