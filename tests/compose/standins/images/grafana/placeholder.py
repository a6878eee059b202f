"""A placeholder for Grafana: reads its provisioning, ends when that can't be right, else says what it is."""

import json
import signal
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

PROVISIONING = Path("/etc/grafana/provisioning")
TEXT = "This is a placeholder, not Grafana. It has read the data sources and dashboards, and shows none.\n"


def problems() -> Iterator[str]:
    """What Grafana could not use, a sentence each."""
    for path in sorted(PROVISIONING.rglob("*.y*ml")):
        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, ValueError, yaml.YAMLError) as error:
            yield f"{path} can't be read: {error}"
            continue
        if not isinstance(content, dict):
            yield f"{path} holds no settings"
        elif path.parent.name == "datasources":
            yield from sources(path, content.get("datasources"))
        elif path.parent.name == "dashboards":
            yield from providers(path, content.get("providers"))


def sources(path: Path, listed: Any) -> Iterator[str]:
    """What is wrong with a file of data sources."""
    for source in listed or ():
        missing = {"name", "type", "url"} - set(source)
        if missing:
            yield f"{path}: a data source lacks {', '.join(sorted(missing))}"
    if not listed:
        yield f"{path} lists no data sources"


def providers(path: Path, listed: Any) -> Iterator[str]:
    """What is wrong with a file that says where dashboards lie, and with the dashboards there."""
    for provider in listed or ():
        folder = Path(provider.get("options", {}).get("path", "/nowhere"))
        found = sorted(folder.rglob("*.json"))
        if not found:
            yield f"{path}: there are no dashboards in {folder}"
        for file in found:
            yield from dashboard(file)
    if not listed:
        yield f"{path} lists no providers"


def dashboard(file: Path) -> Iterator[str]:
    """What is wrong with one dashboard."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        yield f"{file} can't be read: {error}"
        return
    if not isinstance(content, dict) or not content.get("title") or not content.get("panels"):
        yield f"{file} is no dashboard: it has no title or no panels"


class Answer(BaseHTTPRequestHandler):
    """Health, and one text for everything else."""

    def do_GET(self) -> None:
        """Answer a request."""
        if self.path == "/api/health":
            self._send(200, "application/json", json.dumps({"placeholder": True, "message": TEXT.strip()}))
        else:
            self._send(200 if self.path == "/" else 404, "text/plain; charset=utf-8", TEXT)

    def _send(self, status: int, kind: str, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> int:
    """1 when the provisioning is wrong; else serve until a signal."""
    found = list(problems())
    sys.stderr.write("".join(f"{problem}\n" for problem in found) or TEXT)
    if found:
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", 3000), Answer).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
