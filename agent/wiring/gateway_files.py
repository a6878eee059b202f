"""What a gateway reads from files: its certificate and the keys of its tokens."""

from functools import partial

from agent.config.settings import Settings
from agent.proxy import certificates, keyset
from agent.proxy.certificates import Certificates
from agent.proxy.planner import tls
from agent.proxy.reread import Reread
from agent.proxy.xds.secrets import SecretServer
from agent.runtime.component import Component
from agent.runtime.latest import Latest
from agent.wiring.base import Base
from agent.wiring.gateway_given import certificates_of, with_keys


class Files:
    """The files' contents at the start, and the components that read them again."""

    def __init__(self, base: Base) -> None:
        """Raises Misconfigured for what can't be used: an agent that starts so would serve nobody."""
        settings = base.settings
        self.components: tuple[Component, ...] = ()
        self.servers: tuple[SecretServer, ...] = ()
        self.keys = Latest(with_keys(settings).gateway.jwt.jwks)
        if settings.gateway.tls.certificate:
            self._serve_certificates(base, certificates_of(settings))
        if settings.gateway.jwt.jwks_file:
            self._follow_keys(base)

    def _serve_certificates(self, base: Base, first: Certificates) -> None:
        material = Latest(first)
        given = base.settings.gateway.tls
        self.components += (
            Reread(
                "certificates",
                partial(certificates.read, given),
                partial(certificates.judge, given),
                material.set,
                first=first,
                health=base.board.of("certificates"),
            ),
        )
        self.servers = (SecretServer(tls.CERTIFICATE, tls.CLIENTS, material),)

    def completed(self, settings: Settings) -> Settings:
        """The settings with the token keys as they are now."""
        return keyset.given(settings, self.keys.value) if settings.gateway.jwt.jwks_file else settings

    def _follow_keys(self, base: Base) -> None:
        file = base.settings.gateway.jwt.jwks_file
        self.components += (
            Reread(
                "token_keys",
                partial(keyset.read, file),
                partial(keyset.judge, file),
                self.keys.set,
                first=self.keys.value,
                health=base.board.of("token_keys"),
            ),
        )
