"""Where the API server is, how it is known, and who asks."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.config.secret import Secret
from agent.runtime.errors import Misconfigured, Permanent, Problem, Transient
from agent.runtime.words import words

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds its service account. Source: Kubernetes, "Accessing the Kubernetes API from a Pod"."""


class _Read:
    """The TLS context of files as they were read last."""

    def __init__(self) -> None:
        self._seen: tuple[tuple[int, int], ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self, ca: str, cert: str, key: str) -> ssl.SSLContext:
        seen = tuple(_state(name) for name in (ca, cert, key) if name)
        if self._context is None or seen != self._seen:
            made = ssl.create_default_context(cafile=ca or None)
            # Python 3.13 and later ask of a CA what many clusters' own lack, such as the extension for key usage.
            # Kubernetes' clients in Go don't.
            made.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if cert:
                made.load_cert_chain(cert, key or None)
            self._context, self._seen = made, seen
        return self._context


@dataclass(frozen=True)
class Access:
    """Like a context of a kubeconfig: the server's URL, its CA, and a token or a client certificate."""

    url: str
    """Without a path: ``https://10.96.0.1:443``."""
    token: Secret | None = None
    """Read again when its file changes: a service account's token lives for an hour."""
    ca_file: str = ""
    """PEM; empty: the system's."""
    cert_file: str = ""
    key_file: str = ""
    _read: _Read = field(default_factory=_Read, compare=False, repr=False)

    def headers(self) -> dict[str, str]:
        """What says who asks. Raises Transient while the token's file never held one."""
        return {"Authorization": f"Bearer {self.token.read()}"} if self.token else {}

    def tls(self) -> ssl.SSLContext | bool:
        """What the server is known by, made anew when one of the files changed; raises Transient."""
        if not self.url.startswith("https:"):
            return True
        try:
            return self._read.context(self.ca_file, self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise Transient(
                f"reading {files} for the API server {self.url} failed: {words(error)}"
            ) from error


def _state(name: str) -> tuple[int, int]:
    found = Path(name).stat()
    return found.st_ino, found.st_mtime_ns


def in_cluster(environ: Mapping[str, str], folder: Path) -> Access:
    """The access that a pod has by its service account, whose files are in ``folder``. Raises Misconfigured."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        wrong = "is not set, so this is no pod of a cluster: run the injector in one, as the chart does"
        raise Misconfigured([Problem("KUBERNETES_SERVICE_HOST", wrong)])
    token, authority = folder / "token", folder / "ca.crt"
    missing = [path.name for path in (token, authority) if not path.is_file()]
    if missing:
        wrong = f"is {folder}, where there is no {' and no '.join(missing)}"
        allowed = "a pod with a service account and automountServiceAccountToken"
        raise Misconfigured([Problem("webhook.account_dir", wrong, allowed)])
    literal = f"[{host}]" if ":" in host else host
    return Access(
        f"https://{literal}:{port}",
        Secret("the service account's token", "", str(token)),
        str(authority),
    )


def own_namespace(folder: Path) -> str:
    """The namespace that the service account's folder names. Raises Permanent."""
    file = folder / "namespace"
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(f"reading {file} failed: {words(error)}; set webhook.namespace") from error
