"""YAML as a settings document: plain data only, small, without surprises.

Stricter than YAML allows: no aliases (a few lines of them can stand for gigabytes), no tags, no duplicate
keys. Closer to JSON than PyYAML's default: ``no`` and ``on`` are texts, so is a date, and so is a number with
leading zeros. JSON is YAML."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

LIMIT = 256 * 1024
"""Characters beyond which a document is refused."""

DEPTH = 20
"""Levels of nesting beyond which a document is refused; settings need eight."""


class UnreadableError(ValueError):
    """The text is no such document. The message is a clause that quotes nothing of the text: it may hold
    secrets."""


def parse(text: str) -> object:
    """The data in ``text``: mappings with text keys, lists, texts, numbers, booleans, None. Raises
    UnreadableError."""
    if len(text) > LIMIT:
        raise UnreadableError(f"is longer than {LIMIT // 1024} KiB")
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - derives from SafeLoader
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(said(error)) from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError("holds characters that YAML does not allow") from None


def said(error: yaml.MarkedYAMLError) -> str:
    """What the parser found, as a clause that quotes nothing of the text."""
    mark = error.problem_mark or error.context_mark
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    context = error.context or ""
    problem = error.problem or context
    # What a token is called is no text of theirs.
    said = re.sub(r"""['"](?!<[a-z ]+>').*['"]""", "…", problem, flags=re.DOTALL)
    return f"is not YAML{place}: {said}{_advice(problem, context)}"


def _advice(problem: str, context: str) -> str:
    if "alias" in context:
        return ' (a * of its own is written "*")'
    if r"'\t'" in problem:
        return " (it is a tab: indent by spaces)"
    if "stream end" in problem or "end of stream" in problem:
        return " (a [, a { or a quote above is never closed)"
    return ""


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise UnreadableError(
                f'has an alias (*name) at line {self.line + 1}; write the value itself, a * of its own as "*"'
            )
        self.depth += 1
        if self.depth > DEPTH:
            raise UnreadableError(f"is nested deeper than {DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise UnreadableError(
                    f"has a key at line {key.start_mark.line + 1} that is no text; write it in quotes"
                )
            if key.value in seen:
                raise UnreadableError(
                    f"has a key twice in one mapping, again at line {key.start_mark.line + 1}"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _tagged(_loader: yaml.SafeLoader, node: yaml.Node) -> object:
    raise UnreadableError(f"has a tag (!) at line {node.start_mark.line + 1}; write plain values")


_Loader.yaml_implicit_resolvers = {}
_CORE = {"null", "bool", "int", "float", "str", "seq", "map"}
for _tag in [tag for tag in _Loader.yaml_constructors if tag and tag.rpartition(":")[2] not in _CORE]:
    _Loader.add_constructor(_tag, _tagged)
_Loader.add_constructor(None, _tagged)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]{0,30})$"), list("-0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,4})?$"),
    list("-+.0123456789"),
)
