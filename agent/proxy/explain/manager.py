"""What a listener's connection manager does with a request before any route sees it."""

from dataclasses import dataclass, replace

from agent.proxy.explain import paths
from agent.proxy.explain.matching import port_start
from agent.proxy.explain.request import Request
from agent.proxy.snapshot import Resource

_SLASHES = "path_with_escaped_slashes_action"


@dataclass(frozen=True)
class Entered:
    """The request as the route tables see it, or why it gets no further."""

    request: Request
    status: int = 0
    """Of the connection manager's own answer; 0: the request goes on."""
    reason: str = ""


def entered(manager: Resource, request: Request) -> Entered:
    """Header and path rules of the manager, then the early header mutations, as far as routes can see them."""
    if request.path is not None:
        request, refusal = _path(manager, request)
        if refusal:
            return Entered(request, 400, refusal)
    kept, refusal = _underscores(manager, request)
    if refusal:
        return Entered(request, 400, refusal)
    request = replace(request, headers=kept)
    if manager.get("strip_trailing_host_dot"):
        request = replace(request, authority=without_dot(request.authority))
    if manager.get("strip_any_host_port"):
        request = replace(request, authority=request.authority[: port_start(request.authority)])
    return Entered(replace(request, headers=_early(manager, request)))


def without_dot(authority: str) -> str:
    """``orders.`` as ``orders``, ``orders.:80`` as ``orders:80``."""
    dot = authority.rfind(".")
    if dot >= 0 and (dot == len(authority) - 1 or authority[dot + 1] == ":"):
        return authority[:dot] + authority[dot + 1 :]
    return authority


def _path(manager: Resource, request: Request) -> tuple[Request, str]:
    path = request.path or "/"
    action = manager.get(_SLASHES, "KEEP_UNCHANGED")
    if paths.has_escaped_slash(path) and action == "REJECT_REQUEST":
        return request, "an escaped slash in the path is refused"
    if action.startswith("UNESCAPE"):
        path = paths.unescaped_slashes(path)
    if manager.get("normalize_path") and paths.is_refused(path):
        return request, "a zero byte in the path is refused"
    if manager.get("normalize_path"):
        path = paths.normalized(path)
    if manager.get("merge_slashes"):
        path = paths.merged(path)
    return replace(request, path=path), ""


def _underscores(manager: Resource, request: Request) -> tuple[tuple[tuple[str, str], ...], str]:
    action = manager.get("common_http_protocol_options", {}).get("headers_with_underscores_action", "ALLOW")
    found = [name for name, _ in request.headers if "_" in name]
    if found and action == "REJECT_REQUEST":
        return request.headers, f"a header name with an underscore ({found[0]}) is refused"
    return (request.without(found) if action == "DROP_HEADER" else request.headers), ""


def _early(manager: Resource, request: Request) -> tuple[tuple[str, str], ...]:
    """Without the headers that are removed before routing. Of those set here routes see none."""
    headers = request.headers
    for extension in manager.get("early_header_mutation_extensions", ()):
        for mutation in extension["typed_config"].get("mutations", ()):
            if "remove" in mutation:
                headers = tuple(one for one in headers if one[0] != mutation["remove"].lower())
            prefix = mutation.get("remove_on_match", {}).get("key_matcher", {}).get("prefix")
            if prefix:
                headers = tuple(one for one in headers if not one[0].startswith(prefix.lower()))
    return headers
