"""Objects of the Kubernetes API in the shape in which an API server gives them."""

import base64
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

IMAGE = "registry.example.com/pillion:0.2.0"


@cache
def authority(subject: str = "one", days: int = 365, ca: bool = True) -> str:
    """A certificate that signed itself, as Kubernetes holds it: base64 of PEM. Its key is thrown away."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / "ca.pem"
        argv = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        argv += ["-keyout", str(Path(folder) / "key.pem"), "-out", str(made), "-days", str(days)]
        argv += ["-subj", f"/CN={subject}", "-addext", f"basicConstraints=critical,CA:{str(ca).upper()}"]
        subprocess.run(argv, check=True, capture_output=True)
        return base64.b64encode(made.read_bytes()).decode()


def configuration(bundle: str | None = None, policy: str = "Fail", **changes: Any) -> dict[str, Any]:
    """The injector's webhook configuration."""
    client: dict[str, Any] = {
        "service": {"name": "pillion-injector", "namespace": "pillion", "path": "/mutate"}
    }
    if bundle is not None:
        client["caBundle"] = bundle
    webhooks = [
        {
            "name": f"by-{who}.revision-of-namespace.pillion.dev",
            "clientConfig": client,
            "failurePolicy": policy,
        }
        for who in ("namespace", "pod")
    ]
    return {"metadata": {"name": "pillion-injector"}, "webhooks": webhooks, **changes}


def foreign() -> dict[str, Any]:
    """Somebody else's."""
    return {
        "metadata": {"name": "istio"},
        "webhooks": [{"name": "sidecar.istio.io", "failurePolicy": "Ignore"}],
    }


def slices(*ready: bool | None) -> list[dict[str, Any]]:
    """The EndpointSlices of a Service."""
    return [
        {"endpoints": [{"conditions": {} if one is None else {"ready": one}} for one in ready]},
        {"endpoints": None},
    ]


def namespace(name: str, inject: str = "") -> dict[str, Any]:
    """A namespace."""
    return {"metadata": {"name": name, "labels": {"pillion.dev/inject": inject} if inject else {}}}


def sidecar(image: str = IMAGE, served: int = 8000) -> dict[str, Any]:
    """The sidecar's container; ``served`` is the application's port behind it."""
    ports = [
        {"name": "pillion-inbound", "containerPort": 15006},
        {"name": "pillion-probes", "containerPort": 15021},
    ]
    env = [
        {"name": "PILLION_SERVICE_NAME", "value": "x"},
        {"name": "PILLION_SERVICE_PORT", "value": str(served)},
    ]
    return {"name": "pillion", "image": image, "restartPolicy": "Always", "ports": ports, "env": env}


def client(node: str, ready: bool = True) -> dict[str, Any]:
    """A pod of ``daemons``."""
    made = pod(f"consul-client-{node}", "consul", nodeName=node)
    made["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "consul-client"}]
    made["status"]["conditions"] = [{"type": "Ready", "status": "True" if ready else "False"}]
    return made


def pod(name: str = "orders-1", within: str = "shop", **changes: Any) -> dict[str, Any]:
    """A running pod of a Flask service, not injected; ``changes`` replace parts of its spec."""
    spec = {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8000}]}], **changes}
    metadata = {"name": name, "namespace": within, "labels": {"app": "orders"}, "annotations": {}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}


def injected(
    name: str = "orders-1", within: str = "shop", ready: bool = True, image: str = IMAGE
) -> dict[str, Any]:
    """The same with its sidecar."""
    made = pod(name, within, initContainers=[{"name": "migrate"}, sidecar(image)])
    made["metadata"]["annotations"]["pillion.dev/injected"] = "{}"
    state = {"running": {}} if ready else {"waiting": {"reason": "ImagePullBackOff"}}
    made["status"]["initContainerStatuses"] = [
        {"name": "migrate"},
        {"name": "pillion", "ready": ready, "state": state},
    ]
    return made


def service(target: Any = None, port: int = 80, within: str = "shop", **selector: str) -> dict[str, Any]:
    """A Service in front of ``pod``."""
    one = {"port": port} if target is None else {"port": port, "targetPort": target}
    spec = {"selector": selector or {"app": "orders"}, "ports": [one]}
    return {"metadata": {"name": "orders", "namespace": within}, "spec": spec}


def node(name: str, kubelet: str) -> dict[str, Any]:
    """A node."""
    return {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": kubelet}}}


def daemons(wanted: int, ready: int, port: str = "hostPort", number: int = 8500) -> dict[str, Any]:
    """Consul's client agents."""
    spec = {"containers": [{"name": "consul", "ports": [{"containerPort": 8500, port: number}]}]}
    if port == "containerPort":
        spec["hostNetwork"] = True  # type: ignore[assignment]
    status = {"desiredNumberScheduled": wanted, "numberReady": ready}
    metadata = {"name": "consul-client", "namespace": "consul"}
    return {"metadata": metadata, "spec": {"template": {"spec": spec}}, "status": status}


def settings(
    mode: str = "agent", address: str = "http://$(HOST_IP):8500", image: str = IMAGE
) -> dict[str, Any]:
    """The injector's ConfigMap."""
    text = f"injector:\n  registry_mode: {mode}\n  consul_address: {address}\n  image: {image}\n"
    return {"metadata": {"name": "pillion-injector", "namespace": "pillion"}, "data": {"pillion.yaml": text}}
