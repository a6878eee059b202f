"""helm, and the values of what is installed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands import CommandError, run
from tests.kubernetes.images import ROOT

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Helm:
    """helm for one cluster."""

    program: str
    kubeconfig: Path

    def __call__(self, *argv: str, given: str | None = None, within: float = 600) -> str:
        """helm's output. Raises CommandError."""
        return run(self.program, *argv, f"--kubeconfig={self.kubeconfig}", given=given, within=within)

    def install(self, release: str, chart: str, namespace: str, values: Values, *options: str) -> str:
        """Install a chart of this checkout or upgrade its release, and wait until all of it is ready."""
        return self(
            "upgrade", "--install", release, str(ROOT / "charts" / chart), f"--namespace={namespace}",
            "--values=-", "--wait", "--timeout=5m", *options, given=json.dumps(values),
        )  # fmt: skip

    def template(self, release: str, chart: str, namespace: str, values: Values, *options: str) -> str:
        """What a release would be made of."""
        return self(
            "template", release, str(ROOT / "charts" / chart), f"--namespace={namespace}", "--values=-",
            *options, given=json.dumps(values),
        )  # fmt: skip

    def uninstall(self, release: str, namespace: str) -> None:
        """Take a release out, if it is there."""
        self("uninstall", release, f"--namespace={namespace}", "--ignore-not-found", "--wait", "--timeout=5m")

    def test(self, release: str, namespace: str) -> str:
        """``helm test``."""
        return self("test", release, f"--namespace={namespace}", "--timeout=3m")

    def refusal(self, release: str, chart: str, namespace: str, values: Values) -> str:
        """What helm says against an installation that must fail."""
        try:
            self.install(release, chart, namespace, values)
        except CommandError as error:
            return str(error)
        raise AssertionError(f"helm installed {release}, which it should have refused")
