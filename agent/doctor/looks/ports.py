"""Whether an address can be listened at, and who has it."""

import os
import pwd
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"
"""TCP's state LISTEN in ``/proc/net/tcp``; a bound UDP socket has 07 there."""


@dataclass(frozen=True)
class Holder:
    """Who has a port; 0 and empty where this user may not see it."""

    pid: int
    name: str
    """Of the program, without its arguments: they may hold secrets."""
    user: str

    def __str__(self) -> str:
        if self.pid:
            return f"{self.name or 'a process'} (pid {self.pid})"
        return f"a process of the user {self.user}" if self.user else ""


def error(host: str, port: int, *, udp: bool = False) -> int:
    """``errno`` of listening there now; 0 when it is possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as probe:
            if not udp:  # it would let a second one in beside the first
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            if not udp:
                probe.listen()
    except OSError as failed:
        return failed.errno or -1
    return 0


def holder(host: str, port: int, *, udp: bool = False, proc: Path = PROC) -> Holder | None:
    """Who keeps another one from listening there, as far as this user may see."""
    for inode, uid in _sockets(host, port, "udp" if udp else "tcp", proc):
        pid = _owner(inode, proc)
        return Holder(pid, _name(pid, proc) if pid else "", _user(uid))
    return None


def _sockets(host: str, port: int, kind: str, proc: Path) -> Iterator[tuple[str, int]]:
    """Inode and user of those that stand in the way: of the address itself, or of all."""
    for table in (kind, f"{kind}6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for words in map(str.split, lines):
            address, _, number = words[1].partition(":")
            if int(number, 16) != port or (kind == "tcp" and words[3] != LISTEN):
                continue
            if _meets(host, _address(address)):
                yield words[9], int(words[7])


def _address(text: str) -> str:
    """The address in the kernel's form: words of four bytes in this machine's order."""
    packed = b"".join(struct.pack("=I", int(text[n : n + 8], 16)) for n in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


def _meets(wanted: str, there: str) -> bool:
    there = there.removeprefix("::ffff:")
    return wanted == there or bool({wanted, there} & {"0.0.0.0", "::"})  # noqa: S104 - compared


def _owner(inode: str, proc: Path) -> int:
    wanted = f"socket:[{inode}]"
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if any(_link(one) == wanted for one in (folder / "fd").iterdir()):
                return int(folder.name)
        except OSError:
            continue
    return 0


def _link(path: Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - a Path would be made of it
    except OSError:
        return ""


def _name(pid: int, proc: Path) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
