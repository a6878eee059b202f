"""What a build needs to know of this machine and nothing else may: whom it trusts, and where its pip looks."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
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
    """What this machine's pip was told, by its files and by the environment, without their prefixes."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = (line.partition("=") for line in said.stdout.splitlines())
    return {name.rpartition(".")[2]: value.strip("'\"") for name, _, value in lines}


def pip_conf(settings: Mapping[str, str]) -> str:
    """pip's file for a stand-in: the system's certificates, and this machine's indexes.

    An index whose URL holds a password is left out, for it would lie in the image for good.
    """
    kept = [(name, settings[name]) for name in INDEXES if name in settings]
    lines = [f"{name} = {_plain(value)}" for name, value in kept if not _has_password(value.split())]
    return "\n".join(["[global]", f"cert = {BUNDLE}", *lines]) + "\n"


def _has_password(urls: Iterable[str]) -> bool:
    return any(urlsplit(url).password for url in urls)


def _plain(value: str) -> str:
    """A list of several, which pip shows with \\n between them, as its file takes it."""
    return json.dumps(value).strip('"').replace("\\\\n", " ").replace("\\n", " ")
