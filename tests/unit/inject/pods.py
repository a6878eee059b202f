"""Hypothesis strategies: pods that Kubernetes would take, with what is hard about them, and anything at all."""

from typing import Any

from hypothesis import strategies as st

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

NAMES = st.sampled_from(["pillion", "pillion-2", "app", "web", "worker", "proxy", "pillion-hook"])
VOLUMES = st.sampled_from(
    ["pillion-hook", "pillion-state", "pillion-config", "data", "pillion-hook-2", "tmp"]
)
PATHS = st.sampled_from(
    ["/pillion", "/pillion/hook", "/data", "/tmp", "/pillion-2/x", "/", "/var/lib/pillion"]
)
PORTS = st.sampled_from([80, 5432, 8000, 8443, 15001, 15002, 15006, 15007, 15020, 15021, 15090, 65535])
VARIABLES = st.sampled_from(
    [
        "PYTHONPATH",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
        "POD_IP",
        "PILLION_CARRY_PORTS",
        "A",
        "PATH",
    ]
)
FIELD = {"fieldRef": {"fieldPath": "status.podIP"}}


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The value, or null."""
    return st.none() | strategy


ENV = st.lists(
    st.fixed_dictionaries({"name": VARIABLES}, optional={"value": some(st.text(max_size=5))})
    | st.fixed_dictionaries({"name": VARIABLES, "valueFrom": st.just(FIELD)}),
    max_size=4,
    unique_by=lambda one: one["name"],
)
PORT = st.fixed_dictionaries(
    {"containerPort": PORTS},
    optional={
        "name": st.sampled_from(["http", "web", "metrics", "pillion-inbound", "grpc"]),
        "protocol": st.sampled_from(["TCP", "UDP"]),
    },
)
MOUNT = st.fixed_dictionaries({"name": VOLUMES, "mountPath": PATHS}, optional={"readOnly": st.booleans()})
PROBE = st.sampled_from(
    [
        {"httpGet": {"path": "/", "port": "http"}},
        {"tcpSocket": {"port": 8000}},
        {"grpc": {"port": 9000}},
        {"exec": {"command": ["true"]}},
        {},
    ]
)
LIFECYCLE = st.sampled_from(
    [
        {},
        {"preStop": None},
        {"preStop": {"exec": {"command": ["true"]}}},
        {"preStop": {"sleep": {"seconds": 1}}},
        {"postStart": {"exec": {"command": ["true"]}}},
    ]
)
STRICT = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_PARTS: dict[str, st.SearchStrategy[Any]] = {
    "env": some(ENV),
    "ports": some(st.lists(PORT, max_size=3)),
    "volumeMounts": some(st.lists(MOUNT, max_size=2, unique_by=lambda one: one["mountPath"])),
    "lifecycle": some(LIFECYCLE),
    "livenessProbe": some(PROBE),
    "securityContext": some(st.just(STRICT)),
    "resources": st.sampled_from(
        [
            {"limits": {"cpu": "1", "memory": "1Gi"}},
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            {},
        ]
    ),
    "envFrom": some(st.just([{"configMapRef": {"name": "c"}}])),
}
CONTAINER = st.fixed_dictionaries({"name": NAMES, "image": st.just("app:1")}, optional=CONTAINER_PARTS)
SIDECAR = st.fixed_dictionaries(
    {"name": NAMES, "image": st.just("app:1")},
    optional={**CONTAINER_PARTS, "restartPolicy": st.just("Always")},
)
LABELS = st.fixed_dictionaries(
    {"app": st.sampled_from(["orders", "orders-v2"])},
    optional={
        "pillion.dev/inject": st.just("true"),
        "app.kubernetes.io/name": st.sampled_from(["stock", "s"]),
        "pillion.dev/revision": st.just(""),
    },
)
ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "pillion.dev/port": st.sampled_from(["8000", "0", "15006"]),
        "pillion.dev/versions": st.just("v1,v2"),
        "pillion.dev/routes": st.just("/a,/b/{version}"),
        "pillion.dev/upstreams": st.sampled_from(["a,b", "{a: {port: 15020}}", "*"]),
        "pillion.dev/meta-team": st.sampled_from(["x", "$(HOST_IP)", "a\"b'c"]),
        "pillion.dev/carry": st.sampled_from(["true", "no"]),
        "pillion.dev/pythonpath": st.sampled_from(["", "/app:/lib", "$(HOME)"]),
        "pillion.dev/proxy": st.sampled_from(["true", "false"]),
        "pillion.dev/config": st.just("settings"),
        "pillion.dev/outbox-database-secret": st.just("database"),
        "pillion.dev/outbox-config": st.just("changes: [{table: orders}]"),
        "pillion.dev/memory-limit": st.sampled_from(["64Mi", "1Gi"]),
        "kubectl.kubernetes.io/default-container": st.just("app"),
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": st.sampled_from(
            ["", ",", "data", "data,", "data, tmp", "pillion-state", "pillion-hook,pillion-state"]
        ),
        "other.example/thing": st.text(max_size=5),
    },
)


def _spec(containers: list[Any], init: list[Any] | None, rest: dict[str, Any]) -> dict[str, Any]:
    names = {one["name"] for one in containers}
    spec = {"containers": containers, **rest}
    if init is not None:
        kept = {one["name"]: one for one in init if one["name"] not in names}
        if not any(name == "pillion" and one.get("restartPolicy") for name, one in kept.items()):
            spec["initContainers"] = list(kept.values())
    return spec


SPEC = st.builds(
    _spec,
    st.lists(CONTAINER, min_size=1, max_size=3, unique_by=lambda one: one["name"]),
    st.none() | st.lists(SIDECAR, max_size=2),
    st.fixed_dictionaries(
        {},
        optional={
            "volumes": some(
                st.lists(
                    st.fixed_dictionaries({"name": VOLUMES, "emptyDir": st.just({})}),
                    max_size=3,
                    unique_by=lambda one: one["name"],
                )
            ),
            "terminationGracePeriodSeconds": st.sampled_from([0, 1, 10, 30, 300]),
            "securityContext": some(
                st.just({"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
            ),
            "restartPolicy": st.sampled_from(["Always", "Never"]),
            "hostNetwork": st.just(False),
            "resources": st.just({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}),
        },
    ),
)
PODS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"labels": LABELS}, optional={"annotations": some(ANNOTATIONS)}),
        "spec": SPEC,
    }
)
"""Pods whose form is right; most of them are injected."""


def _broken(pod: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    found = dict(pod)
    key = path[0]
    inner = found.get(key)
    if len(path) > 1 and isinstance(inner, dict):
        found[key] = _broken(inner, path[1:], value)
    elif len(path) > 1 and isinstance(inner, list) and inner and isinstance(inner[0], dict):
        found[key] = [_broken(inner[0], path[1:], value), *inner[1:]]
    else:
        found[key] = value
    return found


BROKEN = st.builds(
    _broken,
    PODS,
    st.sampled_from(
        [
            ["metadata"],
            ["metadata", "labels"],
            ["metadata", "annotations"],
            ["spec"],
            *(
                [
                    ["spec", key]
                    for key in ("containers", "initContainers", "volumes", "hostNetwork", "os", "affinity")
                ]
            ),
            ["spec", "terminationGracePeriodSeconds"],
            ["spec", "ephemeralContainers"],
            *(
                ["spec", "containers", key]
                for key in ("name", "env", "ports", "volumeMounts", "lifecycle", "livenessProbe", "envFrom")
            ),
            ["spec", "resources"],
            ["spec", "containers", "resources"],
            ["spec", "containers", "resources", "limits"],
            ["spec", "containers", "env", "value"],
            ["spec", "containers", "env", "valueFrom"],
            ["spec", "containers", "ports", "containerPort"],
            ["spec", "containers", "ports", "protocol"],
            ["spec", "containers", "ports", "name"],
            ["spec", "containers", "volumeMounts", "mountPath"],
            ["spec", "containers", "lifecycle", "preStop"],
            ["spec", "initContainers", "restartPolicy"],
            ["metadata", "annotations", "pillion.dev/injected"],
            ["metadata", "annotations", "pillion.dev/port"],
            ["metadata", "annotations", "dapr.io/enabled"],
            ["metadata", "annotations", "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"],
            ["metadata", "labels", "pillion.dev/inject"],
        ]
    ),
    JSON,
)
"""The same with one thing that is anything at all."""
