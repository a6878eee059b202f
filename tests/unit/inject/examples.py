"""A small pod, and what is asked of it."""

import re
from collections.abc import Mapping
from typing import Any

from agent.config.settings import Settings
from agent.inject.injection import Namespace, Outcome, inject
from tests.unit.inject.properties import OPTED_IN


def pod(
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    **container: Any,
) -> dict[str, Any]:
    """A pod of a service orders; annotations without their prefix."""
    app = {"name": "app", "image": "orders:1", "ports": [{"containerPort": 8000}], **container}
    return {
        "metadata": {
            "labels": {"app": "orders", **(labels or {})},
            "annotations": {f"pillion.dev/{name}": text for name, text in (annotations or {}).items()},
        },
        "spec": {"containers": [app], **(spec or {})},
    }


def outcome(one: dict[str, Any], space: Namespace = OPTED_IN, **injector: Any) -> Outcome:
    """What becomes of the pod, with these settings of the injector."""
    return inject(one, space, Settings(injector=type(Settings().injector)(**injector)))


def sidecar(one: dict[str, Any], space: Namespace = OPTED_IN, **injector: Any) -> dict[str, Any]:
    """The sidecar that the pod gets."""
    found: dict[str, Any] = outcome(one, space, **injector).pod["spec"]["initContainers"][0]
    return found


def told(container: dict[str, Any]) -> dict[str, Any]:
    """A container's environment by name: the value, or where it comes from."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def expanded(environment: Mapping[str, Any], **known: str) -> dict[str, str]:
    """The variables with a value as the kubelet gives them: $(NAME) is replaced by what is known, $$ means $."""
    form = re.compile(r"\$\$|\$\(([^()]*)\)")
    return {
        name: form.sub(lambda one: "$" if one[0] == "$$" else known.get(one[1], one[0]), value)
        for name, value in environment.items()
        if isinstance(value, str)
    }


def application(one: dict[str, Any], **injector: Any) -> dict[str, Any]:
    """The application's container after."""
    found: dict[str, Any] = outcome(one, **injector).pod["spec"]["containers"][0]
    return found
