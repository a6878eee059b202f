"""Secrets for Envoy (SDS), beside ADS on the same socket and never in a snapshot: those are shown and kept on disk."""

import asyncio
from collections.abc import Mapping

import structlog
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from grpclib.const import Cardinality, Handler
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Stream

from agent.proxy.certificates import Certificates
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

SecretStream = Stream[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse]


class SecretServer:
    """Sends each stream the secrets for which it asks, and again when they change.

    Envoy puts a new certificate under the listener without touching it: connections go on, new ones get it.
    """

    def __init__(self, certificate: str, clients: str, material: Latest[Certificates]) -> None:
        """``certificate`` and ``clients`` are the names of the secrets, as listeners ask for them."""
        self._certificate = certificate
        self._clients = clients
        self._material = material

    def __mapping__(self) -> Mapping[str, Handler]:
        """The one method, by its path."""
        types = discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse
        return {METHOD: Handler(self._serve, Cardinality.STREAM_STREAM, *types)}

    async def _serve(self, stream: SecretStream) -> None:
        try:
            first = await stream.recv_message()
            if first is None:
                return
            writer = asyncio.create_task(
                self._write(stream, tuple(first.resource_names)), name="sds: secrets"
            )
            try:
                async for message in stream:
                    if message.HasField("error_detail"):
                        log.warning(
                            "envoy.refused", type="secret", message=message.error_detail.message[:2000]
                        )
            finally:
                writer.cancel()
                await asyncio.wait({writer})
        except (StreamTerminatedError, ConnectionError, DecodeError) as error:
            log.info("envoy.secrets_broken", error=f"{type(error).__name__}: {error}")

    async def _write(self, stream: SecretStream, names: tuple[str, ...]) -> None:
        number = 0
        async for material in self._material.values():
            number += 1
            known = self._secrets(material)
            found = [known[name] for name in names if name in known]
            response = discovery_pb2.DiscoveryResponse(
                version_info=str(number), nonce=str(number), type_url=URL
            )
            for secret in found:
                wrapped = any_pb2.Any()
                wrapped.Pack(secret)
                response.resources.append(wrapped)
            await stream.send_message(response)

    def _secrets(self, material: Certificates) -> Mapping[str, secret_pb2.Secret]:
        own, clients = secret_pb2.Secret(name=self._certificate), secret_pb2.Secret(name=self._clients)
        own.tls_certificate.certificate_chain.inline_bytes = material.chain
        own.tls_certificate.private_key.inline_bytes = material.key
        clients.validation_context.trusted_ca.inline_bytes = material.client_ca
        return {self._certificate: own, self._clients: clients}
