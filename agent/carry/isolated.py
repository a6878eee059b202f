"""Whether a command starts a Python that will not look at PYTHONPATH, and so never finds the hook."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

MEANING = {
    "I": "-I (isolated mode), which ignores PYTHONPATH",
    "E": "-E, which ignores PYTHONPATH",
    "S": "-S, which starts without the module site",
}
"""The options after which a Python never imports a sitecustomize from PYTHONPATH."""
WITH_VALUE = frozenset("WXQ")
"""One-letter options that take the next argument when nothing follows the letter."""
ENV_WITH_VALUE = frozenset({"-u", "--unset", "-C", "--chdir"})
DEPTH = 5
"""How many programs may start one another before the look ends."""
SHEBANG = 512

First = Callable[[str], bytes]
"""The beginning of the file of a program, by what the command calls it; raises OSError."""


def beginning(environ: Mapping[str, str]) -> First:
    """Read programs where PATH finds them."""

    def read(program: str) -> bytes:
        path = shutil.which(program, path=environ.get("PATH"))
        if path is None:
            raise FileNotFoundError(program)
        with Path(path).open("rb") as file:
            return file.read(SHEBANG)

    return read


def why(argv: Sequence[str], first: First) -> str:
    """Why the hook can't be found by the Python that the command starts, as the end of a sentence; empty when
    nothing speaks against it.

    Looks through ``env`` and a script's first line. What a shell or another program starts in turn is not seen:
    the missing response header tells it later.
    """
    words = list(argv)
    for _ in range(DEPTH):
        if not words:
            return ""
        name = os.path.basename(words[0])  # noqa: PTH119 a name on PATH is no path
        if name == "env":
            cleared, words = _through_env(words[1:])
            if cleared:
                return f"env {cleared}, which takes PYTHONPATH away"
        elif name.startswith(("python", "pypy")):
            return _of_python(words)
        else:
            words = _of_script(words, first)
    return ""


def _of_python(words: Sequence[str]) -> str:
    for letter in _letters(words[1:]):
        if letter in MEANING:
            return f"{words[0]} {MEANING[letter]}"
    return ""


def _letters(words: Sequence[str]) -> str:
    """The one-letter options before the program itself."""
    found, skip = "", False
    for word in words:
        if skip:
            skip = False
            continue
        if word.startswith("--"):
            skip = word == "--check-hash-based-pycs"
            continue
        if not word.startswith("-") or word == "-":
            return found
        for at, letter in enumerate(word[1:], 2):
            found += letter
            if letter in "cm":
                return found  # what follows is the program
            if letter in WITH_VALUE:
                skip = at == len(word)
                break
    return found


def _through_env(words: Sequence[str]) -> tuple[str, list[str]]:
    """What takes the variable away, and the command that ``env`` starts."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in {"-i", "-", "--ignore-environment"}:
            return word, rest
        if word in {"-S", "--split-string"} and rest:
            rest[:1] = rest[0].split()
        elif word.startswith("-S"):
            rest[:0] = word[2:].split()
        elif word in ENV_WITH_VALUE and rest:
            if rest.pop(0) == "PYTHONPATH":
                return f"{word} PYTHONPATH", rest
        elif word in {"-uPYTHONPATH", "--unset=PYTHONPATH"}:
            return word, rest
        elif word.startswith("PYTHONPATH="):
            return word.partition("=")[0] + "=…", rest
        elif not word.startswith("-") and "=" not in word:
            return "", [word, *rest]
    return "", []


def _of_script(words: Sequence[str], first: First) -> list[str]:
    """The command that the kernel makes of a script's first line; empty when it is no script."""
    try:
        line = first(words[0]).partition(b"\n")[0]
    except (OSError, ValueError):
        return []
    if not line.startswith(b"#!"):
        return []
    program, _, argument = line[2:].decode("utf-8", "replace").strip().partition(" ")
    return [program, *([argument.strip()] if argument.strip() else []), *words]
