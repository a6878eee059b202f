"""What a gateway believes of those who come from outside: nothing, but what the settings say."""

from agent.config.settings import Settings
from agent.proxy.planner import direct, headers, jwt
from agent.proxy.snapshot import Resource

CLIENT = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
HOST = "%REQ(:AUTHORITY)%"
_AUTHORITY = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_TRACE = ("traceparent", "tracestate")


def distrust(manager: Resource, settings: Settings) -> None:
    """Fill in which of the headers of strangers are removed, and who decides what is traced."""
    given = settings.gateway
    manager["xff_num_trusted_hops"] = given.trusted_hops
    removed = jwt.claim_headers(given.jwt)
    if not given.trusted_hops:
        # Envoy would put the peer behind what the client said.
        removed += ["x-forwarded-for", "x-forwarded-proto"]
    tracing = manager.get("tracing")
    if given.trace == "restart" or (given.trace == "resample" and tracing is None):
        removed += _TRACE
    elif given.trace == "resample" and tracing is not None:
        config = tracing["provider"]["typed_config"]
        config["sampler"] = config["sampler"]["typed_config"]["wrapped_sampler"]
    early = manager["early_header_mutation_extensions"][0]["typed_config"]
    early["mutations"] = [*early["mutations"], *({"remove": name} for name in removed)]


def introduction() -> list[Resource]:
    """Request headers by which services learn of the client."""
    return [headers.overwrite("x-forwarded-host", HOST), headers.overwrite("x-real-ip", CLIENT)]


def refusals() -> list[Resource]:
    """Routes that answer what goes to no service.

    TRACE would show a page what the browser keeps from it (RFC 9110, 9.3.8). Two Host headers arrive as one with a
    comma, which services would read in different ways.
    """
    trace = {"name": ":method", "string_match": {"exact": "TRACE"}}
    odd = {"name": ":authority", "string_match": {"safe_regex": {"regex": _AUTHORITY}}, "invert_match": True}
    return [
        _refusal("trace", trace, 405, "Method not allowed", "The gateway does not forward TRACE."),
        _refusal("host", odd, 400, "Bad request", "Host is not one host name with at most a port."),
    ]


def _refusal(name: str, matcher: Resource, status: int, title: str, detail: str) -> Resource:
    match = {"prefix": "/", "headers": [matcher]}
    return direct.answer(match, status, direct.problem(status, title, detail), name=name)
