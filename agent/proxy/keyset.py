"""The public keys of a gateway's tokens, from the file that ``gateway.jwt.jwks_file`` names."""

from pathlib import Path

import msgspec

from agent.config.checks.gateway import wrong_jwks
from agent.config.settings import Settings


def read(path: str) -> str:
    """What the file holds now, whatever it is; blocks. Raises OSError."""
    return Path(path).read_text(encoding="utf-8", errors="replace")


def judge(path: str, text: str) -> None:
    """Raise ValueError with a sentence for what is no set of public keys."""
    if wrong := wrong_jwks(text):
        raise ValueError(f"{path} {wrong}")


def given(settings: Settings, keys: str) -> Settings:
    """The settings with this key set in place of the file's name."""
    jwt = msgspec.structs.replace(settings.gateway.jwt, jwks=keys)
    return msgspec.structs.replace(settings, gateway=msgspec.structs.replace(settings.gateway, jwt=jwt))
