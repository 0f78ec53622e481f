"""What INFO and ROLE show of the link to the master: its state, its times and how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from broker.process.clock import Clock

LinkState = Literal["none", "connect", "connecting", "handshake", "sync", "connected"]

UNKNOWN_SIZE: Final = -1
"""The size of a payload that ends with a mark."""


class LinkStatus:
    """The link's state, as ROLE names it, and its history. Times are in seconds of the wall clock, 0 for never.

    `attempts` are those since the link was up last, `all_attempts` those since the master was named. `payload` and
    `payload_read` are the size in bytes of what a full synchronization transfers, and how much of it has arrived.
    `unapplied` is the number of bytes of the stream that have arrived and are not counted yet. `diverged` says that a
    command of the master failed here, so that the data differ until the next full synchronization.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.state: LinkState = "none"
        self.attempts = 0
        self.all_attempts = 0
        self.down_since = 0
        self.up_since = 0
        self._seconds_down = 0
        self.heard = 0
        self.payload = 0
        self.payload_read = 0
        self.unapplied = 0
        self.diverged = False

    def _seconds(self) -> int:
        return self._clock.now // 1000

    @property
    def is_up(self) -> bool:
        """Whether the master's stream is being received."""
        return self.state == "connected"

    def begin(self) -> None:
        """A master was named."""
        self.state = "connect"
        self.attempts = self.all_attempts = 0
        self.down_since = self.up_since = self._seconds_down = 0
        self.diverged = False

    def end(self) -> None:
        """There is no master any more."""
        self.state = "none"
        self.diverged = False

    def connecting(self) -> None:
        """An attempt to connect begins."""
        self.state = "connecting"
        self.attempts += 1
        self.all_attempts += 1
        self.touch()

    def receiving(self, size: int) -> None:
        """A full synchronization begins, of that many bytes."""
        self.state = "sync"
        self.payload = size
        self.payload_read = 0

    def up(self) -> None:
        """The link is up."""
        self.state = "connected"
        if self.down_since:
            self._seconds_down += self._seconds() - self.down_since
        self.down_since = 0
        self.up_since = self._seconds()
        self.touch()

    def lost(self) -> None:
        """The connection is gone, or an attempt has failed."""
        if self.state == "connected":
            self.down_since = self._seconds()
            self.attempts = 0
        if self.state != "none":
            self.state = "connect"
        self.unapplied = 0

    def touch(self) -> None:
        """Something has arrived."""
        self.heard = self._seconds()

    def seconds_since(self, moment: int) -> int:
        """The seconds since that moment, -1 if it never was."""
        return self._seconds() - moment if moment else -1

    def seconds_down(self) -> int:
        """For how long the link has been down, all in all, after it was up first."""
        return self._seconds_down + max(0, self.seconds_since(self.down_since))
