"""Starting a child: fork, what must be set in the child, exec."""

import ctypes
import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends a process when the thread that made it ends."""

LIBC = ctypes.CDLL(None, use_errno=True)


class CannotStart(Exception):
    """The program could not be executed; ``code`` is what a shell would end with, 127 (not found) or 126."""

    def __init__(self, program: str, number: int) -> None:
        super().__init__(f"can't start {program}: {os.strerror(number)}")
        self.code = 127 if number in {errno.ENOENT, errno.ENOTDIR} else 126


def launch(
    argv: Sequence[str], env: Mapping[str, str], *, stdin: bool = False, keep: int | None = None
) -> int:
    """Start ``argv`` with exactly ``env`` in a session of its own and return its process id.

    It inherits stdout, stderr, with ``stdin`` also stdin (else it reads /dev/null), the descriptor
    ``keep``, and no other: all others must be non-inheritable. It gets SIGTERM when this process dies; to
    be called from the main thread only, since the kernel means the thread. Raises CannotStart.
    """
    parent = os.getpid()
    failed, failure = os.pipe()
    # A signal that arrives between fork and exec must not run this process's handlers in the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = os.fork()
        if child == 0:
            _become(argv, env, parent, failure, stdin=stdin, keep=keep, mask=before)
    except OSError as error:
        os.close(failed)
        os.close(failure)
        raise CannotStart(argv[0], error.errno or errno.EAGAIN) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(failure)
    with os.fdopen(failed, "rb") as pipe:
        number = pipe.read()  # ends at once: exec closes the other end
    if number:
        os.waitpid(child, 0)
        raise CannotStart(argv[0], int(number))
    return child


def _become(
    argv: Sequence[str],
    env: Mapping[str, str],
    parent: int,
    failure: int,
    *,
    stdin: bool,
    keep: int | None,
    mask: Iterable[int],
) -> None:
    """In the child: turn into ``argv``. Never returns."""
    number = errno.EINVAL
    try:
        os.setsid()
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked to tell
            os._exit(1)
        if not stdin:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if keep is not None:
            os.set_inheritable(keep, True)
        _restore_signals(mask)
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - no shell is wanted
    except OSError as error:
        number = error.errno or errno.EINVAL
    finally:
        os.write(failure, str(number).encode())
        os._exit(127)


def _restore_signals(mask: Iterable[int]) -> None:
    """Undo what this process changed; what it was given ignored (nohup) stays ignored."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
