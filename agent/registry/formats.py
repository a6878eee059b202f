"""The forms in which configuration is written to a file. Pure."""

import json
import re
from collections.abc import Callable, Mapping

import yaml

from agent.registry import environment

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")

Values = Mapping[str, str]


def render(form: str, values: Values) -> bytes:
    """The file's content in the form that the setting ``store.format`` names."""
    return _FORMS[form](values).encode()


def _dotenv(values: Values) -> str:
    """One ``NAME=value`` for each key that makes a name;
    single quotes, as dotenv readers expand nothing in them.
    """
    lines: dict[str, str] = {}
    for key, text in sorted(values.items()):
        try:
            name = environment.name_of(key)
        except ValueError:
            continue
        lines.setdefault(name, f"{name}={_quoted(text)}\n")
    return "".join(lines[name] for name in sorted(lines))


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _json(values: Values) -> str:
    return json.dumps(dict(values), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _yaml(values: Values) -> str:
    text: str = yaml.safe_dump(dict(values), default_flow_style=False)
    return text


_FORMS: Mapping[str, Callable[[Values], str]] = {"dotenv": _dotenv, "json": _json, "yaml": _yaml}
