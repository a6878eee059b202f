"""The supervisor's command line: ``--spec-fd N`` and nothing else.

Run by path with ``python -I -S`` it needs neither site nor environment, starts fastest and stays smallest.
"""

import os
import sys

if not __package__:  # run by path: ours comes last, so that nothing beside it shadows the standard library
    sys.path.append(os.path.abspath(__file__).rpartition("/agent/")[0])  # noqa: PTH100 - pathlib costs memory

from agent.supervise import lock, spec
from agent.supervise.loop import Loop
from agent.supervise.notice import Notice


def main(words: list[str]) -> int:
    """Run the supervisor; returns the exit code."""
    if len(words) != 2 or words[0] != "--spec-fd" or not words[1].isdecimal():
        return _refuse("usage: python -m agent.supervise --spec-fd N", 2)
    try:
        orders = spec.read(int(words[1]))
        held = lock.take(orders.directory)
    except (lock.Taken, ValueError) as error:
        return _refuse(str(error), 1)
    except OSError as error:
        return _refuse(f"the state folder can't be used: {error}", 1)
    _close_to_children()
    try:
        return Loop(orders, Notice.given()).run()
    finally:
        os.close(held)


def _close_to_children() -> None:
    """Let children inherit nothing of what this process was given, beyond the standard streams."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        descriptor = int(name)
        if descriptor > 2:
            try:
                os.set_inheritable(descriptor, False)
            except OSError:
                pass  # the descriptor of the listing itself


def _refuse(sentence: str, code: int) -> int:
    os.write(2, f"pillion: {sentence}\n".encode(errors="backslashreplace"))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
