"""What a build needs to know of this machine and nothing else may: whom it trusts, and where its pip looks."""

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
"""All certificates that this machine trusts, where Debian and its kin put them."""
INDEXES = ("index-url", "extra-index-url", "trusted-host")
"""The settings of pip that say where packages come from."""
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def certificates(bundle: str) -> list[str]:
    """The certificates of a PEM bundle, one text each, line ends alike."""
    return ["\n".join(found.split("\n")) + "\n" for found in CERTIFICATE.findall(bundle.replace("\r", ""))]


def beyond(trusted: str, known: str) -> list[str]:
    """The certificates in the first bundle that the second lacks: a proxy's, a company's."""
    have = set(certificates(known))
    return [certificate for certificate in certificates(trusted) if certificate not in have]


def bundle() -> str:
    """The certificates that this machine trusts; empty where it keeps them elsewhere."""
    return BUNDLE.read_text() if BUNDLE.exists() else ""


def pip_settings() -> dict[str, str]:
    """What this machine's pip was told, by its files and by the environment; empty where there is no pip."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return settings_of(said.stdout) if said.returncode == 0 else {}


def settings_of(listed: str) -> dict[str, str]:
    """``pip config list`` as value by name, sections dropped; as for pip, the environment wins over files."""
    lines = [line.partition("=") for line in listed.splitlines()]
    lines.sort(key=lambda line: line[0].startswith(":env:"))
    return {name.rpartition(".")[2]: str(ast.literal_eval(value)) for name, _, value in lines}


def pip_conf(settings: Mapping[str, str]) -> str:
    """pip's file for a stand-in: the system's certificates, and this machine's indexes.

    An index whose URL holds a password is left out, for it would lie in the image for good.
    """
    kept = [(name, settings[name].split()) for name in INDEXES if name in settings]
    lines = [f"{name} = {' '.join(value)}" for name, value in kept if not any(map(_has_password, value))]
    return "\n".join(["[global]", f"cert = {BUNDLE}", *lines]) + "\n"


def _has_password(url: str) -> bool:
    return urlsplit(url).password is not None
