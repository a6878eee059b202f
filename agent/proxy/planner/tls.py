"""TLS at the gateway. Certificate and key never stand in the plan: Envoy gets them by name, over SDS."""

from agent.config.settings import Settings
from agent.model.address import Address
from agent.proxy.planner import headers
from agent.proxy.planner.fragments import Fragments, connection_manager
from agent.proxy.planner.listener import listener
from agent.proxy.snapshot import Resource

CERTIFICATE = "gateway-certificate"
"""The secret with certificate chain and key."""
CLIENTS = "gateway-clients"
"""The secret with the authorities of clients' certificates."""
REDIRECT = "redirect"
"""The listener that sends clients to https, and its routes."""
_CONTEXT = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def secure(door: Resource, settings: Settings) -> None:
    """Let a gateway's listener speak TLS only, where there is a certificate."""
    given = settings.gateway.tls
    if not given.certificate:
        return
    common: Resource = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [_secret(CERTIFICATE)],
    }
    context: Resource = {"@type": _CONTEXT, "common_tls_context": common}
    if given.client_ca:
        common["validation_context_sds_secret_config"] = _secret(CLIENTS)
        context["require_client_certificate"] = True
        manager = connection_manager(door, "gateway")
        manager["forward_client_cert_details"] = "SANITIZE_SET"
        manager["set_current_client_cert_details"] = {"subject": True, "uri": True, "dns": True}
    door["filter_chains"][0]["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": context,
    }


def _secret(name: str) -> Resource:
    # A stream of its own on the agent's socket: secrets are no part of a snapshot, which is shown and kept.
    retry = {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"}}
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", "retry_policy": retry}}],
    }
    config = {"api_config_source": source, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {"name": name, "sds_config": config}


def in_files(settings: Settings) -> list[Resource]:
    """The secrets by the names of their files, for an Envoy that no agent serves."""
    given = settings.gateway.tls
    if not given.certificate:
        return []
    pair = {"certificate_chain": {"filename": given.certificate}, "private_key": {"filename": given.key}}
    found: list[Resource] = [{"name": CERTIFICATE, "tls_certificate": pair}]
    if given.client_ca:
        found.append({"name": CLIENTS, "validation_context": {"trusted_ca": {"filename": given.client_ca}}})
    return found


def response_headers(settings: Settings) -> list[Resource]:
    """Strict-Transport-Security (RFC 6797), where it is wanted."""
    seconds = settings.gateway.tls.hsts
    return [headers.overwrite("strict-transport-security", f"max-age={seconds:.0f}")] if seconds else []


def redirection(settings: Settings, fragments: Fragments) -> tuple[dict[str, Resource], dict[str, Resource]]:
    """The listener without TLS that sends clients to the other, and its routes; nothing without an address."""
    address = settings.gateway.redirect
    if not (address and settings.gateway.tls.certificate):
        return {}, {}
    door = listener(
        "gateway",
        settings,
        fragments,
        name=REDIRECT,
        address=Address.parse(address),
        early=("own", "strangers"),
        service=settings.service.name or "gateway",
    )
    connection_manager(door, "gateway").pop("tracing", None)
    port = settings.gateway.redirect_port or Address.parse(settings.gateway.listen).port
    action = {"https_redirect": True, "port_redirect": port, "response_code": "PERMANENT_REDIRECT"}
    route = {"name": "to https", "match": {"prefix": "/"}, "redirect": action}
    host = {"name": REDIRECT, "domains": ["*"], "routes": [route]}
    return {REDIRECT: door}, {REDIRECT: {"name": REDIRECT, "virtual_hosts": [host]}}
