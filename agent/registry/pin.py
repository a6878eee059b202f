"""Whether all answers come from one and the same agent of Consul. Pure."""

SETTLED = 60.0
"""Seconds in which all answers must come from one agent before a change of its name counts as a renaming."""


class Pin:
    """Holds the name of the first agent that answered.

    Behind one address several agents may stand, a request to each in turn: a service registered at one would
    be unknown to the next, be registered there again, and stay behind as a ghost. An agent that was only
    renamed is the one that answers alone from then on.
    """

    def __init__(self) -> None:
        self._name = ""
        self._doubted = ""
        """Who answered last since another name was seen; empty while there is no doubt."""
        self._since = 0.0

    def see(self, name: str, now: float) -> str:
        """Take in an answer's name at ``now`` (seconds); empty when all is well, else the other name."""
        self._name = self._name or name
        if name == self._name and not self._doubted:
            return ""
        if name != self._doubted:
            self._doubted, self._since = name, now
        if now - self._since >= SETTLED:
            self._name, self._doubted = name, ""
            return ""
        return name if name != self._name else "several"

    @property
    def name(self) -> str:
        """The agent that counts; empty before the first answer."""
        return self._name
