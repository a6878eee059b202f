"""Telling systemd how far the instance is: one datagram to the socket that it names, as sd_notify(3) says."""

import os
import socket

from agent.supervise.say import say

PATIENCE = 1.0
"""Seconds that systemd may take to have room for a datagram; a supervisor must not wait for it."""


class Notice:
    """A place to send words to; without an address they go nowhere."""

    def __init__(self, address: str = "") -> None:
        """``address`` is the socket's path, or with ``@`` in front its abstract name."""
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def given(cls) -> "Notice":
        """The socket that this process was given. Its variable is taken away: a child that finds it, such as
        gunicorn, would speak for the whole instance.
        """
        return cls(os.environ.pop("NOTIFY_SOCKET", ""))

    def tell(self, words: str) -> None:
        """Send assignments such as ``READY=1``, one a line; a failure is logged and ends nothing."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(PATIENCE)
                sender.sendto(words.encode(), self._address)
        except OSError as error:
            say("warning", "supervisor.untold", words=words, problem=str(error))
