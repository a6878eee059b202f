"""Values written as one text, in a flag or a variable, turned into what a file would hold."""

import re

from agent.config import document, values
from agent.config.problems import Report
from agent.config.shapes import Choice, Many, Named, Number, Shape, Switch, Text

_WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def from_text(shape: Shape, text: str) -> object:
    """The data that ``text`` stands for; what fits in no way is returned as it is.

    Raises document.UnreadableError for a structured value that is not YAML or JSON.
    """
    match shape:
        case Switch():
            return _WORDS.get(text.strip().lower(), text)
        case Number():
            return _number(text.strip())
        case Many():
            return _list(shape, text)
        case Named():
            return _mapping(shape, text)
    return text


def read(shape: Shape, text: str, place: str, report: Report) -> object:
    """The plain data that ``text`` stands for, checked as ``values.read`` does; what is wrong goes to ``report``."""
    try:
        raw = from_text(shape, text)
    except document.UnreadableError as error:
        pairs = ", such as a=1,b=2" if isinstance(shape, Named) and isinstance(shape.value, Text) else ""
        report.refuse(place, str(error), f"{values.allowed(shape)}{pairs}")
        return None
    return values.read(shape, raw, place, report)


def _list(shape: Many, text: str) -> object:
    if isinstance(shape.item, Text | Choice) and not text.lstrip().startswith("["):
        return [one.strip() for one in text.split(",") if one.strip()]
    return document.parse(text) if text.strip() else []


def _mapping(shape: Named, text: str) -> object:
    structured = text.lstrip().startswith(("{", "["))
    if shape.names and not structured and not re.search(r":(\s|$)", text):
        return text
    if isinstance(shape.value, Text) and not structured:
        return _pairs(text)
    return document.parse(text) if text.strip() else {}


def _number(text: str) -> object:
    if re.fullmatch(r"-?[0-9]{1,30}", text):
        return int(text)
    if re.fullmatch(r"-?([0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30})", text):
        return float(text)
    return text


def _pairs(text: str) -> object:
    found: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if not pair.strip():
            continue
        if not equals or not key.strip():
            raise document.UnreadableError("has a part that is not NAME=VALUE")
        if key.strip() in found:
            raise document.UnreadableError("has a name twice")
        found[key.strip()] = value.strip()
    return found
