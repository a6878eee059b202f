"""Values written as one text, in a flag or a variable, turned into what a file would hold."""

import re

from agent.config import document
from agent.config.shapes import Many, Maybe, Named, Number, Shape, Switch, Text

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
    """The data that ``text`` stands for; a text that fits the shape in no way is returned as it is, for the reader to refuse.

    Raises document.Unreadable for a structured value that is not YAML or JSON.
    """
    match shape:
        case Switch():
            return _WORDS.get(text.strip().lower(), text)
        case Number():
            return _number(text.strip())
        case Many(item=Text() | Number()) if not text.lstrip().startswith("["):
            return [one.strip() for one in text.split(",") if one.strip()]
        case Named(names=True) if not text.lstrip().startswith(("{", "[")) and not re.search(r":\s", text):
            return text
        case Named(value=Text()) if not text.lstrip().startswith("{"):
            return _pairs(text)
        case Many() | Named():
            return document.parse(text) if text.strip() else ([] if isinstance(shape, Many) else {})
        case Maybe():
            return from_text(shape.value, text)
        case _:
            return text


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
            raise document.Unreadable("has a part that is not NAME=VALUE")
        if key.strip() in found:
            raise document.Unreadable("has a name twice")
        found[key.strip()] = value.strip()
    return found
