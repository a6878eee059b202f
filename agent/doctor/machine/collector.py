"""Where spans go."""

from agent.doctor.finding import Finding, ok, warning

ID = "tracing.collector"
HINTS = {
    404: "That is no collector's path: give an OTLP/HTTP endpoint, of Jaeger usually port 4318, as tracing.endpoint.",
    405: "That is no collector's path: give an OTLP/HTTP endpoint, of Jaeger usually port 4318, as tracing.endpoint.",
    401: "It wants credentials, which Pillion does not send: put a collector between that adds them.",
    403: "It wants credentials, which Pillion does not send: put a collector between that adds them.",
    415: "It does not take OTLP/HTTP: switch that on, or put a collector between.",
}
AWAY = "Start it, or mend tracing.endpoint; services go on without it, and spans of this time are lost."


def answered(where: str, status: int, kind: str = "application/json") -> Finding:
    """``tracing.collector`` that said something to an empty batch; ``kind`` is the type of what it said.

    Jaeger's page answers whatever it is asked with 200 and itself.
    """
    subject = f"the collector of spans at {where}"
    if 200 <= status < 300 and kind == "text/html":
        return warning(ID, subject, "what answers is a page, not a collector", HINTS[404])
    if 200 <= status < 300:
        return ok(ID, subject, "it takes spans")
    todo = HINTS.get(status, "See its log; spans are lost until it takes them.")
    return warning(ID, subject, f"it refuses spans with {status}", todo)


def away(where: str, reason: str) -> Finding:
    """``tracing.collector`` that said nothing."""
    return warning(ID, f"the collector of spans at {where}", f"it does not answer: {reason}", AWAY)
