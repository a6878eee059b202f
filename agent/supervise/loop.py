"""The supervisor's event loop: signals, ended processes, the agent's socket, timers."""

import os
import select
import signal
import socket
from collections.abc import Callable, Mapping, Sequence

from agent.supervise.launch import launch
from agent.supervise.link import Link
from agent.supervise.notice import Notice
from agent.supervise.say import say
from agent.supervise.spec import Spec
from agent.supervise.timers import Timers
from agent.supervise.whole import Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Loop:
    """Runs a Whole on the real operating system; one in a process, on its main thread."""

    def __init__(self, spec: Spec, notice: Notice) -> None:
        self._spec = spec
        self._notice = notice
        self._timers = Timers()
        self._stops: list[None] = []
        self._link: Link | None = None
        self._awake, self._wake = socket.socketpair()
        self._whole = Whole(spec, self, self._timers)

    def run(self) -> int:
        """Run until all is over; returns the exit code."""
        self._catch_signals()
        self._whole.begin()
        while True:
            self._reap()
            self._note_stops()
            self._timers.run_due()
            if self._whole.code is not None:
                return self._whole.code
            self._wait()

    def launch(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Start a child; the main one, as the user's own command, keeps stdin."""
        return launch(argv, env, stdin=name == self._spec.main)

    def launch_agent(self, take: "Callable[[Any, dict[str, Any]], None]") -> tuple[int, Link]:
        """Start the agent with the other end of a new link."""
        ours, its = socket.socketpair()
        with its:
            argv = [*self._spec.agent, "--supervisor-fd", str(its.fileno())]
            try:
                pid = launch(argv, os.environ, keep=its.fileno())
            except BaseException:
                ours.close()
                raise
        self._link = Link(ours, take)
        return pid, self._link

    def tell(self, words: str) -> None:
        """Tell who started this process, if it wants to know."""
        self._notice.tell(words)

    def kill(self, pid: int, signum: int) -> None:
        """Send a signal to a process that was not reaped yet."""
        _send(os.kill, pid, signum)

    def kill_group(self, pid: int) -> None:
        """SIGKILL to a process that was not reaped yet and to all of its group."""
        _send(os.killpg, pid, signal.SIGKILL)

    def _catch_signals(self) -> None:
        self._awake.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # it only has to wake the loop
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGTERM:
                signal.signal(number, self._count_stop)

    def _count_stop(self, *_: object) -> None:
        self._stops.append(None)

    def _note_stops(self) -> None:
        while self._stops:
            self._stops.pop()
            self._whole.signalled()

    def _reap(self) -> None:
        """Take note of all ended processes; as PID 1 of a container that includes other people's orphans."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            owned = self._whole.owns(ended.si_pid)
            if owned:
                # While the process is not reaped its group can't be someone else's.
                _send(os.killpg, ended.si_pid, signal.SIGTERM)
            os.waitpid(ended.si_pid, 0)
            if owned:
                exited = ended.si_code == os.CLD_EXITED
                self._whole.reaped(ended.si_pid, ended.si_status if exited else -ended.si_status)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        link = self._link
        if link is not None and link.open:
            poll.register(link, select.POLLIN | (select.POLLOUT if link.wants_to_send else 0))
        delay = self._timers.delay()
        for descriptor, events in poll.poll(None if delay is None else delay * 1000 + 1):
            if descriptor == self._awake.fileno():
                self._drain()
            elif link is not None and link.open:
                if events & select.POLLOUT:
                    link.flush()
                if events & ~select.POLLOUT and link.open:
                    link.receive()

    def _drain(self) -> None:
        try:
            while self._awake.recv(4096):
                pass
        except BlockingIOError:
            pass


def _send(call: Callable[[int, int], None], pid: int, signum: int) -> None:
    try:
        call(pid, signum)
    except PermissionError:  # a program that changed its user
        say("error", "child.not_ours", pid=pid, signum=signum)
