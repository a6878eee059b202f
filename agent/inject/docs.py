"""The table of annotations in docs/injection.md, from the declarations: ``python -m agent.inject.docs PAGE``."""

import re
import sys
from pathlib import Path

from agent.config import fields, values
from agent.config.docs import default
from agent.inject.options import Option, options

BEGIN, END = "<!-- annotations: made by make docs -->", "<!-- end -->"

_NOTES = {
    "service": "Without it the label `app.kubernetes.io/name`, else `app`.",
    "port": "Without it the HTTP port that a container names; in a pod 0 means none: outbound only.",
    "carry": "In a pod: give every container the hook.",
    "upstreams": "In a pod an upstream's port is -1 or above 0; the containers get it as `PILLION_UPSTREAM_NAME`.",
}
"""What else is to say of an annotation than of its setting."""


def page(text: str) -> str:
    """The page with the table between its two marks as it is to be. Raises ValueError where the marks are missing."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"the page has no place for the table: {BEGIN} and {END}")
    return re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n{table()}\n{END}",
        text,
        flags=re.DOTALL,
    )


def table() -> str:
    """One line for each annotation."""
    head = ["| annotation | setting | default | allowed | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(one) for one in options())])


def _row(option: Option) -> str:
    shape = fields.by_key()["service.meta"].shape if option.name == "meta-*" else option.member.shape
    allowed = "text of at most 512 bytes" if option.name == "meta-*" else values.allowed(shape)
    said = default(option.member.default, shape)
    setting = "" if option.own else f"`{option.key}`"
    meaning = f"{option.member.description} {_NOTES.get(option.name, '')}".strip()
    cells = (f"`{option.annotation}`", setting, f"`{said}`" if said else "", allowed, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
