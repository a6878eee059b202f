"""Header options. Values are templates to Envoy, so literal text is escaped here and nowhere else."""

from functools import lru_cache

from agent.proxy.snapshot import Resource


def literal(text: str) -> str:
    """Text that Envoy writes as it is. Raises ValueError for what no header value can hold."""
    if not text.isprintable() or not text.isascii():
        raise ValueError(f"{text!r} can't stand in a header")
    return text.replace("%", "%%")


def overwrite(name: str, template: str) -> Resource:
    """The header has this value, whatever it had before."""
    return _option(name, template, "OVERWRITE_IF_EXISTS_OR_ADD")


def if_absent(name: str, template: str) -> Resource:
    """The header has this value unless somebody set it already."""
    return _option(name, template, "ADD_IF_ABSENT")


def append(name: str, template: str) -> Resource:
    """One more value of a header that may have several."""
    return _option(name, template, "APPEND_IF_EXISTS_OR_ADD")


@lru_cache(256)  # a few options stand in thousands of routes
def _option(name: str, template: str, action: str) -> Resource:
    return {"header": {"key": name, "value": template}, "append_action": action}
