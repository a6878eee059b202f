"""Runs a command under the seccomp filters that a unit file asks for, where no systemd runs to do it.

``python sandbox.py UNIT COMMAND…``. It knows SystemCallFilter, RestrictAddressFamilies and
MemoryDenyWriteExecute, the settings that can break a program which works without them, and sets
no_new_privs. The groups of system calls are asked of systemd-analyze, the filters made by libseccomp: what
systemd itself uses.
"""

import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
UNSUPPORTED = 0x00050000 | errno.EAFNOSUPPORT
EQUAL, MASKED = 4, 7
"""SCMP_CMP_EQ and SCMP_CMP_MASKED_EQ."""
PR_SET_NO_NEW_PRIVS = 38
SHM_EXEC = 0o100000


class Comparison(ctypes.Structure):
    """scmp_arg_cmp: argument number, operator, and its one or two data."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def settings(unit: Path) -> list[tuple[str, str]]:
    """The unit file's assignments in order; a later one of the same name adds to it or replaces it."""
    lines = (line.partition("=") for line in unit.read_text().splitlines() if line[:1] not in "#[")
    return [(name, value) for name, _, value in lines if name]


def system_calls(group: str) -> set[str]:
    """The system calls of a group such as @system-service, with those of the groups in it."""
    if not group.startswith("@"):
        return {group}
    said = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    words = [line.strip() for line in said.stdout.splitlines()[1:]]
    return {name for word in words if word and word[0] != "#" for name in system_calls(word)}


def allowed(filters: list[str]) -> set[str]:
    """What several SystemCallFilter= leave: the first names what is allowed, ``~`` takes away."""
    left: set[str] = set()
    for value in filters:
        named = {name for group in value.lstrip("~").split() for name in system_calls(group)}
        left = left - named if value.startswith("~") else left | named
    return left


class Filter:
    """One libseccomp filter; loaded ones add up, and the strictest word counts."""

    def __init__(self, default: int) -> None:
        self._lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._lib.seccomp_init.restype = ctypes.c_void_p
        self._lib.seccomp_init.argtypes = [ctypes.c_uint32]
        self._context = ctypes.c_void_p(self._lib.seccomp_init(default))

    def rule(self, action: int, call: str, *comparisons: Comparison) -> None:
        """Answer a system call with ``action`` where all comparisons hold; an unknown call is none."""
        number = self._lib.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # not one of this machine's
            return
        array = (Comparison * len(comparisons))(*comparisons)
        code = self._lib.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(comparisons), array
        )
        if code != 0:
            raise OSError(-code, f"seccomp rule for {call}: {os.strerror(-code)}")

    def load(self) -> None:
        """Put it in force for this process and all that it starts."""
        code = self._lib.seccomp_load(self._context)
        if code != 0:
            raise OSError(-code, f"seccomp: {os.strerror(-code)}")


def filters(assignments: list[tuple[str, str]]) -> Iterator[Filter]:
    """The filters of a unit's assignments; the one that allows system calls last, as it may refuse seccomp."""
    given = dict(assignments)
    if given.get("MemoryDenyWriteExecute") == "yes":
        yield _write_or_execute()
    if families := given.get("RestrictAddressFamilies"):
        yield _families({int(getattr(socket, name)) for name in families.split()})
    calls = Filter(REFUSE)
    for name in sorted(allowed([value for key, value in assignments if key == "SystemCallFilter"])):
        calls.rule(ALLOW, name)
    yield calls


def _write_or_execute() -> Filter:
    one, both = Filter(ALLOW), mmap.PROT_WRITE | mmap.PROT_EXEC
    one.rule(REFUSE, "mmap", Comparison(2, MASKED, both, both))
    one.rule(REFUSE, "mprotect", Comparison(2, MASKED, mmap.PROT_EXEC, mmap.PROT_EXEC))
    one.rule(REFUSE, "pkey_mprotect", Comparison(2, MASKED, mmap.PROT_EXEC, mmap.PROT_EXEC))
    one.rule(REFUSE, "shmat", Comparison(2, MASKED, SHM_EXEC, SHM_EXEC))
    return one


def _families(known: set[int]) -> Filter:
    one = Filter(ALLOW)
    for family in set(range(46)) - known:
        one.rule(UNSUPPORTED, "socket", Comparison(0, EQUAL, family, 0))
    return one


def main(unit: str, *command: str) -> None:
    """Become the command under the unit's filters."""
    prepared = list(filters(settings(Path(unit))))
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for one in prepared:
        one.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
