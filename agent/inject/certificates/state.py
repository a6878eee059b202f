"""What readiness is made of."""

from dataclasses import dataclass
from datetime import datetime

from agent.inject.certificates.making import Span


@dataclass(frozen=True)
class State:
    """The certificate in use, and whether the API server trusts it."""

    span: Span | None = None
    """None: there is none yet."""
    trusted: bool = False
    """Whether the webhook configuration holds the CA; true where that is not ours to do."""
    problem: str = "there is no certificate yet"
    """Why it is as it is, where something is wrong; one sentence."""

    def wrong(self, now: datetime) -> str:
        """Why no review would come through; empty when one would."""
        if self.span is None:
            return self.problem or "there is no certificate yet"
        if not self.span.holds(now):
            begins, ends = (f"{time:%Y-%m-%d %H:%M}" for time in (self.span.begins, self.span.ends))
            return f"the certificate is valid from {begins} to {ends} UTC only"
        if not self.trusted:
            return self.problem or "the webhook configuration does not hold the CA yet"
        return ""
