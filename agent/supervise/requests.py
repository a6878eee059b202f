"""The agent's requests, checked and carried out."""

from collections.abc import Callable

from agent.supervise.child import Answer, Child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_TIMEOUT = 86400.0


def carry_out(message: "dict[str, Any]", children: dict[str, Child], leaving: bool, answer: Answer) -> None:
    """Do what a request about a child asks for; ``answer`` gets None, or what is wrong with it.

    While the instance leaves nothing is started any more.
    """
    verb, name = str(message.get("do")), message.get("child")
    child = children.get(name) if isinstance(name, str) else None
    if verb not in VERBS:
        answer(f"unknown request {verb!r}; known: {', '.join(VERBS)}, state, ready, serving")
    elif child is None:
        answer(f"unknown child {name!r}; known: {', '.join(children)}")
    elif leaving and verb in {"start", "restart"}:
        answer("the instance is leaving, nothing is started any more")
    else:
        try:
            VERBS[verb](child, message, answer)
        except (KeyError, TypeError, ValueError) as error:
            answer(f"field missing or wrong: {error}")


def _start(child: Child, message: "dict[str, Any]", answer: Answer) -> None:
    child.start(_argv(message), _env(message), message.get("restart") is True, answer)


def _signal(child: Child, message: "dict[str, Any]", answer: Answer) -> None:
    signum = message["signum"]
    if type(signum) is not int or not 0 < signum < 65:
        raise ValueError("signum is no signal's number")
    child.signal(signum, answer)


def _stop(child: Child, message: "dict[str, Any]", answer: Answer) -> None:
    child.stop(_timeout(message), answer)


def _restart(child: Child, message: "dict[str, Any]", answer: Answer) -> None:
    child.restart(_argv(message), _env(message), _timeout(message), answer)


VERBS: "dict[str, Callable[[Child, dict[str, Any], Answer], None]]" = {
    "start": _start,
    "signal": _signal,
    "stop": _stop,
    "restart": _restart,
}


def _argv(message: "dict[str, Any]") -> list[str]:
    argv = message["argv"]
    if not isinstance(argv, list) or not argv or not all(_is_word(word) for word in argv):
        raise ValueError("argv is no list of strings with at least the program")
    return argv


def _env(message: "dict[str, Any]") -> dict[str, str]:
    env = message["env"]
    if not isinstance(env, dict) or not all(name and "=" not in name and _is_word(name) for name in env):
        raise ValueError("env is no object of names")
    if not all(_is_word(value) for value in env.values()):
        raise ValueError("env has a value that is no string")
    return env


def _is_word(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _timeout(message: "dict[str, Any]") -> float:
    timeout = message["timeout"]
    if not isinstance(timeout, int | float) or not timeout >= 0:
        raise ValueError("timeout is no number of seconds")
    return min(float(timeout), LONGEST_TIMEOUT)
