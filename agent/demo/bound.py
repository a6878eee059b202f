"""Runs a program that ends with the process that started it: ``python bound.py PARENT USER PROGRAM
ARGUMENTS``.

A program of its own because the kernel's request must be made between fork and exec, and after the change of
user, which clears it. PARENT is the starter's process id or ``-`` to live on without it, USER a user id or
``-`` to stay who we are.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From prctl(2): the signal that we get when the thread that started us ends."""


def main(parent: str, user: str, *argv: str) -> None:
    """Become the program. Raises OSError when it can't be executed."""
    if user != "-":
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    if parent != "-":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            return
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
