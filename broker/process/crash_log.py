"""What the log shows of a process that dies or hangs in native code: the Python stack of each thread.

`crash-log-enabled` is Redis's switch for the first, `watchdog-period` (milliseconds) for the second.
"""

import faulthandler
from typing import Final, Protocol

LEAST_PERIOD_MS: Final = 200
"""The shortest useful period: twice the interval at which the broker reports that it is alive."""


class LogFile(Protocol):
    """A log with a file below."""

    def fileno(self) -> int:
        """Its file descriptor, which stays the same when the file is reopened."""


class CrashLog:
    """Follows the two directives; `alive` must be called at least twice per period."""

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._enabled = False
        self._period_ms = 0

    def enable(self, enabled: bool) -> None:
        """Log the stacks if the process is ended by a fault such as SIGSEGV."""
        self._enabled = enabled
        if enabled:
            faulthandler.enable(self._log.fileno())
        else:
            faulthandler.disable()

    def watch(self, period_ms: int) -> None:
        """Log the stacks whenever the broker was not alive for so long; 0 ends that."""
        self._period_ms = period_ms
        if period_ms:
            self.alive()
        else:
            faulthandler.cancel_dump_traceback_later()

    def alive(self) -> None:
        """The broker is alive: count its period from now on."""
        if self._period_ms:
            faulthandler.dump_traceback_later(self._period_ms / 1000, repeat=True, file=self._log.fileno())
