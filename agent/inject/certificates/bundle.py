"""What the webhook configuration says of where the webhook is, and the CA in it. Pure.

Source: Kubernetes API reference, MutatingWebhookConfiguration v1, "WebhookClientConfig".
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Configuration:
    """The parts of a MutatingWebhookConfiguration that matter here."""

    webhooks: tuple[str, ...]
    """Their names, in order."""
    hosts: tuple[str, ...]
    """The names that the API server expects in our certificate, sorted."""
    bundles: tuple[str, ...]
    """The ``caBundle`` of each webhook as it stands there, base64."""


def read(configuration: Mapping[str, Any]) -> Configuration:
    """Raises ValueError for one that has no webhook or says of one not where it is."""
    webhooks = configuration.get("webhooks")
    if not isinstance(webhooks, list) or not webhooks:
        raise ValueError("has no webhooks")
    places = [_client(webhook) for webhook in webhooks]
    hosts = sorted({host for place in places for host in _hosts(place)})
    return Configuration(
        tuple(str(webhook.get("name", "")) for webhook in webhooks),
        tuple(hosts),
        tuple(str(place.get("caBundle") or "") for place in places),
    )


def holds(configuration: Configuration, bundle: bytes) -> bool:
    """Whether every webhook of it trusts exactly this bundle."""
    return set(configuration.bundles) == {base64.b64encode(bundle).decode()}


def repair(configuration: Configuration, bundle: bytes) -> list[dict[str, Any]]:
    """The JSON patch that puts the bundle into every webhook which has another one.

    It fails, instead of writing into another's webhook, where the list was changed meanwhile.
    """
    wanted = base64.b64encode(bundle).decode()
    operations: list[dict[str, Any]] = []
    for index, name in enumerate(configuration.webhooks):
        if configuration.bundles[index] != wanted:
            at = f"/webhooks/{index}"
            operations.append({"op": "test", "path": f"{at}/name", "value": name})
            operations.append({"op": "add", "path": f"{at}/clientConfig/caBundle", "value": wanted})
    return operations


def _client(webhook: object) -> Mapping[str, Any]:
    place = webhook.get("clientConfig") if isinstance(webhook, dict) else None
    if not isinstance(place, dict):
        raise ValueError("has a webhook without a clientConfig")  # noqa: TRY004 - what others wrote
    return place


def _hosts(place: Mapping[str, Any]) -> Iterator[str]:
    """The API server asks for NAME.NAMESPACE.svc of a Service, and for the host of a URL."""
    service, url = place.get("service"), place.get("url")
    if isinstance(service, dict) and service.get("name") and service.get("namespace"):
        name = f"{service['name']}.{service['namespace']}"
        yield from (f"{name}.svc", f"{name}.svc.cluster.local", name)
    elif isinstance(url, str) and (host := _host(url)):
        yield host
    else:
        raise ValueError("has a webhook whose clientConfig has neither a service nor a url")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
